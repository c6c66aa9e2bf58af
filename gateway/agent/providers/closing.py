"""Closes what a request leaves open in the libraries of the providers: responses, and unfinished async generators.

Otherwise the provider goes on writing until the garbage collector runs. The collector may run in another thread, where
it finalises generators that the loop is closing at that time ("async generator already executing", once in thousands).
"""

import asyncio
import logging
import sys
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import httpx2

log = logging.getLogger("agent.models")

Generator = AsyncGenerator[Any, Any]


@dataclass
class _Opened:
    """What the libraries have opened since a request began."""

    task: asyncio.Task[Any] | None
    responses: list[httpx2.Response] = field(default_factory=list)
    generators: list[weakref.ref[Generator]] = field(default_factory=list)
    """In the order of their first iteration: the outer ones first."""


_opened: ContextVar[_Opened] = ContextVar("opened")


@asynccontextmanager
async def closing_opened() -> AsyncIterator[None]:
    """Close at the end of the block, however it ends, the responses and generators that this task has begun inside."""
    _install_hook()
    opened = _Opened(asyncio.current_task())
    _opened.set(opened)
    try:
        yield
    finally:
        for generator in [alive for each in opened.generators if (alive := each()) is not None]:
            await _close(generator)
        for response in opened.responses:
            await response.aclose()


def note_response(response: httpx2.Response) -> None:
    """Note a response, so that `closing_opened` closes it. Call it only inside such a block."""
    _opened.get().responses.append(response)


async def _close(generator: Generator) -> None:
    try:
        await generator.aclose()
    except RuntimeError as error:  # the generator ignores the close, or is being closed already
        log.debug("%s: %s", generator, error)


def _install_hook() -> None:
    hook = sys.get_asyncgen_hooks().firstiter
    if not isinstance(hook, _FirstIterHook):
        sys.set_asyncgen_hooks(firstiter=_FirstIterHook(hook))


class _FirstIterHook:
    """The `firstiter` hook of this thread (sys.set_asyncgen_hooks). It calls the loop's hook, which it replaces."""

    def __init__(self, loop_hook: Callable[[Generator], None] | None) -> None:
        self._loop_hook = loop_hook

    def __call__(self, generator: Generator) -> None:
        opened = _opened.get(None)
        if opened is not None and opened.task is asyncio.current_task():
            opened.generators.append(weakref.ref(generator))
        if self._loop_hook is not None:
            self._loop_hook(generator)
