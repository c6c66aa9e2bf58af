"""Move a value in a config text to another path, with its formatting and its comments. Pure."""

import copy
import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from gateway.config import edit, json5
from gateway.config.compare import same
from gateway.config.parse import Path

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|(?P<comment>//[^\n\r\u2028\u2029]*|/\*.*?\*/)', re.DOTALL)
_TRAIL = re.compile(r"[ \t]*(?:,[ \t]*)?(//[^\n]*)")
_ALONE = re.compile(r"[ \t]*(?:\"[^\"\\]*\"|[\w$]+):[ \t]*")
_HOLDER = "\ue000moved\ue000"
"""Stands for the value until its text is inserted; no config contains it."""


def move(text: str, source: Path, target: tuple[str, ...], *, keep: bool = False) -> str:
    """The text with the value of `source` at `target`, which must not exist. Raises edit.CannotEdit.

    `keep` copies it: the items of an array are copied, and the array is removed as a whole afterwards.
    """
    root = edit.parsed(text)
    node = _at(root, source)
    start = _start(root, source)
    wanted = copy.deepcopy(root.value)
    lead = _comments_above(text, root, source)
    said = comments(text[lead[0] : lead[1]])
    trail = _TRAIL.match(text, node.end)
    if trail:
        said.append(trail[1])
    fragment, old_indent = text[node.start : node.end], _indent(text, start)
    if not keep:
        text = remove(text[: lead[0]] + text[lead[1] :], source)
        _delete(wanted, source)
    if _HOLDER in text:
        raise edit.CannotEdit(edit.UNSAFE)
    text = _insert(edit.set_value(text, target, _HOLDER), fragment, node.value, said, old_indent)
    put(wanted, target, node.value)
    if not same(edit.parsed(text).value, wanted):
        raise edit.CannotEdit(edit.UNSAFE)
    return text


def remove(text: str, path: Path) -> str:
    """The text without a member and the comment on its line. Raises edit.CannotEdit."""
    value = copy.deepcopy(edit.parsed(text).value)
    _delete(value, path)
    return edit.rewrite(text, value)


def without_lead(text: str, path: Path) -> str:
    """The text without the comments above a member."""
    start, end = _comments_above(text, edit.parsed(text), path)
    return text[:start] + text[end:]


def comments(text: str) -> list[str]:
    """The comments of a JSON5 text, or of a part between two values."""
    return [match["comment"] for match in _TOKEN.finditer(text) if match["comment"]]


def with_comments_of(text: str, old: str) -> str:
    """The text with the comments of `old` that it has lost at its beginning, and with the line ends of `old`."""
    there = Counter(map(_words, comments(text)))
    lost = []
    for each in comments(old):
        there[_words(each)] -= 1
        if there[_words(each)] < 0:
            lost.append(each)
    at = edit.parsed(text).start + 1
    text = text[:at] + "".join(f"\n{edit.INDENT}{each}" for each in lost) + ("\n" if lost else "") + text[at:]
    return text.replace("\r\n", "\n").replace("\n", "\r\n") if "\r\n" in old else text


def put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a value in a tree; missing parents are added."""
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def _delete(tree: Any, path: Path) -> None:
    for step in path[:-1]:
        tree = tree[step]
    del tree[path[-1]]


def _at(node: json5.Node, path: Path) -> json5.Node:
    for step in path:
        node = node.members[step] if isinstance(step, str) else node.items[step]
    return node


def _start(root: json5.Node, path: Path) -> int:
    """The offset of a member, with its key if it has one."""
    holder, last = _at(root, path[:-1]), path[-1]
    return holder.keys[last] if isinstance(last, str) else holder.items[last].start


def _comments_above(text: str, root: json5.Node, path: Path) -> tuple[int, int]:
    """The range of the comment lines above a member, which belong to it."""
    holder, start = _at(root, path[:-1]), _start(root, path)
    before = [child.end for child in (*holder.members.values(), *holder.items) if child.end <= start]
    gap = max([holder.start + 1, *before])
    line = text.rfind("\n", 0, start) + 1
    first = text.find("\n", gap, line)  # a comment on the line of the member before belongs to that one
    if first < 0 or text[line:start].strip():
        return start, start
    return first + 1, line


def _indent(text: str, at: int) -> str:
    line = text.rfind("\n", 0, at) + 1
    return text[line : line + len(text[line:]) - len(text[line:].lstrip(" \t"))]


def _insert(text: str, fragment: str, value: Any, said: Iterable[str], old_indent: str) -> str:
    holder = json.dumps(_HOLDER, ensure_ascii=False)
    at = text.index(holder)
    line = text.rfind("\n", 0, at) + 1
    alone = _ALONE.fullmatch(text, line, at) is not None
    indent = _indent(text, at)
    shifted = fragment.replace(f"\n{old_indent}", f"\n{indent}") if alone else fragment
    if not _means(shifted, value):
        shifted = fragment
    if alone:
        above = "".join(f"{indent}{each}\n" for each in said)
        return text[:line] + above + text[line:at] + shifted + text[at + len(holder) :]
    beside = "".join(f"{_block(each)} " for each in said)
    return text[:at] + beside + shifted + text[at + len(holder) :]


def _block(comment: str) -> str:
    return comment if comment.startswith("/*") else f"/*{comment[2:].replace('*/', '* /')} */"


def _words(comment: str) -> str:
    """The words of a comment of either form."""
    return comment.removesuffix("*/").strip("/* \t\r")


def _means(text: str, value: Any) -> bool:
    try:
        return same(edit.parsed(text).value, value)
    except json5.Json5Error:
        return False
