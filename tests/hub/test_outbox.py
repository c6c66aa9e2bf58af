import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.hub.outbox import BATCH, EAGER, LOW_WATER, Outbox
from gateway.protocol.closing import SLOW_CONSUMER, Close
from tests.carrier import FakeCarrier
from tests.fakes.clock import Clock
from tests.slack import LIMIT_S

BYE = Close(1000, "bye")


def make(max_bytes: int = 100, *, reads: bool = False, clock: Clock | None = None) -> tuple[Outbox, FakeCarrier]:
    carrier = FakeCarrier()
    outbox = Outbox(carrier, max_bytes, clock or Clock())
    carrier.on_write_resumed = outbox.flush
    carrier.write_paused = not reads
    return outbox, carrier


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


def test_messages_of_one_turn_leave_in_order_in_one_write_and_then_the_close() -> None:
    async def test() -> None:
        outbox, carrier = make(reads=True)
        ends: list[Close] = []
        outbox.on_end = ends.append
        outbox.put(b"1")
        outbox.put(b"2")
        assert carrier.texts == []
        await asyncio.sleep(0)
        assert (carrier.texts, carrier.writes, ends) == ([b"1", b"2"], 1, [])
        outbox.put(b"3")
        outbox.finish(BYE)
        outbox.finish(SLOW_CONSUMER)
        outbox.put(b"4")
        await asyncio.sleep(0)
        assert (carrier.texts, carrier.writes, ends) == ([b"1", b"2", b"3"], 2, [BYE])
        assert outbox.closing and outbox.queued == 0
        outbox.flush()
        assert ends == [BYE]

    run(test)


@pytest.mark.parametrize(("length", "at_once"), [(EAGER - 1, False), (EAGER, True)])
def test_what_is_large_does_not_wait_for_the_end_of_the_turn(length: int, at_once: bool) -> None:
    async def test() -> None:
        outbox, carrier = make(reads=True)
        outbox.put(b"x" * length)
        assert (carrier.writes == 1) is at_once
        await asyncio.sleep(0)
        assert carrier.writes == 1

    run(test)


def test_what_is_large_waits_for_what_follows_at_once() -> None:
    async def test() -> None:
        outbox, carrier = make(reads=True)
        outbox.put(b"x" * EAGER, more=True)
        assert carrier.writes == 0
        outbox.put(b"1")
        assert (carrier.writes, len(carrier.texts)) == (1, 2)
        outbox.put(b"x" * EAGER, more=True)
        await asyncio.sleep(0)
        assert carrier.writes == 2, "if nothing follows it waits for the end of the turn"

    run(test)


def test_the_close_waits_for_a_client_that_has_not_taken_what_came_before() -> None:
    outbox, carrier = make()
    ends: list[Close] = []
    outbox.on_end = ends.append
    outbox.put(b"1")
    outbox.finish(BYE)
    assert (carrier.texts, ends) == ([], [])
    carrier.resume()
    assert (carrier.texts, ends) == ([b"1"], [BYE])


@pytest.mark.parametrize(("length", "writes"), [(BATCH // 2 - 1, 2), (BATCH // 2, 3)])
def test_a_write_is_full_at_the_bound(length: int, writes: int) -> None:
    outbox, carrier = make(10 * BATCH)
    for letter in "abcde":
        outbox.put(letter.encode() * length)
    carrier.resume()
    assert [text[:1].decode() for text in carrier.texts] == list("abcde")
    assert carrier.writes == writes


def test_the_bound() -> None:
    outbox, _ = make(10)
    assert outbox.fits(b"x" * 50)
    outbox.put(b"x" * 6)
    assert outbox.fits(b"x" * 4)
    assert not outbox.fits(b"x" * 5)


def test_cut_forgets_what_waits() -> None:
    outbox, carrier = make()
    ends: list[Close] = []
    outbox.on_end = ends.append
    outbox.put(b"1")
    outbox.cut(SLOW_CONSUMER)
    assert outbox.queued == 0
    carrier.resume()
    assert (carrier.texts, ends) == ([], [SLOW_CONSUMER])


def test_a_cut_after_finish_keeps_the_first_reason() -> None:
    async def test() -> None:
        outbox, carrier = make(reads=True)
        ends: list[Close] = []
        outbox.on_end = ends.append
        outbox.put(b"1")
        outbox.finish(BYE)
        outbox.cut(SLOW_CONSUMER)
        await asyncio.sleep(0)
        assert (carrier.texts, ends) == ([], [BYE])

    run(test)


def test_the_end_is_told_once() -> None:
    told: list[bool] = []
    outbox, _ = make()
    outbox.on_close = lambda: told.append(outbox.closing)
    outbox.finish(BYE)
    outbox.cut(SLOW_CONSUMER)
    assert told == [True]


def test_stalled_for_counts_while_the_transport_takes_nothing() -> None:
    clock = Clock()
    outbox, carrier = make(clock=clock)
    assert outbox.stalled_for() == 0
    clock.now = 3.0
    outbox.put(b"1")
    clock.now = 7.0
    outbox.put(b"2")
    assert outbox.stalled_for() == 4.0
    carrier.resume()
    assert outbox.stalled_for() == 0


@pytest.mark.parametrize("end", ["read", "cut"])
def test_room_comes_with_reading_or_with_the_end(end: str) -> None:
    async def test() -> None:
        outbox, carrier = make(10 * LOW_WATER)
        await outbox.room()
        outbox.put(b"x" * (LOW_WATER - 1))
        await outbox.room()
        outbox.put(b"y")
        waiting = asyncio.create_task(outbox.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        carrier.resume() if end == "read" else outbox.cut(SLOW_CONSUMER)
        await waiting

    run(test)


@given(st.lists(st.one_of(st.binary(max_size=50), st.just(b"x" * (BATCH // 3)), st.booleans())))
def test_whenever_the_client_reads_it_gets_everything_in_order(steps: list[bytes | bool]) -> None:
    async def test() -> None:
        outbox, carrier = make(reads=True)
        for step in steps:
            if isinstance(step, bytes):
                outbox.put(step)
            elif step:
                carrier.resume()
            else:
                carrier.write_paused = True
        carrier.resume()
        assert carrier.texts == [step for step in steps if isinstance(step, bytes)]
        assert outbox.queued == 0

    run(test)


@pytest.mark.parametrize(("length", "room"), [(LOW_WATER - 1, True), (LOW_WATER, False)])
def test_what_the_transport_has_not_taken_counts_as_unread(length: int, room: bool) -> None:
    async def test() -> None:
        outbox, carrier = make(reads=True)
        write = carrier.write

        def pausing(texts: Sequence[bytes]) -> None:
            write(texts)
            carrier.write_paused = True

        carrier.write = pausing  # type: ignore[method-assign]
        outbox.put(b"x" * length)
        await asyncio.sleep(0)
        assert (outbox.queued, outbox.unread, outbox.has_room) == (0, length, room)
        carrier.resume()
        assert (outbox.unread, outbox.has_room) == (0, True)

    run(test)
