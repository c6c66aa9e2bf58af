"""Single frames of RFC 6455: what one takes on the wire, and what a client or we would write. Pure."""

from struct import Struct

from websockets.frames import Frame, Opcode

_TEXT = 0x81
"""A whole text message in one frame. What a server sends is not masked."""
_MEDIUM, _LONG = Struct("!BBH"), Struct("!BBQ")


def wire_size(frame: Frame) -> int:
    """Of a client's frame, which is masked. One that is longer than it need be is not at rest, and that is all."""
    size = len(frame.data)
    return size + (6 if size < 126 else 8 if size < 65536 else 14)


def masked(message: str | bytes) -> bytes:
    """As a client would send it."""
    if isinstance(message, str):
        return Frame(Opcode.TEXT, message.encode()).serialize(mask=True)
    return Frame(Opcode.BINARY, message).serialize(mask=True)


def text(payload: bytes) -> bytes:
    """A whole message of ours."""
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (_TEXT, size, payload)
    head = _MEDIUM.pack(_TEXT, 126, size) if size < 65536 else _LONG.pack(_TEXT, 127, size)
    return head + payload
