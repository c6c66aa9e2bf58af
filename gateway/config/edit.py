"""Set one value in a config text and leave every other character as it is: comments, order, spacing. Pure."""

import copy
import json
import re
from typing import Any

from gateway.config import json5
from gateway.config.parse import MAX_DEPTH

INDENT = "  "
_BARE = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)


class Refused(ValueError):
    """The text cannot be edited safely; `str()` says why."""


def set_value(text: str, path: tuple[str, ...], value: Any) -> str:
    """The new text; objects on the way are made where missing. Raises Refused, and json5.Fault for a bad text."""
    root = json5.parse(text, MAX_DEPTH).root
    depth = 0
    node = root
    while depth < len(path) and isinstance(node.value, dict) and path[depth] in node.members:
        node = node.members[path[depth]]
        depth += 1
    rest = path[depth:]
    if not rest:
        edited = text[: node.start] + _render(value, _indent(text, node.start)) + text[node.end :]
    elif isinstance(node.value, dict):
        for key in reversed(rest[1:]):
            value = {key: value}
        edited = _insert(text, node, rest[0], value)
        value = copy.deepcopy(value)
    else:
        raise Refused(f"{'.'.join(path[:depth])} is not an object, so it has no key {rest[0]}")
    if json5.parse(edited, MAX_DEPTH).root.value != _intended(root.value, path[: depth + 1], value):
        raise Refused("the edited text would not mean what was asked for; edit the file by hand")
    return edited


def _intended(tree: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    tree = copy.deepcopy(tree)
    node = tree
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return tree


def _insert(text: str, node: json5.Node, key: str, value: Any) -> str:
    """One more member at the end of an object, written like those before it."""
    close = node.end - 1
    line = text.rfind("\n", 0, close) + 1
    own_line = not text[line:close].strip() and line > node.start
    last = max((member.end for member in node.members.values()), default=None)
    bare = any(text[at] not in "\"'" for at in node.keys.values()) and _BARE.fullmatch(key)
    name = key if bare else json.dumps(key, ensure_ascii=False)
    if own_line:
        first = min(node.keys.values(), default=None)
        indent = _indent(text, line) + INDENT if first is None else _indent(text, first)
        member = f"{indent}{name}: {_render(value, indent)}{',' if node.comma else ''}\n"
        text = text[:line] + member + text[line:]
    else:
        before = "" if last is None else " " if node.comma else ", "
        at = close if last is None or node.comma else last
        text = text[:at] + f"{before}{name}: {_render(value, _indent(text, node.start))}" + text[at:]
    if own_line and last is not None and not node.comma:
        text = text[:last] + "," + text[last:]
    return text


def _indent(text: str, at: int) -> str:
    """The blanks with which the line of this offset begins."""
    start = text.rfind("\n", 0, at) + 1
    match = re.compile(r"[ \t]*").match(text, start)
    return match.group() if match else ""


def _render(value: Any, indent: str) -> str:
    return json.dumps(value, ensure_ascii=False, indent=INDENT).replace("\n", "\n" + indent)
