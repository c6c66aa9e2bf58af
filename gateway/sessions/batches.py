"""Jobs for a thread, in order, a batch at a time. The event loop waits for none of them."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Work = Callable[[Any], T]


class Job(Generic[T]):
    __slots__ = ("done", "error", "result", "work")

    def __init__(self, work: Work[T], done: "asyncio.Future[None]") -> None:
        self.work = work
        self.done = done
        self.result: T | None = None
        self.error: Exception | None = None


Batch = Sequence[Job[Any]]


class BatchExecutor:
    """A caller that is cancelled only stops waiting: what it asked for is done all the same."""

    def __init__(self, work_off: Callable[[Batch], None], most: int) -> None:
        """`work_off` runs in a thread of the loop's executor, and gives each of up to `most` jobs result or error."""
        self._work_off = work_off
        self._most = most
        self._waiting: deque[Job[Any]] = deque()
        self._under_way: asyncio.Future[None] | None = None

    async def run(self, work: Work[T]) -> T:
        job = Job(work, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        if self._under_way is None:
            self._next()
        await job.done
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value]  # None only where T is None

    async def idle(self) -> None:
        """Return when nothing is under way or waits."""
        while self._under_way is not None:
            await asyncio.wait([self._under_way])

    def _next(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        self._under_way = asyncio.get_running_loop().run_in_executor(None, self._work_off, batch)
        self._under_way.add_done_callback(partial(self._finished, batch))

    def _finished(self, batch: Batch, under_way: "asyncio.Future[None]") -> None:
        self._under_way = None
        broken = under_way.exception()
        for job in batch:
            if job.done.done():
                continue  # nobody waits any more
            if broken is not None:
                job.done.set_exception(broken)
            else:
                job.done.set_result(None)
        if self._waiting:
            self._next()
