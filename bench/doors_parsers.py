"""Time per byte of what reads others' bytes, on input that is made to be slow: at two lengths, and the slope."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from math import log

from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateway.config.parse import parse
from gateway.protocol.admission.origin import request_origin
from gateway.protocol.frames import Malformed, NotJson, decode_request
from gateway.protocol.values import crowded
from gateway.serving.frame_parser import FrameParser
from gateway.serving.frames import is_utf8
from gateway.text.lines import LineSplitter

SHORT, LONG = 64 * 1024, 1024 * 1024
REPEATS = 5
MOST_SLOPE = 1.3
"""1 is in proportion; 2 is by the square."""


def _request(data: bytes) -> None:
    with suppress(Malformed, NotJson):
        decode_request(data)


def _config(data: bytes) -> None:
    parse(data, "config")


def _lines(data: bytes, step: int) -> None:
    lines = LineSplitter(2 * LONG)
    for start in range(0, len(data), step):
        lines.feed(data[start : start + step])


def _frames(data: bytes, step: int) -> None:
    server = FrameParser(ServerProtocol(), State.OPEN, 2 * LONG)
    for start in range(0, len(data), step):
        server.receive_data(data[start : start + step])
        server.events_received()


def _visit(data: bytes) -> None:
    request_origin("127.0.0.1", [(b"x-forwarded-for", data), (b"host", b"a")], ["127.0.0.1"])


def _of(seed: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + seed * (size // len(seed)) + after


def _framed(size: int) -> bytes:
    return Frame(Opcode.BINARY, bytes(size)).serialize(mask=True)


CASES: dict[str, tuple[Callable[[bytes], object], Callable[[int], bytes]]] = {
    "frame of JSON, arrays for its id": (_request, _of(b"[],", b'{"id":[', b"0]}")),
    "frame of JSON, depth": (_request, _of(b"[")),
    "frame of JSON, keys": (_request, _of(b'"a":0,', b"{", b'"b":1}')),
    "values, a text of escapes": (lambda data: [*crowded(data)], _of(b'\\\\\\",', b'"', b'"')),
    "values, backslashes": (lambda data: [*crowded(data)], _of(b"\\", b'"')),
    "UTF-8, emoji": (is_utf8, _of("😀".encode())),
    "WebSocket frame, byte by byte": (partial(_frames, step=1), _framed),
    "WebSocket frames, empty": (partial(_frames, step=4096), _of(Frame(Opcode.PONG, b"").serialize(mask=True))),
    "X-Forwarded-For, hops": (_visit, _of(b"1.1.1.1,")),
    "link's lines, byte by byte": (partial(_lines, step=1), _of(b"x")),
    "config, an open comment": (_config, _of(b"/* ")),
}


def slopes() -> Iterable[tuple[str, float, float]]:
    """(what, nanoseconds for a byte of the long one, slope)."""
    for name, (read, make) in CASES.items():
        short, long = (min(_seconds(read, make(size)) for _ in range(REPEATS)) for size in (SHORT, LONG))
        yield name, long / LONG * 1e9, log(max(long, 1e-9) / max(short, 1e-9)) / log(LONG / SHORT)


def _seconds(read: Callable[[bytes], object], data: bytes) -> float:
    began = time.thread_time()
    read(data)
    return time.thread_time() - began
