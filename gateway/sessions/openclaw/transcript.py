"""The interface of OpenClaw's sessions for an import, for files and databases."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.sessions.openclaw.chain import EventPlace


class UnreadableSession(Exception):
    """A session that cannot be imported; `str()` says why."""


class Transcript(Protocol):
    began: int
    """Milliseconds since 1970; 0 if it is not known."""
    branch: Sequence[EventPlace]
    left_out: dict[str, int]
    """Counts of what is not on the branch, by name."""

    def text(self, place: EventPlace) -> bytes:
        """The JSON of an event. Raises UnreadableSession."""
        ...


@dataclass(frozen=True)
class Candidate:
    agent: str
    key: str
    """The session key as OpenClaw has it."""
    entry: dict[str, Any]
    """The session's entry in OpenClaw's index: `sessionId`, `updatedAt`, settings, … as found, nothing is checked."""
    read: Callable[[], AbstractContextManager[Transcript]]
    """Opens the transcript. Raises UnreadableSession."""


@dataclass(frozen=True)
class UnlistedAgent:
    """An agent whose sessions cannot be listed."""

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
