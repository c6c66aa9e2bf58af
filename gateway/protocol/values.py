"""The number of JSON values in a message, counted without decoding it. Pure.

The marks that stand before a value are counted, outside of strings. A value of two bytes becomes an object of some
eighty bytes when it is decoded, so that a message of a few megabytes could take hundreds.
"""

from collections.abc import Iterator

from gateway.protocol.limits import MAX_VALUES

SLICE = 256 * 1024
"""Bytes that are counted without a pause, in a few milliseconds."""
SMALL = 2 * MAX_VALUES
"""Bytes of a message that cannot hold too many values: each takes one byte, and a mark."""
_MARKS = b',[{"'
_REST = bytes(set(range(256)) - set(_MARKS))


def crowded(data: bytes) -> Iterator[bool]:
    """Yield after each `SLICE` whether there have been more than `MAX_VALUES` so far."""
    values, inside, start = 0, False, 0
    while start < len(data):
        piece = _whole(data, start)
        start += len(piece)
        # The backslashes that remain do not escape a quote.
        plain = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = plain.translate(None, _REST).split(b'"')
        values += sum(map(len, parts[inside::2]))
        inside ^= len(parts) % 2 == 0
        yield values > MAX_VALUES


def _whole(data: bytes, start: int) -> bytes:
    """The next slice; it does not end within an escape."""
    piece = data[start : start + SLICE]
    return data[start : start + SLICE + 1] if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else piece
