"""`logs.tail`: the log file from a byte offset on, for clients that come back with the cursor they were given.

Anyone may have touched the file: it can be missing, a FIFO, replaced, or one line of a gigabyte. So opening never
waits, reading happens off the event loop, and never more of it than `maxBytes` is held.
"""

import asyncio
import os
import stat
from dataclasses import dataclass
from typing import Annotated
from weakref import WeakKeyDictionary

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.hub.hub import Connection
from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.registry import Call, method

FileId = tuple[int, int]
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC

_seen: WeakKeyDictionary[Connection, FileId] = WeakKeyDictionary()
"""The file that each client's cursor counts in. A new file of the same name may be the longer one."""


class TailParams(Params, frozen=True):
    cursor: Annotated[int, Meta(ge=0)] | None = None
    """Where to go on; absent: the end of the file."""
    limit: Annotated[int, Meta(ge=1, le=5000)] = 500
    max_bytes: Annotated[int, Meta(ge=1, le=1_000_000)] = 250_000


class Tail(Struct, rename="camel"):
    file: str
    """"" when nothing is logged to a file."""
    cursor: int
    """For the next call; before the file's end while its last line is not finished, or beyond `limit`."""
    size: int
    lines: list[str]
    """JSON lines as they stand in the file."""
    truncated: bool
    """Older bytes of the file were left out for `maxBytes`."""
    reset: bool
    """The cursor no longer fits: the file is another one, or ran away. What follows is its end."""
    skipped_bytes: int | UnsetType = UNSET
    """Between the old cursor and the first line here, when it ran away."""


@method("logs.tail", TailParams, Tail, scope=READ)
async def logs_tail(call: Call, params: TailParams) -> Tail:
    """Lines of the log file: its end at first, then what has come since `cursor`."""
    file = call.core.report().log_file
    if file is None:
        return _nothing("", params)
    try:
        tail, id = await asyncio.to_thread(read_tail, file, params, _seen.get(call.connection))
    except OSError as error:
        raise RpcError(WireError("UNAVAILABLE", f"log read failed: {error.strerror}")) from None
    if id is None:
        _seen.pop(call.connection, None)
    else:
        _seen[call.connection] = id
    if call.peer.protocol < 4:
        tail.skipped_bytes = UNSET
    return tail


def read_tail(file: str, params: TailParams, known: FileId | None = None) -> tuple[Tail, FileId | None]:
    """Blocks. `known` is the file that the cursor was given for; returned is the one that was read."""
    try:
        fd = os.open(file, _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return _nothing(file, params), None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return _nothing(file, params), None
        id = (found.st_dev, found.st_ino)
        return _read(fd, file, found.st_size, params, replaced=known not in (None, id)), id
    finally:
        os.close(fd)


def _nothing(file: str, params: TailParams) -> Tail:
    return Tail(file, 0, 0, [], truncated=False, reset=bool(params.cursor))


@dataclass(frozen=True)
class _Start:
    at: int
    truncated: bool
    reset: bool
    skipped: bool


def _read(fd: int, file: str, size: int, params: TailParams, replaced: bool) -> Tail:
    start = _where(fd, size, params, replaced)
    data = os.pread(fd, size - start.at, start.at)
    first = 0
    if not _begins_line(fd, start.at):
        first = data.find(b"\n") + 1 or len(data)
    end = max(data.rfind(b"\n") + 1, first)  # what follows is still being written
    ends = _line_ends(data, first, end)
    going_on = params.cursor is not None and not start.reset
    if len(ends) > params.limit:
        if going_on:
            end = ends[params.limit - 1] + 1  # the others come with the next call
        else:
            first = ends[-params.limit - 1] + 1
    text = data[first:end].decode("utf-8", "replace")
    tail = Tail(file, start.at + end, size, text.split("\n")[:-1], start.truncated, start.reset)
    if start.skipped and params.cursor is not None:
        tail.skipped_bytes = start.at + first - params.cursor
    return tail


def _where(fd: int, size: int, params: TailParams, replaced: bool) -> _Start:
    tail = max(0, size - params.max_bytes)
    cursor = params.cursor
    if cursor is None:
        return _Start(tail, tail > 0, reset=False, skipped=False)
    # A cursor of ours begins a line, unless that line was longer than maxBytes: any other counts in a lost file.
    if cursor > size or replaced or not _begins_line(fd, cursor):
        return _Start(tail, tail > 0, reset=True, skipped=False)
    if size - cursor > params.max_bytes:
        return _Start(tail, truncated=True, reset=True, skipped=True)
    return _Start(cursor, truncated=False, reset=False, skipped=False)


def _begins_line(fd: int, offset: int) -> bool:
    return offset == 0 or os.pread(fd, 1, offset - 1) == b"\n"


def _line_ends(data: bytes, first: int, end: int) -> list[int]:
    found = []
    at = data.find(b"\n", first, end)
    while at >= 0:
        found.append(at)
        at = data.find(b"\n", at + 1, end)
    return found
