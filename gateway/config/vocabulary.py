"""The keys that OpenClaw knows: which ones a client may write, and the one that a misspelt key is closest to.

One line for each section: its name, a tab, and its keys as JSON, where `*` is any key and `[]` an item of an array.
`conformance/keys.py` writes the files from OpenClaw's own JSON Schema. A section is read when a config has it.
"""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path as File
from typing import Any, Final

from gateway.config.fields import FIELDS, SECTIONS
from gateway.config.parse import Path, dotted

LATEST, FIRST = "2026.9.6", "2026.2.1"
"""Releases of OpenClaw. Clients of protocol 3 write the keys of the first."""
NEAR = 0.75
"""The ratio of difflib from which a key counts as another one, misspelt."""
INCLUDE = "$include"
_PLAIN, _OPEN = 0, 1
"""A value without keys, and one whose keys no release defines."""
_ANY, _ITEM = "*", "[]"
_OURS: Final = ("models.providers.builtin",)
"""Keys of this gateway that OpenClaw lacks, besides those in `schema`."""

Node = Any
"""`_PLAIN`, `_OPEN`, or the keys of an object with their own nodes."""


class Vocabulary:
    """The keys of several releases, and of this gateway."""

    def __init__(self, *releases: str) -> None:
        self._lines = [_lines(release) for release in releases]
        self._sections: dict[str, Node] = {}

    def node(self, path: Path) -> Node:
        """The keys that are allowed at a path; None if the path is unknown."""
        if not path:
            return {**{key: _OPEN for lines in self._lines for key in lines}, **dict.fromkeys(_first_of(SECTIONS), 1)}
        node = self._section(str(path[0]))
        for step in path[1:]:
            node = _below(node, step)
        return node

    def knows(self, path: Path) -> bool:
        name = dotted(path) if not any("." in str(step) for step in path) else ""
        ours = name and (
            name in FIELDS or name in SECTIONS or any(name == each or name.startswith(f"{each}.") for each in _OURS)
        )
        return bool(ours) or self.node(path) is not None

    def unknown_keys(self, tree: Any, path: Path = ()) -> Iterator[Path]:
        """Paths of unknown keys, the highest node only."""
        if isinstance(tree, dict):
            for key, child in tree.items():
                here = (*path, key)
                if key == INCLUDE:
                    continue
                if not self.knows(here):
                    yield here
                elif isinstance(child, dict | list):
                    yield from self.unknown_keys(child, here)
        elif isinstance(tree, list):
            for index, child in enumerate(tree):
                if isinstance(child, dict):
                    yield from self.unknown_keys(child, (*path, index))

    def nearest(self, path: Path) -> str | None:
        """The known key that an unknown one is closest to, if it is near enough."""
        node = self.node(path[:-1])
        beside = [key for key in node if key not in (_ANY, _ITEM)] if isinstance(node, dict) else []
        return closest(str(path[-1]), beside)

    def _section(self, name: str) -> Node:
        if name not in self._sections:
            nodes = [json.loads(lines[name]) for lines in self._lines if name in lines]
            node: Node = nodes[0] if nodes else None
            for other in nodes[1:]:
                node = _together(node, other)
            self._sections[name] = node
        return self._sections[name]


def warm_up() -> None:
    """Read the files now: an upgrade may replace them before they are needed."""
    import difflib  # noqa: F401

    for release in (FIRST, LATEST):
        _text(release)


def _lines(release: str) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in _text(release).splitlines())


@cache
def _text(release: str) -> str:
    return File(__file__).with_name(f"openclaw-{release}.keys").read_text()


def _first_of(sections: Any) -> list[str]:
    return [path for path in sections if path and "." not in path]


def _below(node: Node, step: str | int) -> Node:
    """None for an unknown key."""
    if not isinstance(node, dict):
        return _OPEN if node is not None else None  # a wrong type is not an unknown key
    if isinstance(step, int):
        return node.get(_ITEM, _OPEN)
    return node[step] if step in node and step != _ITEM else node.get(_ANY)


def _together(one: Node, other: Node) -> Node:
    """The keys of two releases together."""
    if _OPEN in (one, other) or not isinstance(one, dict) or not isinstance(other, dict):
        return _OPEN if _OPEN in (one, other) else one or other
    found = {}
    for key in one.keys() | other.keys():
        known = [node for node in (_below(one, key), _below(other, key)) if node is not None]
        if key in (_ANY, _ITEM):
            known = [each[key] for each in (one, other) if key in each]
        found[key] = known[0] if len(known) == 1 else _together(*known)
    return found


def closest(key: str, keys: Iterable[str]) -> str | None:
    """The one of `keys` that a misspelt key is closest to, if it is near enough."""
    import difflib  # a start on a config without a mistake does without

    names = {_plain(each): each for each in keys}
    found = difflib.get_close_matches(_plain(key), names, n=1, cutoff=NEAR)
    return names[found[0]] if found else None


def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def unrecognized_messages(paths: list[Path]) -> list[tuple[str, str]]:
    """(path, OpenClaw's message) for unknown keys: one message for all keys of an object."""
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(dotted(path[:-1]) or "<root>", []).append(json.dumps(str(path[-1]), ensure_ascii=False))
    return [(at, f"Unrecognized key{'s' if len(keys) > 1 else ''}: {', '.join(keys)}") for at, keys in found.items()]


def new_unknown_keys(before: Any, after: Any, protocol: int = 4) -> list[Path]:
    """Unknown keys in `after` that `before` does not have. `protocol` 3 also allows the keys of the first release."""
    known = Vocabulary(LATEST) if protocol >= 4 else Vocabulary(LATEST, FIRST)
    return [path for path in known.unknown_keys(after) if not _has(before, path)]


def _has(tree: Any, path: Path) -> bool:
    for step in path:
        if isinstance(step, int):
            there = isinstance(tree, list) and step < len(tree)
        else:
            there = isinstance(tree, dict) and step in tree
        if not there:
            return False
        tree = tree[step]
    return True
