"""`logs.tail`: the log file from a byte offset on, which a client gets as the cursor of the answer before."""

import asyncio
from typing import Annotated
from weakref import WeakKeyDictionary

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.hub.connection import Connection
from gateway.logs.reading import FileId, read_page
from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.registry import Call, method

_read_files: WeakKeyDictionary[Connection, FileId] = WeakKeyDictionary()
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
    """Lines of the log file: the last ones, or those after `cursor`."""
    file = call.core.report().log_file
    if file is None:
        return _nothing("", params)
    known = _read_files.get(call.connection)
    try:
        page, id = await asyncio.to_thread(read_page, file, params.cursor, params.limit, params.max_bytes, known)
    except OSError as error:
        raise RpcError(WireError("UNAVAILABLE", f"log read failed: {error.strerror}")) from None
    if page is None or id is None:
        _read_files.pop(call.connection, None)
        return _nothing(file, params)
    _read_files[call.connection] = id
    skipped = page.skipped_bytes if page.skipped_bytes and call.peer.protocol >= 4 else UNSET
    return Tail(file, page.end, page.size, page.lines, page.truncated, page.reset, skipped)


def _nothing(file: str, params: TailParams) -> Tail:
    return Tail(file, 0, 0, [], truncated=False, reset=bool(params.cursor))
