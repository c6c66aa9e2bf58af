"""The config as a tree, and readers of those of its parts that have no type in `schema`. Pure.

Nothing has validated those parts, so anything may stand there: the readers answer None, {} or [] for a wrong type.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NewType

from gateway.config.parse import Path

ANY = "*"
"""In a pattern: any key or index."""
MAX_NAMED = 60
"""Characters of a name from the config that a message quotes."""

ConfigTree = NewType("ConfigTree", dict[str, Any])
"""A whole config in force, by key as the file has it: includes are merged, `${VAR}` and references to secrets are
replaced. It contains secrets and is shared: it must not be changed, logged or sent unredacted.

A tree before `${VAR}` is a plain `dict[str, Any]`; functions that read both kinds take that.
"""

Fault = tuple[Path, str, str]
"""A value that cannot be honoured: its path, what is wrong, and the way out."""


class Unusable(Exception):
    """A model, a provider or a server that the config names cannot be used. It carries no secret."""

    def __init__(self, key: str, problem: str, way_out: str) -> None:
        self.key, self.problem, self.way_out = key, problem, way_out
        super().__init__(f"{key}: {problem}; {way_out}")


def section(tree: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """The object at a path of keys; {} if there is none."""
    found: Any = tree
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a list, otherwise []."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str | None:
    """The value without blanks at its ends if it is a text that is not empty, otherwise None."""
    return (value.strip() or None) if isinstance(value, str) else None


def as_positive_int(value: Any) -> int | None:
    """The value if it is a whole number above 0, otherwise None. 8192.0 counts: JavaScript writes no other numbers."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else None


def value_at(tree: Any, path: Path) -> Any:
    """The value at a path; None if there is none."""
    for step in path:
        if isinstance(step, int):
            tree = tree[step] if isinstance(tree, list) and step < len(tree) else None
        else:
            tree = tree.get(step) if isinstance(tree, dict) else None
    return tree


def matches(tree: Any, pattern: Path, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every path that matches a pattern, with its value."""
    if not pattern:
        yield path, tree
        return
    step, rest = pattern[0], pattern[1:]
    if step == ANY:
        children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
        for key, child in children:
            yield from matches(child, rest, (*path, key))
    elif isinstance(tree, dict) and step in tree:
        yield from matches(tree[step], rest, (*path, step))


def is_enabled(server: Mapping[str, Any]) -> bool:
    """Whether an entry of `mcp.servers` is used: `enabled` is OpenClaw's key, `disabled` that of other programs."""
    return server.get("enabled") is not False and server.get("disabled") is not True


def abbreviate(value: str) -> str:
    """At most `MAX_NAMED` characters, for a message."""
    return value if len(value) <= MAX_NAMED else value[: MAX_NAMED - 1] + "…"
