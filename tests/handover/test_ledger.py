import mmap
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.handover.ledger import (
    MAX_CLIENT_BYTES,
    SLOT_BYTES,
    SLOTS,
    VERSION,
    Entry,
    InheritedEntry,
    Ledger,
    UnreadableLedger,
)
from gateway.handover.verdict import Point
from tests.effort import examples

HEADER = 4096


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with closing(Ledger()) as made:
        yield made


@contextmanager
def succeeding(ledger: Ledger) -> Iterator[Ledger]:
    """A successor's: another mapping of the same memory."""
    with closing(Ledger(os.dup(ledger.fd))) as made:
        yield made


def found(ledger: Ledger) -> dict[int, InheritedEntry]:
    return {each.entry.id: each for each in ledger.inherited()}


def entered(ledger: Ledger, who: bytes = b"who") -> Entry:
    entry = ledger.add(who)
    assert entry is not None
    return entry


def test_what_is_entered_is_found_with_both_its_points(ledger: Ledger) -> None:
    entry = entered(ledger, b'{"id":"a"}')
    entry.note_rest(1, 2, 3)
    entry.note_rest(4, 5, 6)
    with succeeding(ledger) as after:
        (left,) = after.inherited()
        assert (left.entry.id, left.client) == (entry.id, b'{"id":"a"}')
        assert set(left.points) == {Point(1, 2, 3), Point(4, 5, 6)}
        assert after.key == ledger.key


def test_a_connection_that_was_never_at_rest_has_no_point(ledger: Ledger) -> None:
    entered(ledger)
    with succeeding(ledger) as after:
        assert [each.points for each in after.inherited()] == [()]


@pytest.mark.parametrize("written", [0, 1, 2, 3, 4])
def test_a_successor_overwrites_the_older_point(ledger: Ledger, written: int) -> None:
    entry = entered(ledger)
    for number in range(written):
        entry.note_rest(number, 0, 0)
    with succeeding(ledger) as after:
        found(after)[entry.id].entry.note_rest(written, 0, 0)
        assert {point.read for point in found(after)[entry.id].points} == {written, max(0, written - 1)}


@pytest.mark.parametrize("ahead", [False, True])
def test_of_the_two_points_only_the_reached_one_is_left(ledger: Ledger, ahead: bool) -> None:
    """The newer one may have been written for bytes that never came."""
    entry = entered(ledger)
    old, new = Point(1, 1, 1), Point(1, 9, 2)
    entry.note_rest(*old)
    entry.note_rest(*new)
    reached = old if ahead else new
    with succeeding(ledger) as after:
        heir = found(after)[entry.id].entry
        heir.set_point(reached)
        assert found(after)[entry.id].points == (reached, reached)
        heir.note_rest(2, 2, 2)
        assert set(found(after)[entry.id].points) == {reached, Point(2, 2, 2)}


def test_removed_is_removed_for_everyone_and_only_once(ledger: Ledger) -> None:
    first, second = entered(ledger), entered(ledger)
    first.remove()
    third = entered(ledger)  # in the slot of the first
    first.remove()
    with succeeding(ledger) as after:
        assert set(found(after)) == {second.id, third.id}
    assert len({first.id, second.id, third.id}) == 3


def test_numbers_do_not_come_again(ledger: Ledger) -> None:
    entry = entered(ledger)
    entry.remove()
    with succeeding(ledger) as after:
        assert entered(after).id > entry.id


def test_a_slot_that_is_used_again_has_none_of_the_old_points(ledger: Ledger) -> None:
    old = entered(ledger, b"a long story of the first one")
    old.note_rest(1, 1, 1)
    old.note_rest(2, 2, 2)
    old.remove()
    entered(ledger, b"short")
    with succeeding(ledger) as after:
        assert [(each.client, each.points) for each in after.inherited()] == [(b"short", ())]


def test_slots_at_the_bound(ledger: Ledger) -> None:
    entries = [entered(ledger) for _ in range(SLOTS)]
    assert ledger.add(b"") is None
    with succeeding(ledger) as after:
        assert len(found(after)) == SLOTS and after.add(b"") is None
        found(after)[entries[-1].id].entry.remove()
        assert after.add(b"") is not None


def test_what_a_client_says_of_itself_at_the_bound(ledger: Ledger) -> None:
    who = b"w" * MAX_CLIENT_BYTES
    assert ledger.add(who + b"w") is None
    entered(ledger, who).note_rest(1, 2, 3)
    other = entered(ledger, b"next slot")
    with succeeding(ledger) as after:
        assert [each.client for each in after.inherited()] == [who, b"next slot"]
    other.remove()


def test_the_ledger_does_not_outlive_an_exec_unasked(ledger: Ledger) -> None:
    assert not os.get_inheritable(ledger.fd)


def test_slots_that_nobody_had_take_no_memory(ledger: Ledger) -> None:
    for _ in range(3):
        entered(ledger)
    with succeeding(ledger) as after:
        assert len(found(after)) == 3
    assert os.fstat(ledger.fd).st_blocks * 512 <= HEADER + 2 * mmap.PAGESIZE


@pytest.mark.parametrize("size", [0, 1, HEADER, HEADER + SLOTS * SLOT_BYTES - 1, HEADER + SLOTS * SLOT_BYTES + 1])
def test_a_memfd_of_another_size_is_none(size: int) -> None:
    fd = os.memfd_create("other")
    os.truncate(fd, size)
    with pytest.raises(UnreadableLedger, match="bytes instead of"):
        Ledger(fd)
    os.close(fd)


@pytest.mark.parametrize(
    ("at", "data", "why"),
    [
        (0, b"SOMETHING", "no ledger"),
        (8, (VERSION + 1).to_bytes(4, "little"), f"version {VERSION + 1} with {SLOTS} slots"),
        (12, (SLOTS - 1).to_bytes(4, "little"), f"version {VERSION} with {SLOTS - 1} slots"),
        (16, bytes(8), "number 0"),
        (16, b"\xff" * 8, "number"),
    ],
)
def test_a_ledger_of_another_kind_is_not_guessed_at(ledger: Ledger, at: int, data: bytes, why: str) -> None:
    entered(ledger)
    ledger.memory[at : at + len(data)] = data
    with pytest.raises(UnreadableLedger, match=why):
        Ledger(ledger.fd)


def test_an_empty_memfd_of_the_right_size_is_no_ledger() -> None:
    fd = os.memfd_create("empty")
    os.truncate(fd, HEADER + SLOTS * SLOT_BYTES)
    with pytest.raises(UnreadableLedger, match="no ledger"):
        Ledger(fd)
    os.close(fd)


def copy_of(ledger: Ledger) -> int:
    fd = os.memfd_create("copy")
    os.truncate(fd, HEADER + SLOTS * SLOT_BYTES)
    os.pwrite(fd, ledger.memory[: HEADER + 4 * SLOT_BYTES], 0)
    return fd


WRITTEN = {b"first": {Point(1, 2, 3), Point(4, 5, 6)}, b"second" * 20: {Point(7, 8, 9)}, b"": set[Point]()}


def with_three() -> Ledger:
    ledger = Ledger()
    for who, points in WRITTEN.items():
        entry = entered(ledger, who)
        for point in sorted(points):
            entry.note_rest(*point)
    return ledger


def assert_nothing_false(fd: int) -> None:
    """Unreadable, or true in all that it says; and it can be gone on with."""
    try:
        after = Ledger(fd)
    except UnreadableLedger:
        os.close(fd)
        return
    with closing(after):
        for each in after.inherited():
            assert set(each.points) <= WRITTEN[each.client]
            each.entry.note_rest(10, 20, 30)
            assert Point(10, 20, 30) in found(after)[each.entry.id].points
        entered(after, b"new").note_rest(1, 1, 1)


@pytest.mark.parametrize(
    "places", [range(64), range(HEADER, HEADER + 220), range(HEADER + SLOT_BYTES, HEADER + SLOT_BYTES + 220)]
)
def test_no_torn_byte_leads_to_a_false_point(places: range) -> None:
    with closing(with_three()) as ledger:
        for at in places:
            for value in (0, 0xFF, ledger.memory[at] ^ 1):
                fd = copy_of(ledger)
                os.pwrite(fd, bytes([value]), at)
                assert_nothing_false(fd)


@given(st.integers(0, HEADER + 3 * SLOT_BYTES), st.binary(min_size=1, max_size=64), st.booleans())
@settings(deadline=None, max_examples=examples(200))
def test_no_garbage_leads_to_a_false_point(at: int, garbage: bytes, truncated: bool) -> None:
    with closing(with_three()) as ledger:
        fd = copy_of(ledger)
        os.pwrite(fd, garbage, at)
        if truncated:
            os.truncate(fd, at)
        assert_nothing_false(fd)


NUMBERS = st.integers(0, 2**64 - 1)


@given(st.lists(st.builds(Point, NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=4), st.integers(0, 96))
@settings(deadline=None)
def test_a_write_of_a_point_that_ends_anywhere_leaves_the_other(points: list[Point], end: int) -> None:
    with closing(Ledger()) as ledger:
        entry = entered(ledger)
        for point in points[:-1]:
            entry.note_rest(*point)
        before = bytes(ledger.memory[HEADER : HEADER + 96])
        entry.note_rest(*points[-1])
        ledger.memory[HEADER + end : HEADER + 96] = before[end:]
        with succeeding(ledger) as after:
            torn = set(found(after)[entry.id].points)
        assert torn <= set(points[-3:]) and set(points[-2:-1]) <= torn


class Generations(RuleBasedStateMachine):
    """Processes that come after each other, or die: the successor knows of every connection that was not removed."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.entries: dict[int, Entry] = {}
        self.known: dict[int, tuple[bytes, list[Point]]] = {}
        self.clock = 0

    @rule(who=st.binary(max_size=40))
    def add(self, who: bytes) -> None:
        entry = entered(self.ledger, who)
        assert entry.id not in self.known
        self.entries[entry.id] = entry
        self.known[entry.id] = (who, [])

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def rest(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.entries)))
        self.clock += 1
        self.entries[id].note_rest(self.clock, self.clock, self.clock)
        self.known[id][1].append(Point(self.clock, self.clock, self.clock))

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.entries)))
        self.entries.pop(id).remove()
        del self.known[id]

    @rule()
    def succeed(self) -> None:
        before, self.ledger = self.ledger, Ledger(os.dup(self.ledger.fd))
        before.close()
        self.entries = {id: each.entry for id, each in found(self.ledger).items()}

    @invariant()
    def all_is_known(self) -> None:
        left = found(self.ledger)
        assert set(left) == set(self.known) == set(self.entries)
        for id, (who, points) in self.known.items():
            assert left[id].client == who and set(left[id].points) == set(points[-2:])

    def teardown(self) -> None:
        self.ledger.close()


TestGenerations = Generations.TestCase
