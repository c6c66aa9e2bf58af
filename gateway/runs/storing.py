"""Stores the events of runs a moment after they were told, for all runs in one commit.

Nothing is lost when the disk refuses: the commit is tried again, and the agent keeps what is not acknowledged.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from gateway.aio.tasks import Tasks
from gateway.runs.active import ActiveRun
from gateway.sessions.database import StorageFailed
from gateway.sessions.store import Store

log = logging.getLogger("gateway.runs")

T = TypeVar("T")


@dataclass(frozen=True)
class StoringTimes:
    """Seconds."""

    store: float = 1.0
    """From an event to its commit. The agent keeps the event meanwhile, so it is lost only if both processes die."""
    again: float = 1.0
    """From a commit that the disk has refused to the next try."""
    abort: float = 5.0
    """From an abort to the agent's end of the run; after it the run is ended without the agent."""
    give_up: float = 15.0
    """From the beginning or the end of a run to its commit; after it the run has failed, and its end is stored
    once that is possible."""


class Storing:
    def __init__(
        self,
        store: Store,
        acknowledge: Callable[[str, int], None],
        broken: Callable[[ActiveRun], None],
        times: StoringTimes,
    ) -> None:
        """`acknowledge` is called with the id of a run and the number of its last event that is on disk; `broken` with
        a run of which something cannot be stored, whatever the disk does."""
        self._store = store
        self._acknowledge = acknowledge
        self._broken = broken
        self._times = times
        self._due: dict[str, ActiveRun] = {}
        self._writing = asyncio.Lock()
        self._tasks = Tasks(log)
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    def soon(self, live: ActiveRun) -> None:
        """Store the run's events within `StoringTimes.store`."""
        self._due[live.run.id] = live
        if self._task is None and not self._stopped:
            self._task = self._tasks.spawn(self._keep_storing(), "storing runs")

    async def flush(self) -> None:
        """Store all due events now. On StorageFailed or a cancellation they stay due and are stored later."""
        # A caller reads the transcript next, so it must not return before a commit that is under way.
        async with self._writing:
            await self._write()

    async def _write(self) -> None:
        due, self._due = self._due, {}
        going = [live for live in due.values() if live.goes_on]
        if not going:
            return
        try:
            try:
                await self._write_of(going)
            except StorageFailed:
                raise
            except Exception:
                # One of the runs has something that cannot be written; the others must not wait for it.
                for live in going:
                    await self._write_alone(live)
        except BaseException:
            self._due = {**due, **self._due}
            raise

    async def _write_alone(self, live: ActiveRun) -> None:
        try:
            await self._write_of([live])
        except StorageFailed:
            raise
        except Exception:
            log.exception("what run %s says cannot be stored", live.run.id)
            self._broken(live)

    async def _write_of(self, lives: list[ActiveRun]) -> None:
        news = [(live, live.progress()) for live in lives if live.goes_on]
        await self._store.progress([progress for _, progress in news])
        for live, progress in news:
            if live.mark_stored(progress):
                self._acknowledge(live.run.id, progress.seq)

    def stop(self) -> None:
        """Store nothing more, except by `flush`."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()

    async def _keep_storing(self) -> None:
        refused = False
        try:
            while self._due:
                await asyncio.sleep(self._times.again if refused else self._times.store)
                try:
                    await self.flush()
                    refused = False
                except StorageFailed as error:
                    if not refused:
                        log.error("%s; what runs say is kept in memory until it can be stored", error)
                    refused = True
                except Exception:
                    log.exception("what runs say is not stored yet; it is tried again")
                    refused = True
        finally:
            self._task = None


class Patience:
    """Repeats a write until the disk takes it: what it stores has happened, whether it can be written or not."""

    def __init__(self, again_s: float) -> None:
        self._again_s = again_s
        self._over = asyncio.Event()

    @property
    def over(self) -> bool:
        """The process leaves: what is not stored is left for the next one."""
        return self._over.is_set()

    async def __call__(self, work: Callable[[], Awaitable[T]], limit_s: float = math.inf) -> T:
        """Raises StorageFailed after `end` or `limit_s` seconds, whichever comes first."""
        refused = False
        until = time.monotonic() + limit_s
        while True:
            try:
                return await work()
            except StorageFailed as error:
                if self._over.is_set() or time.monotonic() >= until:
                    raise
                if not refused:
                    log.error("%s; it is tried again until it can be stored", error)
                refused = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._again_s):
                    await self._over.wait()

    def end(self) -> None:
        """Let each write that waits be tried once more, and no more after that."""
        self._over.set()
