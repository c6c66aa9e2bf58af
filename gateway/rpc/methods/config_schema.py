"""`config.schema` and `config.schema.lookup`: the settings of this gateway, described for a form that edits them."""

import re
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.config.fields import FIELDS, SECTIONS, Field, keys_of
from gateway.config.setting import Effect
from gateway.protocol.frames import RpcError
from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import READ
from gateway.rpc.registry import Call, method

ReloadKind = Literal["none", "hot", "restart"]

_KINDS: dict[Effect, ReloadKind] = {
    Effect.NONE: "none",
    Effect.HOT: "hot",
    Effect.RESTART: "restart",
    Effect.UNIT: "restart",
}
_WEIGHT: tuple[ReloadKind, ...] = ("none", "hot", "restart")
_REF = "#/definitions/"
_CHANNELS: dict[str, Any] = {
    "title": "Channels",
    "description": "Channels by name, as OpenClaw has them; kept in the file, and not used by this gateway.",
    "type": "object",
    "additionalProperties": {"type": "object", "properties": {}},
}
"""A section that this gateway does not use: 2026.2.1 shows an error for channels without a schema."""
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")


class Hint(Struct, rename="camel", omit_defaults=True):
    """Label, help and order of a setting in a form."""

    label: str
    help: str
    order: int
    sensitive: bool = False


class SchemaAnswer(Struct, rename="camel"):
    schema: dict[str, Any]
    """JSON Schema, draft-07. Unknown keys are allowed: OpenClaw has many more than this gateway uses."""
    ui_hints: dict[str, Hint]
    """By dotted path."""
    version: str
    generated_at: str


class LookupParams(Params, frozen=True):
    path: Annotated[str, Meta(min_length=1, max_length=1024)]
    """Dotted; `.` is the whole config."""


class SchemaChild(Struct, rename="camel"):
    key: str
    path: str
    required: bool
    has_children: bool
    reload_kind: ReloadKind
    hint: Hint
    hint_path: str


class LookupAnswer(Struct, rename="camel"):
    path: str
    schema: dict[str, Any]
    """The schema of this value alone, without `properties`."""
    reload_kind: ReloadKind
    """The reload that a change needs; for an object, the strongest of its settings."""
    hint: Hint
    hint_path: str
    children: list[SchemaChild]


@method("config.schema", NoParams, SchemaAnswer, scope=READ)
def config_schema(call: Call, params: NoParams) -> SchemaAnswer:
    """The settings that this gateway uses, as a JSON Schema with hints for a form."""
    schema, generated_at = _schema()
    return SchemaAnswer(schema, _hints(), call.core.version, generated_at)


@method("config.schema.lookup", LookupParams, LookupAnswer, scope=READ, since=4)
def config_schema_lookup(call: Call, params: LookupParams) -> LookupAnswer:
    """One setting or section: schema, hint, the kind of reload that a change needs, and its children."""
    path = "" if params.path == "." else params.path
    if path not in FIELDS and path not in SECTIONS:
        raise RpcError("config schema path not found")
    schema = {key: value for key, value in _at(path).items() if key not in ("properties", "required", "$schema")}
    children = [_child(path, key) for key in keys_of(path)] if path in SECTIONS else []
    return LookupAnswer(params.path, schema, _kind(path), _hint(path), path, children)


def _child(section: str, key: str) -> SchemaChild:
    path = f"{section}.{key}" if section else key
    return SchemaChild(key, path, False, path in SECTIONS, _kind(path), _hint(path), path)


@cache
def _schema() -> tuple[dict[str, Any], str]:
    """The schema and its time, in the keywords that OpenClaw's forms know: others can be edited as text only."""
    (root,), definitions = msgspec.json.schema_components([SECTIONS[""]], ref_template=f"{_REF}{{name}}")
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", **_inline(root, definitions)}
    schema["properties"] |= {"channels": _CHANNELS}
    return schema, datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _inline(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline(child, definitions) for child in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inline(definitions[node["$ref"].removeprefix(_REF)], definitions)
    plain = {key: _inline(child, definitions) for key, child in node.items() if not key.startswith("x-")}
    kinds = plain.get("anyOf", ())
    if {"type": "null"} in kinds and len(kinds) == 2:  # a key that may be absent; a form writes no null
        (kind,) = (each for each in kinds if each != {"type": "null"})
        plain = {key: value for key, value in plain.items() if key not in ("anyOf", "default")} | kind
    return plain


def _at(path: str) -> dict[str, Any]:
    node = _schema()[0]
    for key in path.split(".") if path else ():
        node = node["properties"][key]
    return node


@cache
def _hints() -> dict[str, Hint]:
    return {path: _hint(path) for path in (*SECTIONS, *FIELDS) if path}


@cache
def _hint(path: str) -> Hint:
    rule: Field | None = FIELDS.get(path)
    section, _, key = path.rpartition(".")
    label = " ".join(word[0].upper() + word[1:] for word in _WORD.findall(key)) or "Config"
    help = rule.doc if rule else _at(path).get("description", "")
    return Hint(label, help, keys_of(section).index(key) if path else 0, bool(rule and rule.secret))


@cache
def _kind(path: str) -> ReloadKind:
    below = [rule for name, rule in FIELDS.items() if name == path or not path or name.startswith(f"{path}.")]
    return max((_KINDS[rule.effect] for rule in below), key=_WEIGHT.index)
