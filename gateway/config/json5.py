"""JSON5 text to values, each with its place in the text.

Own code because the places are the point: a config error names line and column, and `config set` replaces one value and
leaves every comment alone. The grammar is json5.org's 1.0, except that Infinity and NaN are faults: no config value may
be one. Nesting is bounded, and the time is linear in the text, whatever the text. A fault quotes one character at most:
what it stumbles over may be a secret.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

MAX_NUMBER_CHARS = 400
"""`int()` takes quadratic time, and a longer number is a mistake."""

_BLANK = r"[\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]"
SKIP = re.compile(rf"{_BLANK}+|//[^\n\r\u2028\u2029]*|/\*.*?\*/", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_NAME = re.compile(r"(?:[\w$\u200c\u200d]|\\u[0-9a-fA-F]{4})+")
_CHUNK = {'"': re.compile(r'[^"\\\n\r]*'), "'": re.compile(r"[^'\\\n\r]*")}
_HEX = {2: re.compile(r"[0-9a-fA-F]{2}"), 4: re.compile(r"[0-9a-fA-F]{4}")}
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CONTINUATION = re.compile(r"\r\n|[\n\r\u2028\u2029]")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


class Json5Error(ValueError):
    """The text is not JSON5; `str()` says what is wrong at `offset`."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Node(Struct):
    """A value and its range in the text: `text[start:end]`."""

    value: Any
    start: int
    end: int = 0
    members: dict[str, "Node"] = {}
    """The members of an object."""
    keys: dict[str, int] = {}
    """The offset of each key of an object."""
    items: list["Node"] = []
    """The items of an array."""
    comma: bool = False
    """Whether a comma follows the last member or item."""


class Parsed(Struct, frozen=True):
    root: Node
    repeated: tuple[tuple[str, int], ...]
    """Keys that occur again in the same object, with their offsets; the last one counts, as in JavaScript."""


def parse(text: str, max_depth: int) -> Parsed:
    """Raises Json5Error, and nothing else."""
    parser = _Parser(text, max_depth)
    parser.skip()
    if parser.at == len(text):
        raise Json5Error("there is no value", 0)
    root = parser.value(1)
    parser.skip()
    if parser.at < len(text):
        raise Json5Error(f"expected nothing more after the end of the value, found {parser.glimpse()}", parser.at)
    return Parsed(root, tuple(parser.repeated))


class _Parser:
    def __init__(self, text: str, max_depth: int) -> None:
        self.text = text
        self.at = 0
        self.max_depth = max_depth
        self.repeated: list[tuple[str, int]] = []

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip(self) -> None:
        while match := SKIP.match(self.text, self.at):
            self.at = match.end()
        if self.text.startswith("/*", self.at):
            raise Json5Error("this comment is never closed with */", self.at)

    def glimpse(self) -> str:
        """The next token, for a message. Only the first character of a word: it may be a secret without quotes."""
        if self.at >= len(self.text):
            return "the end of the file"
        name = _NAME.match(self.text, self.at)
        return repr(self.peek() + ("…" if name and len(name.group()) > 1 else ""))

    def value(self, depth: int) -> Node:
        start, char = self.at, self.peek()
        if char in "{[" and char:
            if depth > self.max_depth:
                raise Json5Error(f"nested deeper than {self.max_depth} levels", start)
            return self.object(depth) if char == "{" else self.array(depth)
        if char in ('"', "'"):
            return Node(self.string(), start, self.at)
        return Node(self.number() if char and char in "+-.0123456789" else self.word(), start, self.at)

    def object(self, depth: int) -> Node:
        node = Node({}, self.at)

        def member() -> None:
            key_at = self.at
            key = self.key()
            self.skip()
            if self.peek() != ":":
                raise Json5Error(f'expected ":" after a key, found {self.glimpse()}', self.at)
            self.at += 1
            self.skip()
            if key in node.members:
                self.repeated.append((key, key_at))
            child = self.value(depth + 1)
            node.members[key], node.keys[key], node.value[key] = child, key_at, child.value

        return self.sequence(node, "}", member)

    def array(self, depth: int) -> Node:
        node = Node([], self.at)

        def item() -> None:
            child = self.value(depth + 1)
            node.items.append(child)
            node.value.append(child.value)

        return self.sequence(node, "]", item)

    def sequence(self, node: Node, close: str, element: Callable[[], None]) -> Node:
        """Elements separated by commas, up to `close`; a comma after the last one is allowed."""
        self.at += 1
        self.skip()
        while self.peek() != close:
            element()
            self.skip()
            node.comma = self.peek() == ","
            if node.comma:
                self.at += 1
                self.skip()
            elif self.peek() != close:
                raise Json5Error(f'expected "," or "{close}", found {self.glimpse()}', self.at)
        self.at += 1
        node.end = self.at
        return node

    def key(self) -> str:
        if self.peek() in ('"', "'"):
            return self.string()
        start, match = self.at, _NAME.match(self.text, self.at)
        name = "" if match is None else re.sub(r"\\u(....)", lambda hex4: chr(int(hex4[1], 16)), match.group())
        if match is None or not name.replace("$", "_").replace("\u200c", "_").replace("\u200d", "_").isidentifier():
            raise Json5Error(f"expected a key, found {self.glimpse()}", start)
        self.at = match.end()
        return name

    def word(self) -> bool | None:
        match = _NAME.match(self.text, self.at)
        word = match.group() if match else ""
        if word in ("Infinity", "NaN"):
            raise Json5Error(f"{word} is no config value", self.at)
        if match is None or word not in _WORDS:
            quotes = " (a text needs quotes)" if word else ""
            raise Json5Error(f"expected a value, found {self.glimpse()}{quotes}", self.at)
        self.at = match.end()
        return _WORDS[word]

    def number(self) -> int | float:
        match = _NUMBER.match(self.text, self.at)
        start = self.at
        if match is None:
            raise Json5Error("this is not a number (Infinity and NaN are no config values)", start)
        token, self.at = match.group(), match.end()
        if len(token) > MAX_NUMBER_CHARS:
            raise Json5Error(f"a number of more than {MAX_NUMBER_CHARS} characters", start)
        if _NAME.match(self.text, self.at) or self.peek() == ".":
            raise Json5Error("this is not a number (a text needs quotes)", start)
        if "x" in token or "X" in token:
            return int(token, 16)
        if not any(mark in token for mark in ".eE"):
            return int(token)
        number = float(token)
        if not math.isfinite(number):
            raise Json5Error("this number is too large", start)
        return number

    def string(self) -> str:
        start, quote = self.at, self.peek()
        self.at += 1
        parts: list[str] = []
        while True:
            match = _CHUNK[quote].match(self.text, self.at)
            assert match is not None  # it matches the empty string
            parts.append(match.group())
            self.at = match.end()
            char = self.peek()
            if char == quote:
                self.at += 1
                return "".join(parts)
            if char != "\\":
                raise Json5Error(f"this text is never closed with {quote}", start)
            parts.append(self.escape())

    def escape(self) -> str:
        start = self.at
        self.at += 1
        continuation = _CONTINUATION.match(self.text, self.at)
        if continuation:
            self.at = continuation.end()
            return ""
        char = self.peek()
        self.at += 1
        if char == "u":
            return self.utf16(start)
        if char == "x":
            return chr(self.hex(2, start))
        if char == "0" and not self.peek().isdigit():
            return "\0"
        if not char or char in "0123456789":
            raise Json5Error(f"unknown escape \\{char}", start)
        return _ESCAPES.get(char, char)

    def utf16(self, start: int) -> str:
        """A character beyond U+FFFF is written as two escapes; a half alone could not be encoded."""
        unit = self.hex(4, start)
        if 0xD800 <= unit < 0xDC00 and self.text.startswith("\\u", self.at):
            self.at += 2
            low = self.hex(4, start)
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
        if 0xD800 <= unit < 0xE000:
            raise Json5Error("half of a surrogate pair", start)
        return chr(unit)

    def hex(self, digits: int, start: int) -> int:
        match = _HEX[digits].match(self.text, self.at)
        if match is None:
            raise Json5Error(f"this escape needs {digits} hexadecimal digits", start)
        self.at = match.end()
        return int(match.group(), 16)
