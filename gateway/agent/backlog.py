"""The events of one run that the gateway has not acknowledged, kept as the lines that go over the link.

Pieces of text become one event while nobody has asked for the next line: those that come in one read of a provider's
answer cost the gateway one line.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from gateway.link.messages import Ended, Event, Happening, Text, Thinking, encode

MAX_UNACKED = 4 * 1024 * 1024
"""Bytes of one run's events. A run that has more reads no further from its provider until some are acknowledged. So the
backlog may exceed this by one event."""


MAX_JOINED = 16 * 1024
"""Bytes of the pieces that become one event."""


class Backlog:
    """Numbers events from 1 and keeps them from `acked` + 1 to `last`."""

    def __init__(self, run: str, clock: Callable[[], float] = time.time) -> None:
        self._run = run
        self._clock = clock
        self._lines: deque[bytes] = deque()
        self._kind: type[Text | Thinking] | None = None
        """Of what `_pieces` are."""
        self._pieces: list[str] = []
        """Pieces that are no event yet."""
        self._joined = 0
        """Bytes of them."""
        self._room = asyncio.Event()
        self._room.set()
        self.acked = 0
        self.size = 0
        """Bytes of all lines that are kept, and of the pieces that are no line yet."""
        self.ended = False

    @property
    def last(self) -> int:
        """The number of the last event. Pieces are part of it after `seal`."""
        return self.acked + len(self._lines)

    @property
    def done(self) -> bool:
        """Whether the run has ended and the gateway has acknowledged all of it."""
        return self.ended and not self._lines

    def append(self, what: Happening) -> None:
        """Raises ValueError for an event that is longer than the link takes."""
        assert not self.ended, "nothing happens in a run after its end"
        if isinstance(what, Text | Thinking):
            self._join(what)
            return
        self.seal()
        self._encode(what)
        self.ended = isinstance(what, Ended)

    def seal(self) -> None:
        """Make an event of the pieces that are there. The next piece begins another one."""
        if self._kind is not None:
            what = self._kind("".join(self._pieces))
            self._kind, self._pieces = None, []
            self._resize(-self._joined)
            self._joined = 0
            self._encode(what)

    def _join(self, piece: Text | Thinking) -> None:
        size = len(piece.delta.encode())  # and what cannot be encoded must not wait until then
        if self._kind is not type(piece) or self._joined + size > MAX_JOINED:
            self.seal()
            self._kind = type(piece)
        self._pieces.append(piece.delta)
        self._joined += size
        self._resize(size)

    def _encode(self, what: Happening) -> None:
        line = encode(Event(self._run, self.last + 1, int(self._clock() * 1000), what))
        self._lines.append(line)
        self._resize(len(line))

    def line(self, seq: int) -> bytes:
        """The line of the event with this number. The event must still be kept."""
        return self._lines[seq - self.acked - 1]

    def ack(self, seq: int) -> None:
        """Drop the events up to `seq`, or all of them if `seq` is beyond the last one."""
        while self._lines and self.acked < seq:
            line = self._lines.popleft()
            self.acked += 1
            self._resize(-len(line))

    async def wait_for_room(self) -> None:
        """Return when at most `MAX_UNACKED` bytes are kept."""
        await self._room.wait()

    def _resize(self, by: int) -> None:
        self.size += by
        if self.size > MAX_UNACKED:
            self._room.clear()
        else:
            self._room.set()
