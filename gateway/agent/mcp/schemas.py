"""Schemas of tools in the form that providers take. Pure.

A server may give any JSON Schema. Providers want an object at the root, with its properties in it; what can be said
that way is, and what cannot leaves the tool out, so that its neighbours work.
"""

import json
from typing import Any

MAX_SCHEMA = 128 * 1024
"""Characters of one, as JSON."""
MAX_DEPTH = 32
"""Of objects and lists in one another."""
MAX_STEPS = 8
"""References at the root that lead to one another."""
LEFT_OUT = "x-left-out"
"""Stands in a schema that nothing could be made of, with the reason."""
CHOICES = ("anyOf", "oneOf", "allOf")


def mend_listing(result: dict[str, Any]) -> None:
    """Each tool of an answer to tools/list in the form that the SDK takes, which else refuses all for one.

    What is not used here goes: a result that does not suit its tool's own `outputSchema` is a result all the same.
    """
    if not isinstance(listed := result.get("tools"), list):
        return
    tools = []
    for tool in listed:
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            continue
        schema, why = mend(tool.get("inputSchema") or {})
        kept: dict[str, Any] = {"name": tool["name"], "inputSchema": schema}
        if why is not None:
            kept["inputSchema"] = {"type": "object", LEFT_OUT: why}
        if isinstance(tool.get("description"), str):
            kept["description"] = tool["description"]
        tools.append(kept)
    result["tools"] = tools


def mend(written: Any) -> tuple[dict[str, Any], str | None]:
    """What is sent, and why nothing can be."""
    if not isinstance(written, dict):
        return {}, "its schema is no object"
    if _deeper(written, MAX_DEPTH):
        return {}, f"its schema is nested deeper than {MAX_DEPTH} levels"
    try:
        size = len(json.dumps(written, allow_nan=False))
    except ValueError:
        return {}, "its schema has a number that is none"
    if size > MAX_SCHEMA:
        return {}, f"its schema has {size} characters, and {MAX_SCHEMA} are taken"
    schema = _referred(written)
    if schema is None:
        return {}, "its schema refers to what is not in it"
    return _as_object(_resolvable(schema, schema)), None


def _referred(schema: dict[str, Any]) -> dict[str, Any] | None:
    """With what its root refers to in its place."""
    root = schema
    for _ in range(MAX_STEPS):
        reference = schema.get("$ref")
        if reference is None:
            return schema
        target = _find(root, reference)
        if not isinstance(target, dict):
            return None
        kept: dict[str, Any] = {key: root[key] for key in ("$defs", "definitions") if key in root}
        schema = {**{key: value for key, value in schema.items() if key != "$ref"}, **kept, **target}
    return None


def _find(root: Any, reference: Any) -> Any:
    """What a reference inside the same document means (RFC 6901)."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found = root
    for part in reference[1:].split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and part.isascii() and part.isdigit() and len(part) < 7:
            found = found[int(part)] if int(part) < len(found) else None
        else:
            return None
    return found


def _resolvable(node: Any, root: dict[str, Any]) -> Any:
    """Without references that lead nowhere: what stood there may be anything."""
    if isinstance(node, list):
        return [_resolvable(each, root) for each in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str) and not isinstance(_find(root, node["$ref"]), dict | bool):
        node = {key: value for key, value in node.items() if key != "$ref"}
    return {key: _resolvable(value, root) for key, value in node.items()}


def _as_object(schema: dict[str, Any]) -> dict[str, Any]:
    """Its root an object, which has the properties of all choices; one is needed where every choice needs it."""
    choices = [each for key in CHOICES for each in _dicts(schema.get(key))]
    properties = {name: value for part in choices for name, value in _properties(part).items()} | _properties(schema)
    needed = set(_required(schema))
    for key in CHOICES:
        each = [set(_required(part)) for part in _dicts(schema.get(key))]
        if each:
            needed |= set.union(*each) if key == "allOf" else set.intersection(*each)
    rest = {key: value for key, value in schema.items() if key not in (*CHOICES, "type", "properties", "required")}
    for key in ("not", "if", "then", "else", "enum", "const", "nullable"):
        rest.pop(key, None)
    order = [*_required(schema), *(name for part in choices for name in _required(part))]
    required = [name for name in dict.fromkeys(order) if name in needed and name in properties]
    return {**rest, "type": "object", "properties": properties, **({"required": required} if required else {})}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _properties(part: dict[str, Any]) -> dict[str, Any]:
    found = part.get("properties")
    if not isinstance(found, dict):
        return {}
    return {name: value if isinstance(value, dict) else {} for name, value in found.items()}


def _required(part: dict[str, Any]) -> list[str]:
    found = part.get("required")
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
