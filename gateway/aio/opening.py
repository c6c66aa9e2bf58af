"""What is opened once for all who ask: in the background, and again after it has failed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

AGAIN_S = 5.0
"""After it could not be opened."""


class Opening:
    """`work` opens it."""

    def __init__(self, work: Callable[[], Awaitable[None]], name: str, log: logging.Logger) -> None:
        self._work = work
        self._name = name
        self._log = log
        self._task: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._ended = False
        self.problem: str | None = None
        """Why it is not open."""

    @property
    def done(self) -> bool:
        return self._task is not None and self._task.done() and self.problem is None

    async def wait(self) -> None:
        """Return when it is open. Raises what `work` raises."""
        await asyncio.shield(self._soon())

    def begin(self) -> None:
        """Until it is open, it is tried again."""
        self._soon().add_done_callback(self._tried)

    async def end(self) -> bool:
        """It is not tried again. Whether it was ever, once that is over."""
        self._ended = True
        if self._again is not None:
            self._again.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])
        return self._task is not None

    def _soon(self) -> "asyncio.Task[None]":
        if self._task is None or (self._task.done() and not self.done):
            self._task = asyncio.get_running_loop().create_task(self._open(), name=self._name)
        return self._task

    def _tried(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None and not self._ended:
            self._log.error("%s; it is tried again every %g s", self.problem, AGAIN_S)
            self._again = asyncio.get_running_loop().call_later(AGAIN_S, self.begin)

    async def _open(self) -> None:
        try:
            await self._work()
        except Exception as error:
            self.problem = str(error)
            raise
        self.problem = None
