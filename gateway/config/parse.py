"""Parse the bytes of one config file into a value with positions. Pure: the caller reads the file.

Most files are plain JSON, written by OpenClaw, and are parsed by the fast standard library. Other files are parsed by
`json5`, which knows positions. Positions are computed on demand, because a valid file needs none.
"""

import codecs
import json
import math
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from gateway.config import json5
from gateway.report import Issue

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64

Path = tuple[str | int, ...]
"""Keys and indexes from the root of a value."""


class TextPosition(NamedTuple):
    """Line and column from 1; None if there is no text."""

    file: str
    line: int | None = None
    column: int | None = None


class Locate(Protocol):
    """Finds the position of a path, or of its key, in its file."""

    def __call__(self, path: Path, *, key: bool = False) -> TextPosition: ...


class Document(Struct, frozen=True, dict=True):
    """One file's text and value."""

    file: str
    text: str
    value: Any
    repeated: tuple[tuple[str, TextPosition], ...] = ()
    """Keys that occur again in the same object."""

    @cached_property
    def root(self) -> json5.Node:
        return json5.parse(self.text, MAX_DEPTH).root

    def locate(self, path: Path, *, key: bool = False) -> TextPosition:
        """The position of the value at `path`, or of its key; for a missing one, that of the nearest parent."""
        node, at = self.root, self.root.start
        for step in path:
            child = _child(node, step)
            if child is None:
                break
            at = node.keys[step] if key and isinstance(step, str) else child.start
            node = child
        return place(self.file, self.text, at)

    def has(self, path: Path) -> bool:
        node: json5.Node | None = self.root
        for step in path:
            node = _child(node, step) if node else None
        return node is not None


def _child(node: json5.Node, step: str | int) -> json5.Node | None:
    if isinstance(step, str):
        return node.members.get(step)
    return node.items[step] if step < len(node.items) else None


def parse(data: bytes, file: str, *, root_object: bool = True) -> Document | Issue:
    """Never raises. With `root_object`, as for the main file, the value must be an object."""
    text = _decode(data, file)
    if isinstance(text, Issue):
        return text
    document = _plain(text, file)
    if document is None:
        try:
            parsed = json5.parse(text, MAX_DEPTH)
        except json5.Json5Error as fault:
            return issue(place(file, text, fault.offset), f"not valid JSON5: {fault}")
        repeated = tuple((key, place(file, text, offset)) for key, offset in parsed.repeated)
        document = Document(file, text, parsed.root.value, repeated)
    if root_object and not isinstance(document.value, dict):
        return issue(document.locate(()), "the config must be an object: { … }")
    return document


def issue(where: TextPosition, message: str, path: str = "", **rest: str | None) -> Issue:
    return Issue(message, path=path, file=where.file, line=where.line, column=where.column, **rest)


def place(file: str, text: str, offset: int) -> TextPosition:
    return TextPosition(file, text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def dotted(path: Path) -> str:
    return ".".join(str(step) for step in path)


def _decode(data: bytes, file: str) -> str | Issue:
    if len(data) > MAX_BYTES:
        return issue(TextPosition(file), f"larger than {MAX_BYTES} bytes")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return issue(TextPosition(file, 1, 1), "this is UTF-16; save it as UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)  # some editors write it, and OpenClaw accepts it
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        return issue(place(file, before, len(before)), f"not UTF-8 (byte 0x{data[error.start]:02x})")
    if "\0" in text:
        return issue(place(file, text, text.index("\0")), "a NUL character; this is not a text file")
    if not text.strip():
        return issue(TextPosition(file, 1, 1), "the file is empty; an empty config is {}")
    return text


def _plain(text: str, file: str) -> Document | None:
    """None if `json5` must parse it: it is not plain JSON, or an error or warning needs a position."""
    if "\\ud" in text or "\\uD" in text:
        return None  # the standard library accepts half a surrogate pair
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return None if _deeper(value, MAX_DEPTH) else Document(file, text, value)


def _finite(token: str) -> float:
    number = float(token)
    if not math.isfinite(number):
        raise ValueError(token)
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is repeated")
    return members


def _deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return True


def _children(node: Any) -> Any:
    return node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
