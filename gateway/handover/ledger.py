"""The ledger: the client of each connection that may outlive this process, and the points at which it was at rest.

It is a memfd, mapped into memory: a write is one copy, and what was written outlives the process. A re-exec passes it
on, and systemd's fd store keeps it over a cold restart and a crash.

    header   magic, version, number of slots, the next id, a key for fingerprints; the rest of the page is `positions`
    slot     id (0: free) · client, as JSON, with its checksum · two points, each with its checksum

A point at rest says: when so many bytes were read and so many were written, nothing was under way, and the last event
had this number. A busy point says only how many bytes were written in whole messages, after which a close frame can be
understood. A point is written before the bytes that lead to it. The older of the two points is overwritten, so a
process that dies while it writes one leaves the other. The kernel's counters tell which one the connection has reached.
"""

import contextlib
import mmap
import os
import zlib
from collections.abc import Iterator
from struct import Struct

import msgspec

from gateway.handover.verdict import Point

VERSION = 1
SLOTS = 8176
"""Connections. `FileDescriptorStoreMax=` of the unit has room for these, the ledger and a few more."""
SLOT_BYTES = 2048
MAX_CLIENT_BYTES = 1952
"""Bytes that a slot has for what is known of its client."""
KEY_BYTES = 32

_MAGIC = b"OCGWCONN"
_HEADER = Struct("<8sIIQ32s")
_HEADER_BYTES = 4096
_NEXT_AT = 16
_SPARE_AT = 64
_ID = Struct("<Q")
_MAX_ID = 2**63
_CLIENT = Struct("<II")
_CLIENT_AT, _POINTS_AT, _TEXT_AT = 8, 16, 96
_POINT, _SUM = Struct("<QQQ"), Struct("<I")
_POINT_BYTES = 32
_UNKNOWN = 2**64 - 1
"""More bytes than any connection has."""


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

    def note_rest(self, read: int, written: int, seq: int) -> None:
        """Call it before the last bytes of `written` are written, once the answer to all of `read` is among them."""
        self._write(_POINT.pack(read, written, seq))

    def note_busy(self, written: int) -> None:
        """Call it before the last bytes of `written` are written, while something is under way."""
        self._write(_POINT.pack(_UNKNOWN, written, 0))

    def _write(self, data: bytes) -> None:
        at = self._at + _POINTS_AT + self._turn * _POINT_BYTES
        self._turn ^= 1
        self._ledger.memory[at : at + 28] = data + _SUM.pack(zlib.crc32(data, self._seed))

    def set_point(self, point: Point) -> None:
        """Write the point that the connection has reached over the other one.

        The other one may have been written for bytes that never came, and other bytes will be written now.
        """
        self._turn = 1 if self._ledger.point(self._at, self.id, 0) == point else 0
        self.note_rest(*point)

    def remove(self) -> None:
        """Free the slot. A second time does no harm."""
        self._ledger.free(self._at, self.id)


class InheritedEntry(msgspec.Struct, frozen=True):
    """One connection of the process before."""

    entry: Entry
    client: bytes
    """The bytes that were given to `Ledger.add`."""
    points: tuple[Point, ...]


class Ledger:
    def __init__(self, inherited: int | None = None) -> None:
        """Raise UnreadableLedger if `inherited` is not a ledger of this version: its connections cannot be known."""
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
        """The rest of the header's page, for what else must outlive the process with the connections."""
        self._taken = {slot: id for slot in self._touched() if 0 < (id := self._id(slot)) < self._next}
        above = max(self._taken, default=-1) + 1
        self._free = [slot for slot in reversed(range(above)) if slot not in self._taken]
        self._untouched = range(above, SLOTS)  # a list of them would be a third of a megabyte

    def _touched(self) -> Iterator[int]:
        """Slots that were ever written to. Looking at the others would have the kernel allocate their memory."""
        end = _HEADER_BYTES
        with contextlib.suppress(OSError):  # there is nothing more
            while True:
                start = os.lseek(self.fd, end, os.SEEK_DATA)
                end = os.lseek(self.fd, start, os.SEEK_HOLE)
                yield from range((start - _HEADER_BYTES) // SLOT_BYTES, (end - _HEADER_BYTES) // SLOT_BYTES)

    def add(self, client: bytes) -> Entry | None:
        """Take a slot for a connection, without a point yet; None if all are taken, or `client` is too long."""
        if len(client) > MAX_CLIENT_BYTES or not (self._free or self._untouched):
            return None
        slot, id = self._take(), self._next
        self._next += 1
        self._write_id(_NEXT_AT, self._next)
        at = _start_of(slot)
        head = _CLIENT.pack(len(client), zlib.crc32(client, _seed(id)))
        self.memory[at + _CLIENT_AT : at + _TEXT_AT] = head.ljust(_TEXT_AT - _CLIENT_AT, b"\0")
        self.memory[at + _TEXT_AT : at + _TEXT_AT + len(client)] = client
        self._write_id(at, id)  # the last: from here on the slot is taken
        self._taken[slot] = id
        return Entry(self, slot, id)

    def _take(self) -> int:
        if self._free:
            return self._free.pop()
        slot, self._untouched = self._untouched[0], self._untouched[1:]
        return slot

    def inherited(self) -> Iterator[InheritedEntry]:
        """Yield the entries that are whole. One that is torn was never finished, and its connection never stored."""
        for slot, id in list(self._taken.items()):
            at = _start_of(slot)
            length, checksum = _CLIENT.unpack_from(self.memory, at + _CLIENT_AT)
            client = self.memory[at + _TEXT_AT : at + _TEXT_AT + min(length, MAX_CLIENT_BYTES)]
            if length <= MAX_CLIENT_BYTES and zlib.crc32(client, _seed(id)) == checksum:
                points = tuple(self._points(at, id))
                yield InheritedEntry(Entry(self, slot, id, turn=self._older(at, id)), client, points)
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
    """The start value of a slot's checksums: what another connection has left in the slot does not fit."""
    return zlib.crc32(_ID.pack(id))
