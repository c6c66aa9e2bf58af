"""Requests that OpenAI's clients send again on their own, when a proxy or their patience has cut them off.

They send no `Idempotency-Key` but the same body, and count in `x-stainless-retry-count`. The answer that they asked for
goes on meanwhile and becomes theirs again: a second run would run the tools a second time. What is known is this
process's: after a restart such a request begins a run.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.datastructures import Headers

from gateway.aio.tasks import Tasks

log = logging.getLogger("gateway.web")

COUNT = "x-stainless-retry-count"
GRACE_S = 15.0
"""In which a client that went away may come back before its run ends; they wait 8 s at most."""
REMEMBERED_S = 900.0
MAX_REMEMBERED = 512
"""Requests; for one more, the oldest is forgotten."""


def mark(headers: Headers, question: str, user_header: str | None) -> str | None:
    """The same for the same question of the same client; None for clients that do not count, or name the request."""
    if COUNT not in headers or "idempotency-key" in headers:
        return None
    who = (headers.get("authorization", ""), headers.get(user_header, "") if user_header else "")
    return hashlib.sha256("\0".join((question, *who)).encode()).hexdigest()


def is_retry(headers: Headers) -> bool:
    count = headers.get(COUNT, "")
    return count.isascii() and count.isdigit() and count.strip("0") != ""


@dataclass
class _Remembered:
    run: str
    at: float
    readers: int = 1
    ending: "asyncio.Task[None] | None" = None


class Retries:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, _Remembered] = {}
        self._tasks = Tasks(log)

    def begin(self, mark: str, run: str) -> None:
        self._known.pop(mark, None)
        self._known[mark] = _Remembered(run, self._clock())
        if len(self._known) > MAX_REMEMBERED:
            del self._known[next(iter(self._known))]

    def rejoin(self, mark: str) -> str | None:
        """The run that such a request has begun, which does not end now; None if there is none that is known."""
        known = self._known.get(mark)
        if known is None or self._clock() - known.at > REMEMBERED_S:
            return None
        known.readers += 1
        if known.ending is not None:
            known.ending.cancel()
            known.ending = None
        return known.run

    def leave(self, mark: str, run: str, abort: Callable[[], Awaitable[None]]) -> None:
        """The client has gone: its run ends, unless it comes back in time or has come back already."""
        known = self._known.get(mark)
        if known is None or known.run != run:
            known = _Remembered(run, self._clock())
        known.readers -= 1
        if known.readers > 0:
            return
        known.ending = self._tasks.spawn(_end(abort), f"ending run {run} for a client that has gone")


async def _end(abort: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(GRACE_S)
    await abort()


KNOWN = Retries()
"""Of this process."""
