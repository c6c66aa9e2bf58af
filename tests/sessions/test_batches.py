import asyncio
import threading
from typing import Any

import pytest

from gateway.sessions.batches import Batch, BatchExecutor


class Thread:
    """Works jobs off once it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.batches: list[int] = []

    def __call__(self, batch: Batch) -> None:
        self.let.wait(10)
        self.batches.append(len(batch))
        for job in batch:
            try:
                job.result = job.work("context")
            except ValueError as error:
                job.error = error


def fails(context: Any) -> None:
    raise ValueError(context)


def test_what_comes_during_a_batch_is_the_next_one_up_to_its_bound() -> None:
    async def scenario() -> None:
        thread = Thread()
        lane = BatchExecutor(thread, 4)
        asked = [asyncio.ensure_future(lane.run(lambda context, n=n: (context, n))) for n in range(10)]
        await asyncio.sleep(0)
        thread.let.set()
        assert await asyncio.gather(*asked) == [("context", n) for n in range(10)]
        assert thread.batches == [1, 4, 4, 1]

    asyncio.run(scenario())


def test_an_error_reaches_whoever_asked_and_nobody_else() -> None:
    async def scenario() -> None:
        thread = Thread()
        thread.let.set()
        lane = BatchExecutor(thread, 4)
        results = await asyncio.gather(lane.run(str), lane.run(fails), lane.run(str), return_exceptions=True)
        assert results[0] == results[2] == "context"
        assert isinstance(results[1], ValueError)

    asyncio.run(scenario())


def test_a_caller_that_is_cancelled_only_stops_waiting() -> None:
    async def scenario() -> None:
        thread, done = Thread(), list[str]()
        lane = BatchExecutor(thread, 4)
        asked = asyncio.ensure_future(lane.run(done.append))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        thread.let.set()
        assert await lane.run(str) == "context"
        assert done == ["context"]

    asyncio.run(scenario())


def test_what_breaks_in_the_thread_breaks_the_batch_and_not_the_lane() -> None:
    async def scenario() -> None:
        def breaks(batch: Batch) -> None:
            raise RuntimeError("broken")

        lane = BatchExecutor(breaks, 4)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="broken"):
                await lane.run(str)
        await lane.idle()

    asyncio.run(scenario())


def test_it_is_idle_when_nothing_is_under_way_or_waits() -> None:
    async def scenario() -> None:
        thread = Thread()
        lane = BatchExecutor(thread, 1)
        await lane.idle()
        asked = [asyncio.ensure_future(lane.run(str)) for _ in range(3)]
        await asyncio.sleep(0)
        idle = asyncio.ensure_future(lane.idle())
        await asyncio.sleep(0)
        assert not idle.done()
        thread.let.set()
        await idle
        assert thread.batches == [1, 1, 1]
        await asyncio.gather(*asked)

    asyncio.run(scenario())


def test_no_cancelled_caller_of_idle_stops_the_work() -> None:
    async def scenario() -> None:
        thread = Thread()
        lane = BatchExecutor(thread, 1)
        asked = asyncio.ensure_future(lane.run(str))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await lane.idle()
        thread.let.set()
        assert await asked == "context"

    asyncio.run(scenario())
