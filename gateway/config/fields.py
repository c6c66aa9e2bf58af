"""The schema as a table: dotted path -> setting. Validation, reload plans, docs and commands use it."""

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from gateway.config.schema import Config
from gateway.config.setting import Effect


class Field(Struct, frozen=True):
    """One setting."""

    path: str
    type: Any
    """The type for `msgspec.convert`."""
    default: Any
    doc: str
    effect: Effect
    action: str | None
    secret: bool
    closed: bool
    """Whether all values are literals, booleans or numbers, so that none is a secret."""
    allowed: str
    """The allowed values in words, for errors and for `config schema`."""

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.path.split("."))

    def of(self, config: Config) -> Any:
        """This setting's value in `config`."""
        value: Any = config
        for attribute in _ATTRIBUTES[self.path]:
            value = getattr(value, attribute)
        return value


_ATTRIBUTES: dict[str, tuple[str, ...]] = {}


def _walk(
    struct: type[Struct], path: tuple[str, ...], names: tuple[str, ...], sections: dict[str, type[Struct]]
) -> dict[str, Field]:
    found: dict[str, Field] = {}
    hints = get_type_hints(struct, include_extras=True)
    for info in msgspec.structs.fields(struct):
        here, attributes, hint = (*path, info.encode_name), (*names, info.name), hints[info.name]
        dotted = ".".join(here)
        if isinstance(hint, type) and issubclass(hint, Struct):
            sections[dotted] = hint
            found |= _walk(hint, here, attributes, sections)
        else:
            _ATTRIBUTES[dotted] = attributes
            found[dotted] = _field(dotted, hint, info.default)
    return found


def _field(dotted: str, hint: Any, default: Any) -> Field:
    meta: Meta | None = next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Meta) and m.extra), None)
    if meta is None or not meta.description:
        raise TypeError(f"{dotted} has no doc and effect beside it in config/schema.py")
    rule = meta.extra or {}
    allowed = rule["allowed"] or _describe(hint) + (", or {source, provider, id}" if rule["secret"] else "")
    closed = _is_closed(hint)
    return Field(
        dotted, hint, default, meta.description, rule["effect"], rule["action"], rule["secret"], closed, allowed
    )


def _is_closed(hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Annotated, Union, UnionType):
        parts = get_args(hint)[:1] if origin is Annotated else get_args(hint)
        return all(_is_closed(part) for part in parts)
    return origin is Literal or hint in (bool, int, NoneType)


def _describe(hint: Any, meta: Meta | None = None) -> str:
    origin = get_origin(hint)
    if origin is Annotated:
        return _describe(get_args(hint)[0], hint.__metadata__[0])
    if origin in (Union, UnionType):
        return " or ".join(_describe(part, meta) for part in get_args(hint) if part is not NoneType)
    if origin is Literal:
        return " | ".join(get_args(hint))
    if hint is int:
        assert meta is not None  # every number has bounds; tests/config/test_fields.py holds it
        return f"a whole number from {meta.ge} to {meta.le}"
    return {bool: "true or false", str: "a text of one line, not empty"}[hint]


SECTIONS: dict[str, type[Struct]] = {"": Config}
"""Dotted path -> type of every object in the schema; "" is the root."""

FIELDS: dict[str, Field] = _walk(Config, (), (), SECTIONS)
"""Every setting by dotted path, in the schema's order."""


def keys_of(section: str) -> list[str]:
    """The keys of one object of the schema. Raises KeyError."""
    return [info.encode_name for info in msgspec.structs.fields(SECTIONS[section])]


def json_schema(path: str = "") -> dict[str, Any]:
    """JSON Schema of the whole config or of one path; raises KeyError. `x-effect` is the effect of a change.

    Unknown keys are allowed: OpenClaw has many more than we use.
    """
    if path in FIELDS:
        return {**msgspec.json.schema(FIELDS[path].type), "default": FIELDS[path].default}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **msgspec.json.schema(SECTIONS[path]),
    }


def overlay(written: dict[str, Any], used: dict[str, Any]) -> dict[str, Any]:
    """`written` with the values of `used`, defaults included; other keys stay."""
    merged = dict(written)
    for key, value in used.items():
        under = written.get(key)
        merged[key] = overlay(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged
