"""Text that is no Unicode: halves of surrogate pairs, which JSON can spell and UTF-8 cannot. Pure.

Two halves that follow each other are one character, also across pieces of a stream; a half alone becomes U+FFFD, as
JavaScript's `toWellFormed` and Node's UTF-8 have it. It is done where text comes in, and nowhere behind that: nothing
else could be encoded, stored or told.
"""

import re
from typing import Any

REPLACEMENT = "\ufffd"
MAX_LEVELS = 200
"""Objects and lists in each other: so many pass through every reader and writer of JSON, at any depth of the stack."""
_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = re.compile(rb"%s(?!%s)|(?<!%s)%s" % (_HIGH, _LOW, _HIGH, _LOW))


def well_formed(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def well_formed_value(value: Any, levels: int = MAX_LEVELS) -> Any:
    """A JSON value, with its texts and names well-formed. Raises RecursionError for one of more levels."""
    match value:
        case str():
            return well_formed(value)
        case dict() | list() if not levels:
            raise RecursionError(f"more than {MAX_LEVELS} values in each other")
        case dict():
            return {well_formed(name): well_formed_value(each, levels - 1) for name, each in value.items()}
        case list():
            return [well_formed_value(each, levels - 1) for each in value]
    return value


def well_formed_json(data: bytes) -> bytes:
    """JSON whose escapes spell no half alone; it has the same length. What is no JSON stays none."""
    if (b"\\ud" not in data and b"\\uD" not in data) or b"\0" in data:
        return data
    # An escaped backslash begins no escape. JSON has no NUL, so nothing else becomes one.
    return _HALF.sub(rb"\\ufffd", data.replace(rb"\\", b"\0\0")).replace(b"\0\0", rb"\\")


class Pieces:
    """Text that comes in pieces, of which each may end in the middle of a character."""

    def __init__(self) -> None:
        self._half = ""

    def take(self, piece: str) -> str:
        """What can be said now: a first half waits for the next piece."""
        piece = self._half + piece
        self._half = piece[-1:] if "\ud800" <= piece[-1:] <= "\udbff" else ""
        return well_formed(piece[:-1] if self._half else piece)

    def rest(self) -> str:
        """What is left at the end."""
        half, self._half = self._half, ""
        return REPLACEMENT if half else ""
