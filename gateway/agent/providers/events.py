"""The body of a provider's answer, cut into its events. Pure: any split of the bytes gives the same ones.

Server-sent events as WHATWG has them, and as they are: with a BOM, any end of line, comments, names without data, data
without blank lines between, no blank line at the end. A body that is no event stream but JSON is read too, whatever its
content type says: one document, an array, or one a line.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

DONE = b"[DONE]"
_ENDS = re.compile(rb"\r\n|\r|\n")
_BEFORE = b"\xef\xbb\xbf \t\r\n"
"""What may stand before the first byte that says something: a BOM, white space."""


class ServerEvent(NamedTuple):
    name: str
    """Empty where there is none."""
    data: bytes


class EventReader:
    """Of one body. A body is kept whole only while it is one JSON document; who calls bounds it."""

    def __init__(self) -> None:
        self._mode: _Stream | _Documents | None = None
        self._lines = _Lines()

    def feed(self, data: bytes) -> Iterator[ServerEvent]:
        if self._mode is None:
            data = data.lstrip(_BEFORE)
            if not data:
                return
            self._mode = _Documents() if data[:1] in (b"{", b"[") else _Stream()
        for line in self._lines.feed(data):
            yield from self._mode.take_line(line)

    def finish(self) -> Iterator[ServerEvent]:
        """What the body has told and not ended."""
        if self._mode is not None:
            if rest := self._lines.rest():
                yield from self._mode.take_line(rest)
            yield from self._mode.finish()


class _Lines:
    def __init__(self) -> None:
        self._begun: list[bytes] = []
        """The line whose end has not come."""
        self._after_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        if not data:
            return []
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        *lines, rest = _ENDS.split(data)
        if lines:
            lines[0] = b"".join([*self._begun, lines[0]])
            self._begun = []
        self._begun.append(rest)
        return lines

    def rest(self) -> bytes:
        return b"".join(self._begun)


class _Stream:
    """Server-sent events."""

    def __init__(self) -> None:
        self._name = ""
        self._data: list[bytes] = []

    def take_line(self, line: bytes) -> Iterator[ServerEvent]:
        if not line:
            yield from self.finish()
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if line.startswith(b"{"):  # JSON without the word before it, as some say what went wrong
            field, value = b"data", line
        if field == b"event":
            self._name = value.decode(errors="replace").strip()
        elif field == b"data":
            # One document cannot go on so: the blank line between two events is missing.
            if self._data and (value == DONE or (value.startswith(b"{") and self._data[-1].endswith(b"}"))):
                yield from self.finish()
            self._data.append(value)

    def finish(self) -> Iterator[ServerEvent]:
        name, data = self._name, b"\n".join(self._data).strip()
        self._name, self._data = "", []
        if data:
            yield ServerEvent(name, data)


class _Documents:
    """JSON: one document, or one in each line."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._each_line: bool | None = None

    def take_line(self, line: bytes) -> Iterator[ServerEvent]:
        if self._each_line is None and line.strip():
            self._each_line = isinstance(_json(line), dict)
        if self._each_line and (document := line.strip()):
            yield ServerEvent("", document)
        elif not self._each_line:
            self._lines.append(line)

    def finish(self) -> Iterator[ServerEvent]:
        whole = b"\n".join(self._lines).strip()
        self._lines = []
        if not whole:
            return
        found = _json(whole)
        if isinstance(found, list):
            yield from (ServerEvent("", json.dumps(each).encode()) for each in found)
        else:
            yield ServerEvent("", whole)


def _json(text: bytes) -> object:
    """None where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
