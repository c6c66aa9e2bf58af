"""Jobs that run in a thread, in order, a batch at a time, without blocking the event loop."""

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
    """Runs jobs in batches. Cancelling the caller of `run` does not cancel its job."""

    def __init__(self, run_batch: Callable[[Batch], None], most: int) -> None:
        """`run_batch` runs in a thread of the loop's executor and sets result or error of each of up to `most` jobs."""
        self._run_batch = run_batch
        self._most = most
        self._waiting: deque[Job[Any]] = deque()
        self._under_way: asyncio.Future[None] | None = None

    async def run(self, work: Work[T]) -> T:
        """The result of the job. Raises its error."""
        job = Job(work, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        if self._under_way is None:
            self._next()
        await job.done
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value]  # None only where T is None

    async def idle(self) -> None:
        """Return when no job runs or waits."""
        while self._under_way is not None:
            await asyncio.wait([self._under_way])

    def _next(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        self._under_way = asyncio.get_running_loop().run_in_executor(None, self._run_batch, batch)
        self._under_way.add_done_callback(partial(self._finished, batch))

    def _finished(self, batch: Batch, under_way: "asyncio.Future[None]") -> None:
        self._under_way = None
        broken = under_way.exception()
        for job in batch:
            if job.done.done():
                continue  # the caller was cancelled
            if broken is not None:
                job.done.set_exception(broken)
            else:
                job.done.set_result(None)
        if self._waiting:
            self._next()
