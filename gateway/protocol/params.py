"""Params against their Struct, and faults told in the words that OpenClaw's clients know."""

import re
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

MAX_NAME = 120
"""Characters of a client's own text that an error repeats."""


class Params(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Base of every method's params: closed objects, camelCase on the wire."""


class NoParams(Params, frozen=True):
    pass


class InvalidParams(Exception):
    """`str()` is the place and the fault, such as ``at root: unexpected property 'bogus'``."""


P = TypeVar("P", bound=Struct)

_PATH = re.compile(r" - at `(?:key in )?\$(?P<path>.*)`$", re.S)
_TYPE = re.compile(r"Expected `(.+?)`(?:, got `.*|$)", re.S)
_BOUND = re.compile(r"Expected `\w+` ((?:>=|<=|>|<) \S+)$")
_LENGTH = re.compile(r"Expected `(\w+)` of length (>=|<=) (\d+)$")
_TYPES = {"bool": "boolean", "int": "integer", "str": "string", "float": "number"}
_UNITS = {"array": "items", "object": "properties"}


def decode_params(raw: Raw, shape: type[P]) -> P:
    """Absent and null params mean none."""
    data = bytes(raw)
    if data == b"null":
        data = b"{}"
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError as error:
        raise InvalidParams(explain(error)) from None
    except (msgspec.DecodeError, RecursionError):
        raise InvalidParams("at root: must be JSON") from None


def explain(error: msgspec.ValidationError) -> str:
    """msgspec's sentence as the validator of the existing gateway says it."""
    text = str(error)
    path = ""
    if found := _PATH.search(text):
        path = found["path"].replace("[...]", "/*").replace("[", "/").replace("]", "").replace(".", "/")
        text = text[: found.start()]
    return f"at {path or 'root'}: {_fault(text)}"


def _fault(text: str) -> str:
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", text, re.S):
        return f"unexpected property '{cut(found[1])}'"
    if found := re.fullmatch(r"Object missing required field `(.*)`", text):
        return f"must have required property '{found[1]}'"
    if found := _TYPE.fullmatch(text):
        return f"must be {_types(found[1])}"
    if found := _BOUND.fullmatch(text):
        return f"must be {found[1]}"
    if found := _LENGTH.fullmatch(text):
        unit = _UNITS.get(found[1], "characters")
        return f"must NOT have {'fewer' if found[2] == '>=' else 'more'} than {found[3]} {unit}"
    if text.startswith("Invalid enum value"):
        return "must be equal to one of the allowed values"
    return cut(text[:1].lower() + text[1:])


def _types(text: str) -> str:
    return " or ".join(_TYPES.get(name, name) for name in text.split(" | "))


def cut(text: str, limit: int = MAX_NAME) -> str:
    """Shorten what came from a client before it is repeated to anyone."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
