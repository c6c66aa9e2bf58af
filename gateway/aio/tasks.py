"""Background tasks: referenced until they end, so that they are not garbage-collected, and their errors logged."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from gateway.errors import GatewayError

T = TypeVar("T")
P = ParamSpec("P")


class Tasks:
    """The tasks of one owner, which can wait for all of them with `join`."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Start a task that nobody awaits. Its error is logged."""
        task = self.create(work, name)
        task.add_done_callback(self._log_error)
        return task

    def create(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Start a task that is awaited, which raises its error. Use `asyncio.shield` where the awaiting task may be
        cancelled."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._forget)
        return task

    def cancel(self) -> None:
        """Cancel all tasks; `join` then waits for their end."""
        for task in self._running:
            task.cancel()

    async def join(self) -> None:
        """Wait for all tasks, also those that are started meanwhile."""
        while self._running:
            await asyncio.wait(self._running)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # else asyncio logs it, if the awaiting task was cancelled before it could read it

    def _log_error(self, task: "asyncio.Task[Any]") -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        known = isinstance(error, GatewayError)
        self._log.error(
            "%s failed%s", task.get_name(), f": {error}" if known else "", exc_info=None if known else error
        )


class _HasTasks(Protocol):
    _tasks: Tasks


B = TypeVar("B", bound=_HasTasks)


def shielded(
    method: Callable[Concatenate[B, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[B, P], Coroutine[Any, Any, T]]:
    """Run the method in a task of `self._tasks`, shielded: it ends its work although its caller is cancelled, as the
    handler of a request is when its client disconnects."""

    @wraps(method)
    async def wrapper(self: B, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.shield(self._tasks.create(method(self, *args, **kwargs), method.__name__))

    return wrapper
