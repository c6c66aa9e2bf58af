"""Tasks that nobody waits for, or not to their end: kept from the garbage collector, their errors logged."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from gateway.errors import GatewayError

T = TypeVar("T")


class Tasks:
    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        task = self._keep(work, name)
        task.add_done_callback(self._look)
        return task

    async def whole(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """What comes of it. It is done to its end, also when whoever waits here is cancelled."""
        return await asyncio.shield(self._keep(work, name))

    async def finish(self) -> None:
        """Wait for all that is under way."""
        while self._running:
            await asyncio.wait(self._running)

    def _keep(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _look(self, task: "asyncio.Task[Any]") -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        known = isinstance(error, GatewayError)
        self._log.error(
            "%s failed%s", task.get_name(), f": {error}" if known else "", exc_info=None if known else error
        )
