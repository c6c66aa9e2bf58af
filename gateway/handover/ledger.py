"""Of each connection that shall outlive this process: who it is, and the points at which it was at rest.

The ledger is a memfd, mapped into memory: a write is one copy, and what was written is there when the process is not. A
re-exec passes it on, systemd's fd store keeps it over a cold restart and a crash.

    header   magic, version, number of slots, the next id, a key for fingerprints; the rest of its page is `told`'s
    slot     id (0: free) · who, as JSON, with its checksum · two points, each with its checksum

A point says: when so much was read and so much was written, nothing was under way, and the last event had this number.
While something is, it says only how much is written in whole messages, after which a close frame can be understood.
It is written before the bytes that lead to it are. Of the two points the older one is overwritten, so a process that
dies while it writes one leaves the other; which of them the connection has reached, the kernel's counters tell.
"""

import contextlib
import mmap
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from gateway.handover.verdict import Point

VERSION = 1
SLOTS = 8176
"""Connections; `FileDescriptorStoreMax=` of the unit leaves room for the ledger itself and its like."""
SLOT_BYTES = 2048
MAX_WHO = 1952
"""Bytes of what a slot says of its connection."""
KEY_BYTES = 32

_MAGIC = b"OCGWCONN"
_HEADER = Struct("<8sIIQ32s")
_HEADER_BYTES = 4096
_NEXT_AT = 16
_SPARE_AT = 64
_ID = Struct("<Q")
_MAX_ID = 2**63
_WHO = Struct("<II")
_WHO_AT, _POINTS_AT, _TEXT_AT = 8, 16, 96
_POINT, _SUM = Struct("<QQQ"), Struct("<I")
_POINT_BYTES = 32
_UNKNOWN = 2**64 - 1
"""As much as is never read of a connection."""


class UnreadableLedger(Exception):
    """A ledger of another version, or none at all; `str()` says which."""


class Entry:
    """One connection's slot."""

    __slots__ = ("_at", "_ledger", "_seed", "_turn", "id")

    def __init__(self, ledger: "Ledger", slot: int, id: int, turn: int = 0) -> None:
        self.id = id
        self._ledger = ledger
        self._at = _start_of(slot)
        self._seed = _seed(id)
        self._turn = turn

    def rest(self, read: int, written: int, seq: int) -> None:
        """Call it before the last bytes of `written` are written, once the answer to all of `read` is among them."""
        self._write(_POINT.pack(read, written, seq))

    def busy(self, written: int) -> None:
        """Call it before the last bytes of `written` are written, while something is under way."""
        self._write(_POINT.pack(_UNKNOWN, written, 0))

    def _write(self, data: bytes) -> None:
        at = self._at + _POINTS_AT + self._turn * _POINT_BYTES
        self._turn ^= 1
        self._ledger.memory[at : at + 28] = data + _SUM.pack(zlib.crc32(data, self._seed))

    def reached(self, point: Point) -> None:
        """The connection is here, at one of its points. The other one is gone, which may have been written for bytes
        that never came: who goes on writes other bytes."""
        self._turn = 1 if self._ledger.point(self._at, self.id, 0) == point else 0
        self.rest(*point)

    def remove(self) -> None:
        self._ledger.free(self._at, self.id)


@dataclass(frozen=True)
class InheritedEntry:
    """What a predecessor has left of one connection."""

    entry: Entry
    who: bytes
    points: tuple[Point, ...]


class Ledger:
    def __init__(self, inherited: int | None = None) -> None:
        """Raise Unreadable for what is not a ledger of this version: nothing can be known of its connections."""
        self.fd = os.memfd_create("openclaw-gateway-ledger", os.MFD_CLOEXEC) if inherited is None else inherited
        size = _HEADER_BYTES + SLOTS * SLOT_BYTES
        if inherited is None:
            os.truncate(self.fd, size)
        elif os.fstat(self.fd).st_size != size:
            raise UnreadableLedger(f"{os.fstat(self.fd).st_size} bytes instead of {size}")
        self.memory = mmap.mmap(self.fd, size)
        if inherited is None:
            self.memory[: _HEADER.size] = _HEADER.pack(_MAGIC, VERSION, SLOTS, 1, os.urandom(KEY_BYTES))
        self._next, self.key = self._read_header()
        self.spare = memoryview(self.memory)[_SPARE_AT:_HEADER_BYTES]
        """Room for others who write down what goes with the connections."""
        self._taken = {slot: id for slot in self._touched() if 0 < (id := self._id(slot)) < self._next}
        self._free = [slot for slot in reversed(range(SLOTS)) if slot not in self._taken]

    def _touched(self) -> Iterator[int]:
        """Slots that were ever written to: the kernel gives memory for all that is looked at."""
        end = _HEADER_BYTES
        with contextlib.suppress(OSError):  # there is nothing more
            while True:
                start = os.lseek(self.fd, end, os.SEEK_DATA)
                end = os.lseek(self.fd, start, os.SEEK_HOLE)
                yield from range((start - _HEADER_BYTES) // SLOT_BYTES, (end - _HEADER_BYTES) // SLOT_BYTES)

    def enter(self, who: bytes) -> Entry | None:
        """A slot for a connection, without a point yet; None if all are taken or it says too much of itself."""
        if len(who) > MAX_WHO or not self._free:
            return None
        slot, id = self._free.pop(), self._next
        self._next += 1
        self._write_id(_NEXT_AT, self._next)
        at = _start_of(slot)
        head = _WHO.pack(len(who), zlib.crc32(who, _seed(id)))
        self.memory[at + _WHO_AT : at + _TEXT_AT] = head.ljust(_TEXT_AT - _WHO_AT, b"\0")
        self.memory[at + _TEXT_AT : at + _TEXT_AT + len(who)] = who
        self._write_id(at, id)  # the last: from here on the slot is taken
        self._taken[slot] = id
        return Entry(self, slot, id)

    def found(self) -> Iterator[InheritedEntry]:
        """All that is whole. A slot that is torn was never finished, and its connection never stored."""
        for slot, id in list(self._taken.items()):
            at = _start_of(slot)
            length, checksum = _WHO.unpack_from(self.memory, at + _WHO_AT)
            who = self.memory[at + _TEXT_AT : at + _TEXT_AT + min(length, MAX_WHO)]
            if length <= MAX_WHO and zlib.crc32(who, _seed(id)) == checksum:
                points = tuple(self._points(at, id))
                yield InheritedEntry(Entry(self, slot, id, turn=self._older(at, id)), who, points)
            else:
                self.free(at, id)

    def free(self, at: int, id: int) -> None:
        slot = (at - _HEADER_BYTES) // SLOT_BYTES
        if self._taken.get(slot) == id:
            del self._taken[slot]
            self._write_id(at, 0)
            self._free.append(slot)

    def close(self) -> None:
        self.spare.release()
        self.memory.close()
        os.close(self.fd)

    def _id(self, slot: int) -> int:
        id: int = _ID.unpack_from(self.memory, _start_of(slot))[0]
        return id

    def _write_id(self, at: int, id: int) -> None:
        self.memory[at : at + _ID.size] = _ID.pack(id)  # `pack_into` would write zeros first

    def _points(self, at: int, id: int) -> Iterator[Point]:
        return (point for number in (0, 1) if (point := self.point(at, id, number)))

    def _older(self, at: int, id: int) -> int:
        """The number of the point to overwrite first: one that is torn, else the older one."""
        first, second = self.point(at, id, 0), self.point(at, id, 1)
        return 1 if first and (second is None or (second.written, second.read) < (first.written, first.read)) else 0

    def point(self, at: int, id: int, number: int) -> Point | None:
        start = at + _POINTS_AT + number * _POINT_BYTES
        data = self.memory[start : start + _POINT.size]
        whole = _SUM.unpack_from(self.memory, start + _POINT.size)[0] == zlib.crc32(data, _seed(id))
        return Point(*_POINT.unpack(data)) if whole else None

    def _read_header(self) -> tuple[int, bytes]:
        magic, version, slots, next_id, key = _HEADER.unpack_from(self.memory, 0)
        if magic != _MAGIC:
            raise UnreadableLedger("it is no ledger")
        if version != VERSION or slots != SLOTS:
            raise UnreadableLedger(f"version {version} with {slots} slots, and this is version {VERSION} with {SLOTS}")
        if not 0 < next_id < _MAX_ID:
            raise UnreadableLedger(f"its next connection is number {next_id}")
        return next_id, key


def _start_of(slot: int) -> int:
    return _HEADER_BYTES + slot * SLOT_BYTES


def _seed(id: int) -> int:
    """Of the checksums in a slot: what another connection has left in it is not this one's."""
    return zlib.crc32(_ID.pack(id))
