"""How many JSON values a message holds, without building one. Pure.

Counted are the marks that stand before a value, outside of strings. A few bytes are a value, and each value is an
object of some eighty bytes once it is decoded: a message of a few megabytes could take hundreds.
"""

from collections.abc import Iterator

from gateway.protocol.limits import MAX_VALUES

SLICE = 256 * 1024
"""Bytes that are looked at without a pause; a few milliseconds."""
SMALL = 2 * MAX_VALUES
"""A message of so many bytes cannot hold more values than that: a value takes one, and a mark."""
_MARKS = b',[{"'
_REST = bytes(set(range(256)) - set(_MARKS))


def crowded(data: bytes) -> Iterator[bool]:
    """Whether there are more than `MAX_VALUES` in what has been looked at: one `SLICE` further each time."""
    values, inside, start = 0, False, 0
    while start < len(data):
        piece = _whole(data, start)
        start += len(piece)
        # What stays of backslashes stands before something else than a quote.
        plain = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = plain.translate(None, _REST).split(b'"')
        values += sum(map(len, parts[inside::2]))
        inside ^= len(parts) % 2 == 0
        yield values > MAX_VALUES


def _whole(data: bytes, start: int) -> bytes:
    """A slice that does not end within an escape."""
    piece = data[start : start + SLICE]
    return data[start : start + SLICE + 1] if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else piece
