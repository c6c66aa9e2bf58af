"""What an import asks of a session of OpenClaw's, wherever that lies."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.sessions.openclaw.chain import EventPlace


class UnreadableSession(Exception):
    """A session, or an agent's sessions, that cannot be brought along; `str()` says why."""


class Transcript(Protocol):
    began: int
    """Milliseconds since 1970; 0 if it does not say."""
    branch: Sequence[EventPlace]
    left_out: dict[str, int]
    """What is not on the branch, counted."""

    def text(self, place: EventPlace) -> bytes:
        """The JSON of an event. Raises Unreadable."""
        ...


@dataclass(frozen=True)
class Candidate:
    agent: str
    key: str
    """As OpenClaw spells it."""
    entry: dict[str, Any]
    read: Callable[[], AbstractContextManager[Transcript]]
    """Raises Unreadable."""


@dataclass(frozen=True)
class UnlistedAgent:
    """Sessions of an agent that cannot even be listed."""

    agent: str
    why: str


@dataclass
class Nothing:
    """A session without a transcript."""

    began: int = 0
    branch: Sequence[EventPlace] = ()
    left_out: dict[str, int] = field(default_factory=dict)

    def text(self, place: EventPlace) -> bytes:
        raise UnreadableSession("it has no transcript")
