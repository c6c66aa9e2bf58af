"""What runs have said, on its way to the disk: a moment after they have said it, all of them in one commit.

A disk that refuses loses nothing: it is tried again, and until then the agents keep what is not acknowledged.
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
    """From an event to the disk. The agent keeps it meanwhile, so it is lost only if both die."""
    again: float = 1.0
    """After the disk has refused."""
    abort: float = 5.0
    """In which an agent ends what it was told to; then it is ended without it."""
    give_up: float = 15.0
    """In which the disk takes a beginning or an end; then the run is over without, and stored once it can be."""


class Storing:
    def __init__(
        self,
        store: Store,
        acknowledge: Callable[[str, int], None],
        broken: Callable[[ActiveRun], None],
        times: StoringTimes,
    ) -> None:
        """`acknowledge` is called with a run and the number of its last event that is on disk; `broken` with one of
        which something cannot be stored, on whatever disk."""
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
        self._due[live.run.id] = live
        if self._task is None and not self._stopped:
            self._task = self._tasks.spawn(self._keep_storing(), "storing runs")

    async def flush(self) -> None:
        """Raises StorageFailed, and then it is still to be stored; so it is for whoever is cancelled here."""
        async with self._writing:  # whoever asks for it now may read the transcript next
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
                # One of them has something that cannot be written, and the others shall not wait for it.
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
        """Nothing is stored any more but by `now`."""
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
    """Tries until the disk takes it: what it is about has happened, whether it can be written or not."""

    def __init__(self, again_s: float) -> None:
        self._again_s = again_s
        self._over = asyncio.Event()

    @property
    def over(self) -> bool:
        """The process leaves; what is not stored is the next one's to find."""
        return self._over.is_set()

    async def __call__(self, work: Callable[[], Awaitable[T]], limit_s: float = math.inf) -> T:
        """Raises StorageFailed once the patience is over, or this limit."""
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
        """Whoever waits tries once more."""
        self._over.set()
