"""Of each connection that shall outlive this process: who it is, and the points at which it was at rest.

The ledger is a memfd, mapped into memory: a write is one copy, and what was written is there when the process is not. A
re-exec passes it on, systemd's fd store keeps it over a cold restart and a crash.

    header   magic, version, number of slots, the next id, how many slots were ever taken, a key for fingerprints
    slot     id (0: free) · who, as JSON, with its checksum · two points, each with its checksum

A point says: when so much was read and so much was written, nothing was under way, and the last event had this number.
It is written before the bytes that lead to it are. Of the two points the older one is overwritten, so a process that
dies while it writes one leaves the other; which of them the connection has reached, the kernel's counters tell.
"""

import logging
import mmap
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from gateway.handover.verdict import Point

log = logging.getLogger("gateway.handover")

VERSION = 1
SLOTS = 8176
"""Connections; `FileDescriptorStoreMax=` of the unit leaves room for the ledger itself and its like."""
SLOT_BYTES = 2048
MAX_WHO = 1952
"""Bytes of what a slot says of its connection."""
KEY_BYTES = 32

_MAGIC = b"OCGWCONN"
_HEADER = Struct("<8sIIQQ32s")
_COUNTS = Struct("<QQ")
_COUNTS_AT = 16
_HEADER_BYTES = 4096
_ID = Struct("<Q")
_WHO = Struct("<II")
_WHO_AT, _POINTS_AT, _TEXT_AT = 8, 16, 96
_POINT, _SUM = Struct("<QQQ"), Struct("<I")
_POINT_BYTES = 32


class Unreadable(Exception):
    """A ledger of another version, or none at all; `str()` says which."""


class Entry:
    """One connection's slot."""

    __slots__ = ("_at", "_ledger", "_turn", "id")

    def __init__(self, ledger: "Ledger", slot: int, id: int, turn: int = 0) -> None:
        self.id = id
        self._ledger = ledger
        self._at = _HEADER_BYTES + slot * SLOT_BYTES
        self._turn = turn

    def rest(self, read: int, written: int, seq: int) -> None:
        """Call it before the last bytes of `written` are written, once the answer to all of `read` is among them."""
        data = _POINT.pack(read, written, seq)
        at = self._at + _POINTS_AT + self._turn * _POINT_BYTES
        self._turn ^= 1
        self._ledger.memory[at : at + 28] = data + _SUM.pack(zlib.crc32(data, self.id & 0xFFFFFFFF))

    def remove(self) -> None:
        self._ledger.free(self._at, self.id)


@dataclass(frozen=True)
class Found:
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
            raise Unreadable(f"{os.fstat(self.fd).st_size} bytes instead of {size}")
        self.memory = mmap.mmap(self.fd, size)
        if inherited is None:
            _HEADER.pack_into(self.memory, 0, _MAGIC, VERSION, SLOTS, 1, 0, os.urandom(KEY_BYTES))
        self._next, self._taken, self.key = self._read_header()
        self._free = [slot for slot in reversed(range(self._taken)) if not self._id(slot)]

    def enter(self, who: bytes) -> Entry | None:
        """A slot for a connection, without a point yet; None if all are taken or it says too much of itself."""
        if len(who) > MAX_WHO or not (self._free or self._taken < SLOTS):
            return None
        if self._free:
            slot = self._free.pop()
        else:
            slot = self._taken  # what was never taken is never touched: a page that is only read takes memory too
            self._taken += 1
        id = self._next
        self._next += 1
        _COUNTS.pack_into(self.memory, _COUNTS_AT, self._next, self._taken)
        at = _HEADER_BYTES + slot * SLOT_BYTES
        head = _WHO.pack(len(who), zlib.crc32(who))
        self.memory[at + _WHO_AT : at + _TEXT_AT] = head.ljust(_TEXT_AT - _WHO_AT, b"\0")
        self.memory[at + _TEXT_AT : at + _TEXT_AT + len(who)] = who
        _ID.pack_into(self.memory, at, id)  # the last: from here on the slot is taken
        return Entry(self, slot, id)

    def found(self) -> Iterator[Found]:
        """All that is whole. A slot that is torn was never finished, and its connection never stored."""
        for slot in range(self._taken):
            id = self._id(slot)
            if not id:
                continue
            at = _HEADER_BYTES + slot * SLOT_BYTES
            length, checksum = _WHO.unpack_from(self.memory, at + _WHO_AT)
            who = self.memory[at + _TEXT_AT : at + _TEXT_AT + min(length, MAX_WHO)]
            if length <= MAX_WHO and zlib.crc32(who) == checksum:
                points = tuple(self._points(at, id))
                yield Found(Entry(self, slot, id, turn=self._older(at, id)), who, points)
            else:
                self.free(at, id)

    def free(self, at: int, id: int) -> None:
        if _ID.unpack_from(self.memory, at)[0] == id:
            _ID.pack_into(self.memory, at, 0)
            self._free.append((at - _HEADER_BYTES) // SLOT_BYTES)

    def close(self) -> None:
        self.memory.close()
        os.close(self.fd)

    def _id(self, slot: int) -> int:
        id: int = _ID.unpack_from(self.memory, _HEADER_BYTES + slot * SLOT_BYTES)[0]
        return id

    def _points(self, at: int, id: int) -> Iterator[Point]:
        return (point for number in (0, 1) if (point := self._point(at, id, number)))

    def _older(self, at: int, id: int) -> int:
        """The number of the point to overwrite first: one that is torn, else the older one."""
        first, second = self._point(at, id, 0), self._point(at, id, 1)
        return 1 if first and (second is None or second < first) else 0

    def _point(self, at: int, id: int, number: int) -> Point | None:
        start = at + _POINTS_AT + number * _POINT_BYTES
        data = self.memory[start : start + _POINT.size]
        whole = _SUM.unpack_from(self.memory, start + _POINT.size)[0] == zlib.crc32(data, id & 0xFFFFFFFF)
        return Point(*_POINT.unpack(data)) if whole else None

    def _read_header(self) -> tuple[int, int, bytes]:
        magic, version, slots, next_id, taken, key = _HEADER.unpack_from(self.memory, 0)
        if magic != _MAGIC:
            raise Unreadable("it is no ledger")
        if version != VERSION or slots != SLOTS:
            raise Unreadable(f"version {version} with {slots} slots, and this is version {VERSION} with {SLOTS}")
        return next_id, min(taken, SLOTS), key
