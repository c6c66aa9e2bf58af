"""Surrogates, which JSON can spell and UTF-8 cannot encode. Pure.

A high and a low surrogate that follow each other are one character, also across pieces of a stream. A lone surrogate
becomes U+FFFD, as in JavaScript's `toWellFormed` and Node's UTF-8. Text is made well-formed where it comes in, and only
there: text that is not cannot be encoded, stored or sent.
"""

import re
from typing import Any

REPLACEMENT = "\ufffd"
MAX_LEVELS = 200
"""Levels of objects and lists that each of our readers and writers of JSON can take, at any depth of the stack."""
_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = re.compile(rb"%s(?!%s)|(?<!%s)%s" % (_HIGH, _LOW, _HIGH, _LOW))


def well_formed(text: str) -> str:
    """The text with surrogate pairs joined and U+FFFD for each lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def well_formed_value(value: Any, levels: int = MAX_LEVELS) -> Any:
    """A JSON value with its strings and names well-formed. Raises RecursionError if it has more levels."""
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
    """JSON of the same length whose escapes spell no lone surrogate. Bytes that are no JSON stay invalid."""
    if (b"\\ud" not in data and b"\\uD" not in data) or b"\0" in data:
        return data
    # An escaped backslash begins no escape. JSON has no NUL, so nothing else becomes one.
    return _HALF.sub(rb"\\ufffd", data.replace(rb"\\", b"\0\0")).replace(b"\0\0", rb"\\")


class SurrogateJoiner:
    """An incremental `well_formed` for text whose pieces may end between the surrogates of a pair."""

    def __init__(self) -> None:
        self._high = ""

    def feed(self, piece: str) -> str:
        """The well-formed text so far. A high surrogate at the end waits for the next piece."""
        piece = self._high + piece
        self._high = piece[-1:] if "\ud800" <= piece[-1:] <= "\udbff" else ""
        return well_formed(piece[:-1] if self._high else piece)

    def flush(self) -> str:
        """The rest, at the end of the stream: U+FFFD if a high surrogate waits."""
        high, self._high = self._high, ""
        return REPLACEMENT if high else ""
