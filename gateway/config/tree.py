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
replaced. It holds secrets, and everybody shares the one object: nobody changes it, logs it or sends it unredacted.

A tree before `${VAR}` is a plain `dict[str, Any]`; functions that read both kinds take that.
"""

Fault = tuple[Path, str, str]
"""Where something stands that cannot be honoured, what is wrong, and the way out."""


class Unusable(Exception):
    """A model, a provider or a server that the config names cannot be used. It carries no secret."""

    def __init__(self, key: str, problem: str, way_out: str) -> None:
        self.key, self.problem, self.way_out = key, problem, way_out
        super().__init__(f"{key}: {problem}; {way_out}")


def section(tree: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """{} where there is none, or where something else stands."""
    found: Any = tree
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else {}


def as_list(value: Any) -> list[Any]:
    """[] where something else than a list stands."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str | None:
    """None where nothing, or something else than a text, stands."""
    return (value.strip() or None) if isinstance(value, str) else None


def as_positive_int(value: Any) -> int | None:
    """A number above zero, also one such as 8192.0: JavaScript, whose file this is, knows no difference."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else None


def value_at(tree: Any, path: Path) -> Any:
    """None where nothing stands."""
    for step in path:
        if isinstance(step, int):
            tree = tree[step] if isinstance(tree, list) and step < len(tree) else None
        else:
            tree = tree.get(step) if isinstance(tree, dict) else None
    return tree


def matches(tree: Any, pattern: Path, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every place that a pattern means and that has something, with what stands there."""
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
    """Whether a server of `mcp.servers` is to be used: in OpenClaw's word, or in other programs'."""
    return server.get("enabled") is not False and server.get("disabled") is not True


def abbreviate(value: str) -> str:
    """Short enough for a message."""
    return value if len(value) <= MAX_NAMED else value[: MAX_NAMED - 1] + "…"
