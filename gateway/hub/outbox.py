"""The queue of messages for one client, bounded in bytes, and emptied into its transport as the transport takes them.

`put` never waits: a client that does not read fills its own queue and nothing else.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gateway.aio.flag import Flag
from gateway.protocol.closing import Close

LOW_WATER = 64 * 1024
"""Bytes; `room` waits until fewer are unread."""
EAGER = 16 * 1024
"""Bytes from which a queue is written at once, not at the end of the loop's turn: a large event must not wait in the
queue of each client."""
BATCH = 64 * 1024
"""Bytes of one write; a single message may be longer."""
_NOTHING: Final = deque[bytes]()
"""The queue of all outboxes that are empty: a deque takes 700 bytes, and most are empty."""


class Pipe(Protocol):
    """The transport's end that takes messages."""

    @property
    def write_paused(self) -> bool:
        """Whether something that was written has not been taken yet. Once it is taken, `flush` must be called."""
        ...

    def write(self, texts: Sequence[bytes]) -> None:
        """Send each, in UTF-8, as a text message, now. After the connection's end this does nothing."""
        ...


class Outbox:
    """Messages that are put in within one turn of the loop go out in one write, at the end of the turn."""

    __slots__ = (
        *("max_bytes", "on_close", "on_end", "queued"),
        *("_close", "_clock", "_pipe", "_room", "_soon", "_stalled", "_texts", "_written"),
    )

    def __init__(self, pipe: Pipe, max_bytes: int, clock: Callable[[], float]) -> None:
        self.max_bytes = max_bytes
        self.on_close: Callable[[], None] | None = None
        """Called once, when it is decided to close."""
        self.on_end: Callable[[Close], None] | None = None
        """Called once, when all that is to be sent is written: it is time for the close frame."""
        self.queued = 0
        """Bytes in the queue, without those that the transport has."""
        self._written = 0
        """Bytes of the last write, until the transport has taken it."""
        self._pipe = pipe
        self._clock = clock
        self._texts = _NOTHING
        self._room = Flag(is_set=True)
        self._close: Close | None = None
        self._soon = False
        self._stalled: float | None = None
        """Since when the transport takes nothing, by the clock; None while it takes."""

    @property
    def closing(self) -> bool:
        return self._close is not None

    @property
    def unread(self) -> int:
        """Bytes that wait for the client. It is an upper bound: the transport does not say how much of a write it has
        taken."""
        return self.queued + self._written

    @property
    def has_room(self) -> bool:
        return self._room.is_set()

    def put(self, text: bytes, *, more: bool = False) -> None:
        """Queue a message. After `finish` or `cut` this does nothing. `more`: another one follows at once, so that a
        large one waits for it."""
        if self._close is not None:
            return
        if not self._texts:
            self._texts = deque()
        self._texts.append(text)
        self.queued += len(text)
        self._look()
        self._flush_soon(EAGER if not more else sys.maxsize)

    def fits(self, text: bytes) -> bool:
        """Whether a message may be queued. One that is larger than the bound may be when nothing else waits."""
        return not self._texts or self.queued + len(text) <= self.max_bytes

    def finish(self, close: Close) -> None:
        """Send what is queued, then close. The first reason that is given holds."""
        if self._close is None:
            self._close = close
            self._room.set()
            if self.on_close:
                self.on_close()
            self._flush_soon()

    def cut(self, close: Close) -> None:
        """Close without sending what is queued."""
        self._texts = _NOTHING
        self.queued = 0
        self.finish(close)
        self._room.set()
        self._flush_soon()

    def waiting(self) -> list[bytes]:
        """Queued messages, the oldest first."""
        return list(self._texts)

    def stalled_for(self) -> float:
        """Seconds for which the transport has taken nothing of what was written."""
        return 0.0 if self._stalled is None else self._clock() - self._stalled

    async def room(self) -> None:
        """Wait until the client has taken nearly all. Await it before the next answer is built."""
        await self._room.wait()

    def _look(self) -> None:
        if self.unread < LOW_WATER or self._close is not None:
            self._room.set()
        else:
            self._room.clear()

    def _flush_soon(self, eager: int = EAGER) -> None:
        if self._pipe.write_paused:
            if self._stalled is None:
                self._stalled = self._clock()
        elif self.queued >= eager:
            self.flush()
        elif not self._soon:
            self._soon = True
            asyncio.get_running_loop().call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._soon = False
        self.flush()

    def flush(self) -> None:
        """Write as much as the transport takes."""
        if not self._pipe.write_paused:
            self._written = 0
        while self._texts and not self._pipe.write_paused:
            before = self.queued
            self._pipe.write(self._take())
            self._written = before - self.queued if self._pipe.write_paused else 0
        self._look()
        if not self._pipe.write_paused:
            self._stalled = None
        elif self._stalled is None:
            self._stalled = self._clock()
        if self._close is not None and not self._texts and self.on_end:
            tell, self.on_end = self.on_end, None
            tell(self._close)

    def _take(self) -> list[bytes]:
        """Remove the oldest messages, of `BATCH` bytes or a little more together."""
        texts: list[bytes] = []
        taken = 0
        while self._texts and taken < BATCH:
            texts.append(self._texts.popleft())
            taken += len(texts[-1])
        if not self._texts:
            self._texts = _NOTHING
        self.queued -= taken
        return texts
