"""The body of a provider's answer, cut into its events. Pure: any split of the bytes gives the same events.

Server-sent events are read as WHATWG defines them, and as servers send them: with a BOM, any end of line, comments,
names without data, no blank line between events, no blank line at the end. A body of JSON is read too, whatever its
content type: one document, an array, or one document a line.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

DONE = b"[DONE]"
_ENDS = re.compile(rb"\r\n|\r|\n")
_BEFORE = b"\xef\xbb\xbf \t\r\n"
"""Bytes that are skipped at the beginning of a body: a BOM, white space."""


class ServerEvent(NamedTuple):
    name: str
    """Empty if the event has no name."""
    data: bytes


class EventReader:
    """Reads the events of one body. A body of one JSON document is kept whole; the caller bounds its size."""

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
        """The events that the end of the body completes."""
        if self._mode is not None:
            if rest := self._lines.rest():
                yield from self._mode.take_line(rest)
            yield from self._mode.finish()


class _Lines:
    def __init__(self) -> None:
        self._begun: list[bytes] = []
        """Pieces of the line whose end has not come."""
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
        if line.startswith(b"{"):  # JSON without `data:`, as some servers send errors
            field, value = b"data", line
        if field == b"event":
            self._name = value.decode(errors="replace").strip()
        elif field == b"data":
            # This begins another document: the blank line between two events is missing.
            if self._data and (value == DONE or (value.startswith(b"{") and self._data[-1].endswith(b"}"))):
                yield from self.finish()
            self._data.append(value)

    def finish(self) -> Iterator[ServerEvent]:
        name, data = self._name, b"\n".join(self._data).strip()
        self._name, self._data = "", []
        if data:
            yield ServerEvent(name, data)


class _Documents:
    """A body of JSON: one document, or one in each line."""

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


def data_event(event: dict[str, Any]) -> bytes:
    """The bytes of an event without a name."""
    return f"data: {json.dumps(event)}\n\n".encode()


def named_event(event: dict[str, Any]) -> bytes:
    """The bytes of an event whose name is its type."""
    return f"event: {event['type']}\n".encode() + data_event(event)


def _json(text: bytes) -> object:
    """The decoded value; None if the text is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
