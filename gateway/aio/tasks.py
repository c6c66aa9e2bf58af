"""Tasks that nobody waits for, or not to their end: kept from the garbage collector, their errors logged."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from gateway.errors import GatewayError

T = TypeVar("T")
P = ParamSpec("P")


class Tasks:
    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        """Nobody waits for it."""
        task = self.begin(work, name)
        task.add_done_callback(self._look)
        return task

    def begin(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Who waits for it must `shield` it, and is told its errors."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    async def finish(self) -> None:
        """Wait for all that is under way."""
        while self._running:
            await asyncio.wait(self._running)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited may have gone, and asyncio would log what nobody has looked at

    def _look(self, task: "asyncio.Task[Any]") -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        known = isinstance(error, GatewayError)
        self._log.error(
            "%s failed%s", task.get_name(), f": {error}" if known else "", exc_info=None if known else error
        )


class _Busy(Protocol):
    _tasks: Tasks


B = TypeVar("B", bound=_Busy)


def shielded(
    method: Callable[Concatenate[B, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[B, P], Coroutine[Any, Any, T]]:
    """Of an object that has `_tasks`: the method is carried out to its end, also when its caller is cancelled, as the
    handler of a request is when its client goes."""

    @wraps(method)
    async def carried_out(self: B, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.shield(self._tasks.begin(method(self, *args, **kwargs), method.__name__))

    return carried_out
