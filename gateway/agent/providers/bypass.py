"""Pieces of an answer on their way past the library that reads it (docs/decisions/0029).

Most events of an answer bring one more piece of the same text. A library takes twenty times as long for one as for
reading its JSON. So once the library has made a piece of an event, the next ones like it are told without it, and it
gets all of them as one event before it gets an event of another kind.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Literal, NamedTuple

Kind = Literal["text", "thinking"]
Hear = Callable[[Kind, str], Awaitable[None]]
"""Takes a piece of the answer."""

_SPECIAL = re.compile("[<\u200b\u200c\u200d\u2060\ufeff]")
"""Characters for which a library may look: tags of thinking, and what breaks special tokens."""


class Delta(NamedTuple):
    """An event that brings a piece of a text and nothing else. `bytes` of it are the event."""

    of: object
    """Equal for events that differ only in the piece."""
    text: str
    spell: Callable[[str], bytes]
    """The event with another text."""

    def __bytes__(self) -> bytes:
        return self.spell(self.text)


class Bypass:
    """One answer between its transport, which calls `take` and `pass_on`, and its reader, which calls `made`."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._last: Delta | None = None
        """The event that was passed or taken last; None if it was no piece."""
        self._kind: Kind | None = None
        """What the library has made of that event."""
        self._taken: list[str] = []
        """Pieces that the library has not got."""
        self._repeats = False
        """Whether the library reads pieces that were taken."""

    async def take(self, event: bytes | Delta) -> bool:
        """Have the piece heard if it is one more of the same; False if the event is for the library."""
        if self._kind is None or self._last is None or isinstance(event, bytes):
            return False
        if event.of != self._last.of or _SPECIAL.search(event.text):
            return False
        self._last = event
        self._taken.append(event.text)
        await self._hear(self._kind, event.text)
        return True

    def pass_on(self, event: bytes | Delta) -> Iterator[bytes]:
        """What the library is to read: the pieces that were taken, as one event, and this event."""
        yield from self.pass_taken()
        self._last = event if isinstance(event, Delta) else None
        yield bytes(event)

    def pass_taken(self) -> Iterator[bytes]:
        """The pieces that were taken, as one event."""
        self._kind = None
        if self._taken and self._last is not None:
            whole, self._taken = "".join(self._taken), []
            self._repeats = True
            yield self._last.spell(whole)
            self._repeats = False  # the library asks for more, so it has read that

    async def made(self, kind: Kind, text: str) -> None:
        """The library has made a piece of what it reads: have it heard, unless it was."""
        if not self._repeats:
            # An unchanged piece shows that the library adds such events to its text as they are.
            self._kind = kind if self._last is not None and self._last.text == text else None
            await self._hear(kind, text)


_current: ContextVar[Bypass] = ContextVar("bypass")


def open_bypass(hear: Hear) -> Bypass:
    """A bypass for the request that this task sends next."""
    bypass = Bypass(hear)
    _current.set(bypass)
    return bypass


def current_bypass() -> Bypass:
    """The bypass of the request that this task sends. Call it only after `open_bypass`."""
    return _current.get()
