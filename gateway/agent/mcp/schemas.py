"""Schemas of tools in the form that providers take. Pure.

A server may give any JSON Schema. Providers want an object at the root, with its properties in it. A schema that can be
written that way is rewritten. A tool whose schema cannot is left out, so that the other tools work.
"""

import json
from typing import Any

MAX_SCHEMA = 128 * 1024
"""Characters of one schema, as JSON."""
MAX_DEPTH = 32
"""Levels of nested objects and lists."""
MAX_STEPS = 8
"""References at the root that are followed, one to the next."""
LEFT_OUT = "x-left-out"
"""Key in the schema of a tool that is left out. Its value is the reason."""
CHOICES = ("anyOf", "oneOf", "allOf")


def mend_listing(result: dict[str, Any]) -> None:
    """Mend each tool of an answer to tools/list, in place: the SDK refuses the whole answer for one bad tool.

    Unused keys are dropped. Among them is `outputSchema`: a result that does not fit it is still a result.
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
    """The schema that is sent, and None; or an empty one, and the reason why the tool is left out."""
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
    """The schema with the `$ref` of its root resolved; None if the reference leads nowhere."""
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
    """What a JSON Pointer into the same document refers to (RFC 6901); None if nothing."""
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
    """The schema without references that lead nowhere: an empty schema accepts anything."""
    if isinstance(node, list):
        return [_resolvable(each, root) for each in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str) and not isinstance(_find(root, node["$ref"]), dict | bool):
        node = {key: value for key, value in node.items() if key != "$ref"}
    return {key: _resolvable(value, root) for key, value in node.items()}


def _as_object(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with an object at its root, which has the properties of all choices.

    A property is required if every choice of an `anyOf` or `oneOf`, or one part of an `allOf`, requires it.
    """
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
