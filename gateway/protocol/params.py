"""Params are decoded into a Struct; faults are told in the words that OpenClaw's clients know."""

import re
from functools import cache
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, inspect

from gateway.protocol.limits import MAX_FRAME

MAX_NAME = 120
"""Characters of a client's own text that an error repeats."""
MAX_NUMBER = 2**53 - 1
"""The largest absolute value of a number: every client can represent it exactly, and SQLite can store it."""
MAX_TEXT = 4096
"""Characters of a text whose type sets no length."""
MAX_ITEMS = 1000
"""Items of a list whose type sets no length."""
Body = Annotated[str, Meta(max_length=MAX_FRAME)]
"""A text without a length of its own, such as a message or a file: the frame bounds it."""


class Params(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Base of the params of all methods: no unknown keys, camelCase names on the wire, and bounded values."""


class NoParams(Params, frozen=True):
    pass


class InvalidParams(Exception):
    """`str()` is the place and the fault, such as ``at root: unexpected property 'bogus'``."""


P = TypeVar("P", bound=Struct)

_TYPES = {"bool": "boolean", "int": "integer", "str": "string", "float": "number"}
_UNITS = {"array": "items", "object": "properties"}


def decode_params(raw: Raw, shape: type[P]) -> P:
    """Decode params; absent and null params mean `{}`. Raises InvalidParams."""
    given = memoryview(raw)
    try:
        found = msgspec.json.decode(b"{}" if bytes(given[:5]) == b"null" else given, type=shape)
    except msgspec.ValidationError as error:
        raise InvalidParams(explain(error)) from None
    except (msgspec.DecodeError, RecursionError):
        raise InvalidParams("at root: must be JSON") from None
    if isinstance(found, Params) and (fault := _beyond(found, "")):
        raise InvalidParams(fault)
    return found


def _beyond(params: Params, path: str) -> str | None:
    """The fault of the first value that exceeds a general bound and has none of its own; None if there is none."""
    for attribute, name, texts_bounded, items_bounded in _fields(type(params)):
        value = getattr(params, attribute)
        place = f"{path}/{name}"
        if not isinstance(value, list):
            fault = _fault_of(value, place, texts_bounded)
        elif len(value) > MAX_ITEMS and not items_bounded:
            fault = f"at {place}: must NOT have more than {MAX_ITEMS} items"
        else:
            faults = (_fault_of(each, f"{place}/{index}", texts_bounded) for index, each in enumerate(value))
            fault = next((each for each in faults if each), None)
        if fault:
            return fault
    return None


def _fault_of(value: object, place: str, text_bounded: bool) -> str | None:
    if isinstance(value, str):
        return (
            None
            if text_bounded or len(value) <= MAX_TEXT
            else f"at {place}: must NOT have more than {MAX_TEXT} characters"
        )
    if isinstance(value, int | float):
        return None if abs(value) <= MAX_NUMBER else f"at {place}: must be {'<= ' if value > 0 else '>= -'}{MAX_NUMBER}"
    return _beyond(value, place) if isinstance(value, Params) else None


@cache
def _fields(shape: type[Params]) -> tuple[tuple[str, str, bool, bool], ...]:
    """Attribute and wire name of each field, and whether its type bounds its texts and its items."""
    return tuple(
        (each.name, each.encode_name, *_bounds(inspect.type_info(each.type))) for each in msgspec.structs.fields(shape)
    )


def _bounds(type: inspect.Type) -> tuple[bool, bool]:
    if isinstance(type, inspect.UnionType):
        texts, items = zip(*map(_bounds, type.types), strict=True)
        return any(texts), any(items)
    if isinstance(type, inspect.Metadata):
        return _bounds(type.type)
    if isinstance(type, inspect.ListType):
        return _bounds(type.item_type)[0], type.max_length is not None
    return isinstance(type, inspect.StrType) and type.max_length is not None, False


def explain(error: msgspec.ValidationError) -> str:
    """The error of msgspec in the words of OpenClaw's validator."""
    text = str(error)
    path = ""
    rest, at, place = text.rpartition(" - at ")
    if at and (found := re.fullmatch(r"`(?:key in )?\$(?P<path>[\w.\[\]]*)`$", place)):
        path = found["path"].replace("[...]", "/*").replace("[", "/").replace("]", "").replace(".", "/")
        text = rest
    return f"at {path or 'root'}: {_fault(text)}"


def _fault(text: str) -> str:
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", text, re.S):
        return f"unexpected property '{cut(found[1])}'"
    if found := re.fullmatch(r"Object missing required field `(.*)`", text):
        return f"must have required property '{found[1]}'"
    if found := re.fullmatch(r"Expected `(.+?)`(?:, got `.*|$)", text, re.S):
        return f"must be {_types(found[1])}"
    if found := re.fullmatch(r"Expected `\w+` ((?:>=|<=|>|<) \S+)$", text):
        return f"must be {found[1]}"
    if found := re.fullmatch(r"Expected `(\w+)` of length (>=|<=) (\d+)$", text):
        unit = _UNITS.get(found[1], "characters")
        return f"must NOT have {'fewer' if found[2] == '>=' else 'more'} than {found[3]} {unit}"
    if text.startswith("Invalid enum value"):
        return "must be equal to one of the allowed values"
    return cut(text[:1].lower() + text[1:])


def _types(text: str) -> str:
    return " or ".join(_TYPES.get(name, name) for name in text.split(" | "))


def cut(text: str, limit: int = MAX_NAME) -> str:
    """Shorten a client's own text before an error repeats it."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
