"""The events of an OpenClaw transcript that make up the conversation. Pure.

An event names its parent, so that a transcript is a tree; the branch that ends at the last event is the conversation.
A `reset` in it starts a new one. A `compaction` has a summary, which a model is told in place of all messages before
its `firstKeptEntryId`; the messages are still there.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

MESSAGE, COMPACTION, RESET, HEADER = "message", "compaction", "reset", "session"
NEWEST = 4
"""The newest version of transcripts: 2026.9.6 writes it; 2026.2.1 writes 3."""


class Head(Struct, frozen=True, rename="camel"):
    """The fields of an event that say where it belongs."""

    type: str = ""
    id: str | None = None
    parent_id: str | None | UnsetType = UNSET
    """null: a root. Absent, as in injected messages: the parent is the event before it."""
    timestamp: Any = None
    version: Any = None
    """The version of the transcript, in its first line."""
    first_kept_entry_id: str | None = None


class EventPlace(Struct, frozen=True, gc=False):
    """The place of an event in the tree, without its text: a transcript may have gigabytes."""

    kind: str
    id: str | None
    parent: int
    """Number of its parent; -1 for a root."""
    first_kept: str | None
    at: int
    """Offset of its text in the file, or its number in the database."""
    size: int


class Step(Struct, frozen=True):
    """A message of the conversation, or a summary of the messages before it."""

    place: EventPlace
    summary: bool = False


class Tree:
    """The tree of events. Add them in the order in which they were written."""

    def __init__(self) -> None:
        self.places: list[EventPlace] = []
        self._numbers: dict[str, int] = {}

    def add(self, head: Head, at: int, size: int) -> None:
        last = len(self.places) - 1
        parent = -1 if head.parent_id is None else self._numbers.get(head.parent_id or "", last)
        if head.id is not None:
            self._numbers[head.id] = len(self.places)
        self.places.append(EventPlace(head.type, head.id, parent, head.first_kept_entry_id, at, size))

    def branch(self) -> list[EventPlace]:
        """The branch that ends at the last event, from its root."""
        found, number = list[EventPlace](), len(self.places) - 1
        while number >= 0:
            found.append(self.places[number])
            number = self.places[number].parent
        return found[::-1]


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Exceptions of reading JSON."""
decode_head = msgspec.json.Decoder(Head).decode


def steps(branch: Sequence[EventPlace]) -> list[Step]:
    """The messages since the last reset, with the last summary before the first message that it does not stand for."""
    begin = 0
    compaction: int | None = None
    for number, place in enumerate(branch):
        if place.kind == RESET:
            begin, compaction = _number_of(place.first_kept, branch, number + 1), None
        elif place.kind == COMPACTION:
            compaction = number
    kept = -1 if compaction is None else _number_of(branch[compaction].first_kept, branch, compaction)
    found: list[Step] = []
    for number in range(begin, len(branch)):
        if number == max(kept, begin) and compaction is not None:
            found.append(Step(branch[compaction], summary=True))
        if branch[number].kind == MESSAGE:
            found.append(Step(branch[number]))
    return found


def _number_of(id: str | None, branch: Sequence[EventPlace], otherwise: int) -> int:
    return next((number for number, place in enumerate(branch) if place.id == id and id is not None), otherwise)
