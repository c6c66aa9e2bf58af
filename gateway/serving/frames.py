"""Single frames of RFC 6455 (WebSocket), as a client and as the gateway writes them. Pure."""

from codecs import getincrementaldecoder
from struct import Struct

from websockets.frames import Frame, Opcode

_TEXT = 0x81
"""FIN and the text opcode: a whole message. What a server sends is not masked (RFC 6455, 5.1)."""
_SLICE = 64 * 1024
_MEDIUM, _LONG = Struct("!BBH"), Struct("!BBQ")


def masked(payload: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """The frame as a client sends it."""
    return Frame(opcode, payload, fin).serialize(mask=True)


def is_utf8(data: bytes) -> bool:
    """Whether it is valid UTF-8. It is decoded in slices: a text with one emoji takes four times its size in memory."""
    decode, view = getincrementaldecoder("utf-8")().decode, memoryview(data)
    try:
        for start in range(0, len(view), _SLICE):
            decode(view[start : start + _SLICE])
        decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def text(payload: bytes) -> bytes:
    """The frame of a whole text message as the gateway sends it."""
    return head(len(payload)) + payload


def head(size: int) -> bytes:
    """The bytes of such a frame before its payload of so many bytes."""
    if size < 126:
        return bytes((_TEXT, size))
    return _MEDIUM.pack(_TEXT, 126, size) if size < 65536 else _LONG.pack(_TEXT, 127, size)
