"""What a fuzzer's bytes are turned into: choices, numbers, texts, JSON values, and values of a msgspec type.

The same bytes always give the same, with or without a fuzzer. When they are used up, everything is the smallest there
is, so each input ends.
"""

import re
import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct, UnsetType

T = TypeVar("T")
_DEEP = re.compile(rb'"<(\d+) deep>"')

DEPTH = 4
"""Levels of a value that is made here."""
DEEP = ("<30 deep>", "<900 deep>", "<1500 deep>")
"""Become arrays in arrays, which recursion does not like, in `compact`."""
FRACTIONS = (1e308, -1e308, 5e-324, 1e16, 0.1)
EDGES = (0, 1, -1, 2**31, 2**53 - 1, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30)
WORDS = (
    "",
    "main",
    "agent:main:main",
    "global",
    "\0",
    "\ud7ff",
    "é",
    "../x",
    "a" * 300,
    "\x1b[2J",
    "2026-01-01",
    "%_'\"",
)


class Source:
    def __init__(self, data: bytes, words: Sequence[str] = WORDS) -> None:
        self.data = data
        self.at = 0
        self.words = words
        """Texts that mean something where these values go."""

    @property
    def more(self) -> bool:
        return self.at < len(self.data)

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def bytes(self, most: int) -> bytes:
        """At most so many; how many say the next one or two bytes."""
        size = self.byte() if most < 256 else self.byte() << 8 | self.byte()
        start, self.at = self.at, min(self.at + min(size, most), max(self.at, len(self.data)))
        return self.data[start : self.at]

    def pick(self, among: Sequence[T]) -> T:
        return among[self.byte() % len(among)]

    def chance(self, among: int = 2) -> bool:
        """Never when the bytes are used up."""
        return self.byte() % among == 1

    def number(self) -> int:
        """Small ones mostly, and those at which something overflows."""
        kind = self.byte()
        if kind < 128:
            return kind % 32
        return self.pick(EDGES) if kind < 224 else int.from_bytes(self.bytes(8), "big", signed=True)

    def fraction(self) -> float:
        return self.pick(FRACTIONS) if self.chance(4) else self.number() / 8

    def text(self) -> str:
        return self.pick(self.words) if self.chance() else self.bytes(40).decode(errors="replace")

    def json(self, depth: int = DEPTH) -> Any:
        match self.byte() % (9 if depth else 6):
            case 0:
                return None
            case 1:
                return self.chance()
            case 2:
                return self.number()
            case 3:
                return self.fraction()
            case 4 | 5:
                return self.text()
            case 6:
                return [self.json(depth - 1) for _ in range(self.byte() % 4)]
            case 7:
                return self.pick(DEEP) if self.chance(8) else []
            case _:
                return {self.text(): self.json(depth - 1) for _ in range(self.byte() % 4)}

    def of(self, shape: Any, depth: int = DEPTH) -> Any:
        """A value that JSON can say and that is nearly of this type: one in sixteen is of another."""
        if self.byte() % 16 == 15:
            return self.json(depth)
        origin, args = get_origin(shape), get_args(shape)
        if origin is Annotated:
            return self._bounded(args[0], [each for each in args[1:] if isinstance(each, Meta)], depth)
        if origin in (Union, types.UnionType):
            return self.of(self.pick([each for each in args if each is not UnsetType]), depth)
        if origin is Literal:
            return self.pick(args)
        if origin in (list, tuple, set, frozenset):
            return [self.of(args[0] if args else Any, depth - 1) for _ in range(self.byte() % 4 if depth > 0 else 0)]
        if origin is dict:
            return {self.text(): self.of(args[1], depth - 1) for _ in range(self.byte() % 4 if depth > 0 else 0)}
        if isinstance(shape, type) and issubclass(shape, Struct):
            return self._struct(shape, depth)
        plain = {bool: self.chance, int: self.number, float: self.fraction, str: self.text}
        if shape in plain:
            return plain[shape]()
        return None if shape is type(None) else self.json(max(depth, 0))

    def _struct(self, shape: type[Struct], depth: int) -> dict[str, Any]:
        hints = get_type_hints(shape, include_extras=True)
        made: dict[str, Any] = {}
        if tag := shape.__struct_config__.tag:
            made[shape.__struct_config__.tag_field or "type"] = tag
        for field in msgspec.structs.fields(shape):
            if field.required or self.chance():
                made[field.encode_name] = self.of(hints[field.name], depth - 1)
        return made | ({self.text(): self.json(1)} if self.byte() % 32 == 31 else {})

    def _bounded(self, shape: Any, metas: list[Meta], depth: int) -> Any:
        """At a bound, or one beyond it, as often as within."""
        bounds = {name: getattr(meta, name) for meta in metas for name in ("ge", "le", "min_length", "max_length")}
        known = [bound for bound in bounds.values() if bound is not None]
        if not known or not self.chance(3):
            return self.of(shape, depth)
        size = self.pick(known) + self.byte() % 3 - 1
        if shape is int:
            return size
        return "x" * min(max(size, 0), 5000) if shape is str else self.of(shape, depth)


def compact(value: Any) -> bytes:
    """As JSON on one line."""
    return _DEEP.sub(lambda found: b"[" * int(found[1]) + b"]" * int(found[1]), msgspec.json.encode(value))
