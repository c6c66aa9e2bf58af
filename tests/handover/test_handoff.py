import errno
import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.handover import handoff
from gateway.handover.handoff import VERSION, Handoff, PendingAnswer
from gateway.handover.verdict import InFlight
from tests.tcp import descriptors

NUMBER = st.integers(0, 2**63 - 1)
HELD = st.builds(InFlight, NUMBER, NUMBER, NUMBER, st.binary(), st.binary())
NAME = st.text("http-1", max_size=6)
ANSWER = st.builds(PendingAnswer, NAME, st.binary(), st.booleans(), st.booleans(), st.binary())
SAID = (st.floats(0, 1e9), st.dictionaries(NUMBER, HELD, max_size=4), st.dictionaries(NAME, ANSWER, max_size=3))


def memfd(data: bytes) -> int:
    fd = os.memfd_create("parting")
    os.write(fd, data)
    return fd


@given(st.builds(Handoff, *SAID))
def test_what_is_written_is_read(said: Handoff) -> None:
    fd = handoff.write_handoff(said)
    assert not os.get_inheritable(fd)
    assert handoff.read_handoff(fd) == said


def test_it_is_taken_only_once() -> None:
    """The next one, if this one dies, must not serve what this one has perhaps served."""
    fd = handoff.write_handoff(Handoff(1.0, {1: InFlight(1, 2, 3, b"tail", b"")}))
    stored = os.dup(fd)
    assert handoff.read_handoff(fd) is not None
    assert handoff.read_handoff(stored) is None


def test_it_is_read_from_its_beginning_wherever_the_one_before_stood() -> None:
    fd = handoff.write_handoff(Handoff(1.0))
    os.lseek(fd, 0, os.SEEK_END)
    assert handoff.read_handoff(fd) == Handoff(1.0)


DEEP = b"\x82" + msgspec.msgpack.encode("left_at") + b"\x01" + msgspec.msgpack.encode("x") + b"\x91" * 5000


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"garbage", msgspec.msgpack.encode({"left_at": 1.0, "version": VERSION + 1}), DEEP]
)
def test_what_another_version_has_written_is_not_guessed_at(content: bytes) -> None:
    before = descriptors()
    assert handoff.read_handoff(memfd(content)) is None
    assert descriptors() == before


def test_what_was_written_before_there_were_answers_is_read() -> None:
    before = msgspec.msgpack.encode({"left_at": 1.0, "held": {1: [1, 2, 3, b"tail", b""]}, "version": 1})
    said = handoff.read_handoff(memfd(before))
    assert said is not None and said.held == {1: InFlight(1, 2, 3, b"tail", b"")} and said.answers == {}


@given(st.builds(Handoff, st.just(1.0), st.dictionaries(NUMBER, HELD, min_size=1, max_size=2)), st.data())
def test_half_of_it_is_nothing(said: Handoff, data: st.DataObject) -> None:
    whole = msgspec.msgpack.encode(said)
    assert handoff.read_handoff(memfd(whole[: data.draw(st.integers(0, len(whole) - 1))])) is None


@given(st.binary(max_size=100))
def test_garbage_is_nothing_or_something_whole(content: bytes) -> None:
    said = handoff.read_handoff(memfd(content))
    assert said is None or isinstance(said, Handoff)


def test_where_there_is_no_memory_it_says_so_and_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(name: str, flags: int) -> int:
        return os.open("/dev/full", os.O_WRONLY)

    before = descriptors()
    monkeypatch.setattr(os, "memfd_create", full)
    with pytest.raises(OSError) as failed:
        handoff.write_handoff(Handoff(1.0))
    assert failed.value.errno == errno.ENOSPC
    assert descriptors() == before
