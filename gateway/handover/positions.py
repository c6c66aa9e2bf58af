"""The position of each run: how far clients have been told of it, in the ledger's memory, which outlives the process.

A position is written before the bytes that it tells of, and marked as sure once they are written. So the next process
goes on with the next word, or knows that the position is not certain.
"""

import hashlib
import zlib
from struct import Struct
from typing import NamedTuple

NAME_BYTES = 16
_SLOT = Struct("<16sIIIIQIIQ")
_SUM = Struct("<I")
SLOT_BYTES = _SLOT.size + _SUM.size
_FREE = b"\0" * SLOT_BYTES


class Position(NamedTuple):
    """How far clients have been told of one run."""

    attempt: int
    before: int
    """Events of the attempts before this one."""
    sure: bool
    """All clients that were there at `at` have been sent all of it."""
    seq: int
    """The number of the last event that was told, in whole or in part."""
    characters: int
    """Characters told of the message that is being written."""
    thought: int
    """Characters told of its thinking."""
    at: int
    """Milliseconds since 1970."""
    replace: bool = False
    """The text that is told next replaces what was told before."""
    rethink: bool = False
    """The thinking that is told next replaces what was told before."""


class Positions:
    """The positions of as many runs as `memory` has room for; of others nothing is known afterwards."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._slots: dict[bytes, int] = {}
        self._free: list[int] = []
        for at in reversed(range(0, len(memory) - SLOT_BYTES + 1, SLOT_BYTES)):
            data = bytes(memory[at : at + SLOT_BYTES])
            if data != _FREE and _SUM.unpack_from(data, _SLOT.size)[0] == zlib.crc32(data[: _SLOT.size]):
                self._slots[data[:NAME_BYTES]] = at
            else:
                self._free.append(at)
        self._left = set(self._slots)
        """Runs of a process before this one, whose position has not been written since."""

    def find(self, run: str) -> Position | None:
        at = self._slots.get(_name(run))
        return None if at is None else self._read(at)[0]

    def messages(self, run: str) -> int:
        """How many messages of the run have been told as `session.message`."""
        at = self._slots.get(_name(run))
        return 0 if at is None else self._read(at)[1]

    def put(self, run: str, position: Position) -> None:
        name = _name(run)
        self._left.discard(name)
        if (at := self._slots.get(name)) is not None:
            self._write(at, name, position, self._read(at)[1])
            return
        if not self._free and self._left:
            self._drop(next(iter(self._left)))  # it has ended meanwhile, or does not go on yet
        if self._free:
            at = self._slots[name] = self._free.pop()
            self._write(at, name, position, 0)

    def note_messages(self, run: str, count: int) -> None:
        name = _name(run)
        if (at := self._slots.get(name)) is not None:
            self._write(at, name, self._read(at)[0], count)

    def drop(self, run: str) -> None:
        self._drop(_name(run))

    def _drop(self, name: bytes) -> None:
        self._left.discard(name)
        if (at := self._slots.pop(name, None)) is not None:
            self._memory[at : at + SLOT_BYTES] = _FREE
            self._free.append(at)

    def _read(self, at: int) -> tuple[Position, int]:
        found = _SLOT.unpack_from(self._memory, at)
        _, attempt, before, messages, flags, seq, characters, thought, when = found
        marks = bool(flags & 2), bool(flags & 4)
        return Position(attempt, before, bool(flags & 1), seq, characters, thought, when, *marks), messages

    def _write(self, at: int, name: bytes, position: Position, messages: int) -> None:
        attempt, before, sure, *rest, again, rethink = position
        data = _SLOT.pack(name, attempt, before, messages, sure | again << 1 | rethink << 2, *rest)
        self._memory[at : at + SLOT_BYTES] = data + _SUM.pack(zlib.crc32(data))


def _name(run: str) -> bytes:
    return hashlib.blake2b(run.encode(), digest_size=NAME_BYTES).digest()
