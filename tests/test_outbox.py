import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.outbox import LOW_WATER, Outbox, size
from gateway.protocol.closing import SLOW_CONSUMER, Close

BYE = Close(1000, "bye")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Client:
    """Takes frames while it is open."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.reads = asyncio.Event()
        self.reads.set()

    async def send(self, text: str) -> None:
        await self.reads.wait()
        self.got.append(text)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(5):
            await test()

    asyncio.run(limited())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("text", "length"), [("abc", 3), ("é", 2), ("€", 3), ("😀", 4), ("", 0)])
def test_size_is_in_bytes(text: str, length: int) -> None:
    assert size(text) == length


def test_frames_leave_in_order_and_then_the_close() -> None:
    async def test() -> None:
        outbox, client = Outbox(100, Clock()), Client()
        writer = asyncio.create_task(outbox.run(client.send))
        outbox.put("1")
        await settle()
        assert client.got == ["1"]
        outbox.put("2")
        outbox.put("3")
        outbox.finish(BYE)
        outbox.finish(SLOW_CONSUMER)
        outbox.put("4")
        assert await writer == BYE
        assert client.got == ["1", "2", "3"]
        assert outbox.closing and outbox.queued == 0

    run(test)


def test_the_bound() -> None:
    outbox = Outbox(10, Clock())
    assert outbox.fits("x" * 50)
    outbox.put("x" * 6)
    assert outbox.fits("x" * 4)
    assert not outbox.fits("x" * 5)
    assert not outbox.fits("éé€")


def test_cut_forgets_what_waits() -> None:
    async def test() -> None:
        outbox, client = Outbox(100, Clock()), Client()
        client.reads.clear()
        writer = asyncio.create_task(outbox.run(client.send))
        outbox.put("1")
        await settle()
        outbox.put("2")
        outbox.cut(SLOW_CONSUMER)
        assert outbox.queued == 0
        client.reads.set()
        assert await writer == SLOW_CONSUMER
        assert client.got == ["1"]

    run(test)


def test_the_end_is_told_once() -> None:
    told: list[bool] = []
    outbox = Outbox(100, Clock())
    outbox.on_close = lambda: told.append(outbox.closing)
    outbox.finish(BYE)
    outbox.cut(SLOW_CONSUMER)
    assert told == [True]


def test_stalled_for_counts_only_the_frame_that_is_being_sent() -> None:
    async def test() -> None:
        clock, client = Clock(), Client()
        outbox = Outbox(100, clock)
        writer = asyncio.create_task(outbox.run(client.send))
        client.reads.clear()
        outbox.put("1")
        assert outbox.stalled_for() == 0
        await settle()
        clock.now = 7.0
        assert outbox.stalled_for() == 7.0
        client.reads.set()
        await settle()
        assert outbox.stalled_for() == 0
        outbox.finish(BYE)
        await writer

    run(test)


@pytest.mark.parametrize("end", ["read", "cut", "gone"])
def test_room_comes_with_reading_or_with_the_end(end: str) -> None:
    async def test() -> None:
        outbox, client = Outbox(10 * LOW_WATER, Clock()), Client()
        client.reads.clear()
        writer = asyncio.create_task(outbox.run(client.send))
        await outbox.room()
        outbox.put("first")
        await settle()
        outbox.put("x" * (LOW_WATER - 1))
        await outbox.room()
        outbox.put("y")
        waiting = asyncio.create_task(outbox.room())
        await settle()
        assert not waiting.done()
        if end == "read":
            client.reads.set()
        elif end == "cut":
            outbox.cut(SLOW_CONSUMER)
        else:
            writer.cancel()
        await waiting
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)

    run(test)


def test_a_client_that_has_gone_is_the_callers_business() -> None:
    async def test() -> None:
        async def send(text: str) -> None:
            raise OSError

        outbox = Outbox(100, Clock())
        outbox.put("1")
        with pytest.raises(OSError):
            await outbox.run(send)

    run(test)
