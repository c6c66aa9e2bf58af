"""Requests that OpenAI's clients send again on their own, after a proxy or a time limit has cut them off.

They send the same body without an `Idempotency-Key`, and count in `x-stainless-retry-count`. The run of the first
request goes on meanwhile, and its answer is given to the second: another run would call the tools again. Requests are
remembered by this process only: after a restart such a request begins a run.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gateway.aio.tasks import Tasks

log = logging.getLogger("gateway.web")

COUNT = "x-stainless-retry-count"
GRACE_S = 15.0
"""Seconds in which a client that went away may come back before its run is aborted; clients wait 8 s at most."""
REMEMBERED_S = 900.0
"""Seconds for which a request is remembered."""
MAX_REMEMBERED = 512
"""Requests; beyond it the oldest one is forgotten."""


def mark(headers: Mapping[str, str], question: str, user_header: str | None) -> str | None:
    """A mark that is the same for the same question of the same client. None for a client that does not count its
    retries, or that sends an `Idempotency-Key`."""
    if COUNT not in headers or "idempotency-key" in headers:
        return None
    who = (headers.get("authorization", ""), headers.get(user_header.lower(), "") if user_header else "")
    return hashlib.sha256("\0".join((question, *who)).encode()).hexdigest()


def is_retry(headers: Mapping[str, str]) -> bool:
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
        """The run of a remembered request, which is not aborted now; None if there is none."""
        known = self._known.get(mark)
        if known is None or self._clock() - known.at > REMEMBERED_S:
            return None
        known.readers += 1
        if known.ending is not None:
            known.ending.cancel()
            known.ending = None
        return known.run

    def leave(self, mark: str, run: str, abort: Callable[[], Awaitable[None]]) -> None:
        """The client has gone: abort its run after `GRACE_S`, unless it has come back by then."""
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
"""The requests of this process."""
