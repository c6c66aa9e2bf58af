"""Opening a resource once for all who need it, in the background, and again after a failure."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

RETRY_S = 5.0
"""Seconds from a failure to the next attempt."""


class RetriedOpening:
    """`work` opens the resource. It is not called again once it has succeeded."""

    def __init__(self, work: Callable[[], Awaitable[None]], name: str, log: logging.Logger) -> None:
        self._work = work
        self._name = name
        self._log = log
        self._task: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._stopped = False
        self.problem: str | None = None
        """The error of the last attempt. None if there was none, or it succeeded."""

    @property
    def is_open(self) -> bool:
        """True once `work` has succeeded."""
        return self._task is not None and self._task.done() and self.problem is None

    async def wait(self) -> None:
        """Return when it is open. Raises what `work` raises. One attempt serves all who wait."""
        await asyncio.shield(self._attempt())

    async def begin(self) -> None:
        """Open it, with a new attempt in the background after each failure. Return after the first attempt."""
        self.start()
        await asyncio.wait([self._attempt()])

    def start(self) -> None:
        """Open it in the background, with a new attempt after each failure."""
        self._attempt().add_done_callback(self._schedule_retry)

    async def stop(self) -> bool:
        """Stop trying, and wait for the present attempt. False if there was no attempt at all."""
        self._stopped = True
        if self._retry is not None:
            self._retry.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])
        return self._task is not None

    def _attempt(self) -> "asyncio.Task[None]":
        if self._task is None or (self._task.done() and not self.is_open):
            self._task = asyncio.get_running_loop().create_task(self._open(), name=self._name)
        return self._task

    def _schedule_retry(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None and not self._stopped:
            self._log.error("%s; it is tried again every %g s", self.problem, RETRY_S)
            self._retry = asyncio.get_running_loop().call_later(RETRY_S, self.start)

    async def _open(self) -> None:
        try:
            await self._work()
        except Exception as error:
            self.problem = str(error)
            raise
        self.problem = None
