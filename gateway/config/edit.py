"""Change values in a config text and leave every other character as it is: comments, order, spacing. Pure."""

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
"""Put this text in place of `text[start:end]`."""


class CannotEdit(ValueError):
    """The text cannot be edited safely; `str()` says why."""


@lru_cache(4)
def parsed(text: str) -> json5.Node:
    """What it says, for reading only: one edit looks at the same text several times. Raises json5.Fault."""
    return json5.parse(text, MAX_DEPTH).root


def set_value(text: str, path: tuple[str, ...], value: Any) -> str:
    """The new text; objects on the way are made where missing. Raises Refused, and json5.Fault for a bad text."""
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
        edits = list(_more_members(text, node, {rest[0]: value}))
        value = copy.deepcopy(value)
    else:
        raise CannotEdit(f"{'.'.join(path[:depth])} is not an object, so it has no key {rest[0]}")
    return _checked(_apply(text, edits), _intended(root.value, path[: depth + 1], value))


def rewrite(text: str, value: Any) -> str:
    """The text with as few edits as make it mean `value`. Raises Refused, and json5.Fault for a bad text.

    An array that becomes shorter is written anew; every other one keeps its items' places and comments.
    """
    # Two passes: where what goes and what comes meet, the commas between them are counted in the text as it is then.
    text = _apply(text, _replaced(text, parsed(text), value))
    text = _apply(text, _added(text, parsed(text), value))
    return _checked(text, value)


def _checked(text: str, value: Any) -> str:
    if not same(parsed(text).value, value):
        raise CannotEdit(UNSAFE)
    return text


def _intended(tree: Any, path: tuple[str, ...], value: Any) -> Any:
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
    """Edits for what differs and for what goes."""
    if isinstance(node.value, dict) and isinstance(value, dict):
        for key in node.members.keys() & value.keys():
            yield from _replaced(text, node.members[key], value[key])
        yield from _fewer_members(text, node, node.members.keys() - value.keys())
    elif isinstance(node.value, list) and isinstance(value, list) and len(node.items) <= len(value):
        for item, wanted in zip(node.items, value, strict=False):
            yield from _replaced(text, item, wanted)
    elif not same(node.value, value):
        yield node.start, node.end, _render(value, _indent(text, node.start))


def _added(text: str, node: json5.Node, value: Any) -> Iterator[Edit]:
    """Edits for what comes, once `_replaced` has been applied."""
    if isinstance(node.value, dict):
        if node.members.keys() - value.keys():  # a key that was written twice
            raise CannotEdit(UNSAFE)
        for key, child in node.members.items():
            yield from _added(text, child, value[key])
        yield from _more_members(text, node, {key: each for key, each in value.items() if key not in node.members})
    elif isinstance(node.value, list):
        for item, wanted in zip(node.items, value, strict=False):
            yield from _added(text, item, wanted)
        new = [("", each) for each in value[len(node.items) :]]
        yield from _more(text, node, [(item.start, item.end) for item in node.items], new)


def _fewer_members(text: str, node: json5.Node, gone: set[str]) -> Iterator[Edit]:
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
        if comma is not None:  # what followed it is gone
            yield comma, comma + 1, ""


def _comma(text: str, at: int) -> int | None:
    """Where the comma after a value that ends here stands, if there is one."""
    while match := json5.SKIP.match(text, at):
        at = match.end()
    return at if text.startswith(",", at) else None


def _more_members(text: str, node: json5.Node, members: dict[str, Any]) -> Iterator[Edit]:
    bare = any(text[at] not in "\"'" for at in node.keys.values())
    named = [
        (f"{key if bare and _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)}: ", value)
        for key, value in members.items()
    ]
    yield from _more(text, node, [(node.keys[key], member.end) for key, member in node.members.items()], named)


def _more(text: str, node: json5.Node, old: list[tuple[int, int]], new: list[tuple[str, Any]]) -> Iterator[Edit]:
    """More members or items at the end of an object or array, written like the `old` ones before them."""
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
        # Beside others on one line, a value stays on it; alone, it is the whole of a new section.
        beside = None if old else _indent(text, node.start)
        yield at, at, before + ", ".join(f"{name}{_render(value, beside)}" for name, value in new)


def _indent(text: str, at: int) -> str:
    """The blanks with which the line of this offset begins."""
    match = _BLANKS.match(text, text.rfind("\n", 0, at) + 1)
    return match.group() if match else ""


def _render(value: Any, indent: str | None) -> str:
    """On lines of their own after the first, indented; all on one line for None."""
    if indent is None:
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, indent=INDENT).replace("\n", "\n" + indent)
