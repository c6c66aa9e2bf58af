"""What waits to be sent to one client: a queue bounded in bytes, and the one task that empties it.

A client that does not read fills its own queue and nothing else: whoever puts something in never waits.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from gateway.protocol.closing import Close

LOW_WATER = 64 * 1024
"""Bytes; `room` waits for less than this."""


class Outbox:
    """`run` ends with the `Close` to send, once `finish` or `cut` has been called."""

    def __init__(self, max_bytes: int, clock: Callable[[], float]) -> None:
        self.max_bytes = max_bytes
        self.on_close: Callable[[], None] | None = None
        """Called once, when the end has been decided."""
        self.queued = 0
        """Bytes in the queue, without the frame that is being sent."""
        self._clock = clock
        self._texts: deque[str] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._close: Close | None = None
        self._sending_since: float | None = None

    @property
    def closing(self) -> bool:
        return self._close is not None

    def put(self, text: str) -> None:
        """Nothing is accepted after `finish` or `cut`."""
        if self._close is None:
            self._texts.append(text)
            self.queued += size(text)
            if self.queued >= LOW_WATER:
                self._room.clear()
            self._changed.set()

    def fits(self, text: str) -> bool:
        """A frame that is larger than the bound still passes when nothing else waits."""
        return not self._texts or self.queued + size(text) <= self.max_bytes

    def finish(self, close: Close) -> None:
        """Send what is queued, then close. The first reason given is the one that holds."""
        if self._close is None:
            self._close = close
            self._changed.set()
            if self.on_close:
                self.on_close()

    def cut(self, close: Close) -> None:
        """Close without sending what is queued."""
        self.finish(close)
        self._texts.clear()
        self.queued = 0
        self._room.set()

    def stalled_for(self) -> float:
        """Seconds for which the client has not taken the frame that is being sent."""
        return 0.0 if self._sending_since is None else self._clock() - self._sending_since

    async def room(self) -> None:
        """Wait until little is queued: whoever answers a client's requests waits here before taking the next."""
        await self._room.wait()

    async def run(self, send: Callable[[str], Awaitable[None]]) -> Close:
        """Raises what `send` raises when the client has gone."""
        try:
            while True:
                await self._empty(send)
                if self._close is not None:
                    return self._close
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._room.set()

    async def _empty(self, send: Callable[[str], Awaitable[None]]) -> None:
        while self._texts:
            text = self._texts.popleft()
            self.queued -= size(text)
            if self.queued < LOW_WATER:
                self._room.set()
            self._sending_since = self._clock()
            await send(text)
            self._sending_since = None


def size(text: str) -> int:
    """Bytes in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
