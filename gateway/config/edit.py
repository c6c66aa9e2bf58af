"""Change values in a config text and leave all other characters: comments, order, spacing. Pure."""

import copy
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from gateway.config import json5
from gateway.config.compare import same
from gateway.config.parse import MAX_DEPTH

INDENT = "  "
UNSAFE = "the edited text would not mean what was asked for; edit the file by hand"
_BARE = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
_BLANKS = re.compile(r"[ \t]*")
_REST_OF_LINE = re.compile(r"[ \t]*(?://[^\n]*)?\n")

Edit = tuple[int, int, str]
"""Start, end and the new text of `text[start:end]`."""


class CannotEdit(ValueError):
    """The text cannot be edited safely; `str()` says why."""


@lru_cache(4)
def parsed(text: str) -> json5.Node:
    """The root node, which must not be changed: it is cached, because an edit parses a text several times.

    Raises json5.Json5Error.
    """
    return json5.parse(text, MAX_DEPTH).root


def set_value(text: str, path: tuple[str, ...], value: Any) -> str:
    """The new text; missing objects on the path are added. Raises CannotEdit, and json5.Json5Error."""
    root = parsed(text)
    depth = 0
    node = root
    while depth < len(path) and isinstance(node.value, dict) and path[depth] in node.members:
        node = node.members[path[depth]]
        depth += 1
    rest = path[depth:]
    if not rest:
        edits = [] if same(node.value, value) else [(node.start, node.end, _render(value, _indent(text, node.start)))]
    elif isinstance(node.value, dict):
        for key in reversed(rest[1:]):
            value = {key: value}
        edits = list(_add_members(text, node, {rest[0]: value}))
        value = copy.deepcopy(value)
    else:
        raise CannotEdit(f"{'.'.join(path[:depth])} is not an object, so it has no key {rest[0]}")
    return _checked(_apply(text, edits), _with_value(root.value, path[: depth + 1], value))


def rewrite(text: str, value: Any) -> str:
    """The text with the edits that make it mean `value`. Raises CannotEdit, and json5.Json5Error.

    An array that becomes shorter is replaced as a whole; other arrays keep their items' comments.
    """
    # Two passes: commas next to added members depend on the members that are left after removing.
    text = _apply(text, _replaced(text, parsed(text), value))
    text = _apply(text, _added(text, parsed(text), value))
    return _checked(text, value)


def _checked(text: str, value: Any) -> str:
    if not same(parsed(text).value, value):
        raise CannotEdit(UNSAFE)
    return text


def _with_value(tree: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    tree = copy.deepcopy(tree)
    node = tree
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return tree


def _apply(text: str, edits: Iterator[Edit] | list[Edit]) -> str:
    parts, at = [], 0
    for start, end, new in sorted(edits):
        parts += [text[at : max(at, start)], new]
        at = max(at, end)
    return "".join([*parts, text[at:]])


def _replaced(text: str, node: json5.Node, value: Any) -> Iterator[Edit]:
    """Edits for values that differ, and for members that are removed."""
    if isinstance(node.value, dict) and isinstance(value, dict):
        for key in node.members.keys() & value.keys():
            yield from _replaced(text, node.members[key], value[key])
        yield from _remove_members(text, node, node.members.keys() - value.keys())
    elif isinstance(node.value, list) and isinstance(value, list) and len(node.items) <= len(value):
        for item, wanted in zip(node.items, value, strict=False):
            yield from _replaced(text, item, wanted)
    elif not same(node.value, value):
        yield node.start, node.end, _render(value, _indent(text, node.start))


def _added(text: str, node: json5.Node, value: Any) -> Iterator[Edit]:
    """Edits for members and items that are added, after `_replaced` has been applied."""
    if isinstance(node.value, dict):
        if node.members.keys() - value.keys():  # a key occurs twice
            raise CannotEdit(UNSAFE)
        for key, child in node.members.items():
            yield from _added(text, child, value[key])
        yield from _add_members(text, node, {key: each for key, each in value.items() if key not in node.members})
    elif isinstance(node.value, list):
        for item, wanted in zip(node.items, value, strict=False):
            yield from _added(text, item, wanted)
        new = [("", each) for each in value[len(node.items) :]]
        yield from _append(text, node, [(item.start, item.end) for item in node.items], new)


def _remove_members(text: str, node: json5.Node, gone: set[str]) -> Iterator[Edit]:
    kept = max((member.end for key, member in node.members.items() if key not in gone), default=None)
    for key in gone:
        start, end = node.keys[key], node.members[key].end
        comma = _comma(text, end)
        end = end if comma is None else comma + 1
        line = text.rfind("\n", 0, start) + 1
        rest = _REST_OF_LINE.match(text, end)
        if rest and not text[line:start].strip():
            yield line, rest.end(), ""
        elif comma is None:
            yield len(text[:start].rstrip(" \t")), end, ""
        else:
            match = _BLANKS.match(text, end)
            yield start, match.end() if match else end, ""
    if gone and kept is not None and not node.comma:
        comma = _comma(text, kept)
        if comma is not None:  # the member after it is removed
            yield comma, comma + 1, ""


def _comma(text: str, at: int) -> int | None:
    """The offset of the comma after a value that ends at `at`, if there is one."""
    while match := json5.SKIP.match(text, at):
        at = match.end()
    return at if text.startswith(",", at) else None


def _add_members(text: str, node: json5.Node, members: dict[str, Any]) -> Iterator[Edit]:
    bare = any(text[at] not in "\"'" for at in node.keys.values())
    named = [
        (f"{key if bare and _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)}: ", value)
        for key, value in members.items()
    ]
    yield from _append(text, node, [(node.keys[key], member.end) for key, member in node.members.items()], named)


def _append(text: str, node: json5.Node, old: list[tuple[int, int]], new: list[tuple[str, Any]]) -> Iterator[Edit]:
    """Add members or items at the end of an object or array, formatted like the `old` ones."""
    if not new:
        return
    close = node.end - 1
    line = text.rfind("\n", 0, close) + 1
    last = max((end for _, end in old), default=None)
    if not text[line:close].strip() and line > node.start:
        first = min((start for start, _ in old), default=None)
        indent = _indent(text, line) + INDENT if first is None else _indent(text, first)
        lines = ",\n".join(f"{indent}{name}{_render(value, indent)}" for name, value in new)
        if last is not None and not node.comma:
            yield last, last, ","
        yield line, line, f"{lines}{',' if node.comma else ''}\n"
    else:
        before = "" if last is None else " " if node.comma else ", "
        at = close if last is None or node.comma else last
        # A value beside others stays on their line; alone, it is a new section on its own lines.
        beside = None if old else _indent(text, node.start)
        yield at, at, before + ", ".join(f"{name}{_render(value, beside)}" for name, value in new)


def _indent(text: str, at: int) -> str:
    """The indentation of the line of this offset."""
    match = _BLANKS.match(text, text.rfind("\n", 0, at) + 1)
    return match.group() if match else ""


def _render(value: Any, indent: str | None) -> str:
    """JSON with indented lines; on one line if `indent` is None."""
    if indent is None:
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, indent=INDENT).replace("\n", "\n" + indent)
