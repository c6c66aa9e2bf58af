"""How far clients have been told of each run that goes on: in memory that outlives the process, beside the ledger.

It is written before the bytes are, and said to be sure once they are written: who comes after us goes on with the next
word, or knows that nobody can know.
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
    """Of one run."""

    attempt: int
    before: int
    """Events of the attempts before this one."""
    sure: bool
    """Everybody who was there at `at` has been sent all of it."""
    seq: int
    """Of the last event that is told, or of which something is."""
    characters: int
    """Told of the message that is being written."""
    thought: int
    """The same of its thinking."""
    at: int
    """Milliseconds since 1970."""
    replace: bool = False
    """What is told of its text next is not what was told before; the same of its thinking."""
    rethink: bool = False


class Told:
    """`memory` holds as many runs as it has room for; of others nothing is known afterwards."""

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
        """Of runs that a process before this one had, and nobody has told of since."""

    def find(self, run: str) -> Position | None:
        at = self._slots.get(_name(run))
        return None if at is None else self._read(at)[0]

    def messages(self, run: str) -> int:
        """Those of the run that are told as `session.message`."""
        at = self._slots.get(_name(run))
        return 0 if at is None else self._read(at)[1]

    def put(self, run: str, position: Position) -> None:
        name = _name(run)
        self._left.discard(name)
        if (at := self._slots.get(name)) is not None:
            self._write(at, name, position, self._read(at)[1])
            return
        if not self._free and self._left:
            self._drop(next(iter(self._left)))  # it has ended meanwhile, or its turn has not come
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
