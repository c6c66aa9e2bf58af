"""Two things of a config that end under one name: agents, providers. Pure."""

from collections.abc import Callable, Iterator
from typing import Any

from gateway.config.catalog import agent_id, rows, section, text
from gateway.config.parse import Path
from gateway.config.providers import cut

Twins = tuple[Path, str]
"""Where the second one stands, and what is wrong with it."""


def agents(tree: dict[str, Any]) -> Iterator[Twins]:
    """An error, as in OpenClaw: one of the two would have the other's tools, models and sessions."""
    listed: list[tuple[Path, str]] = [(("agents", "entries", key), key) for key in section(tree, "agents", "entries")]
    for index, entry in enumerate(rows(section(tree, "agents").get("list"))):
        if isinstance(entry, dict) and (id := text(entry.get("id"))):
            listed.append((("agents", "list", index), id))
    named = [(path, name) for path, name in listed if name.strip()]
    yield from _twins(named, agent_id, "agents")


def providers(tree: dict[str, Any]) -> Iterator[Twins]:
    """The first one counts."""
    named: list[tuple[Path, str]] = [
        (("models", "providers", name), name) for name in section(tree, "models", "providers") if name.strip()
    ]
    yield from _twins(named, lambda name: name.strip().lower(), "providers")


def _twins(named: list[tuple[Path, str]], same: Callable[[str], str], what: str) -> Iterator[Twins]:
    first: dict[str, str] = {}
    for path, name in named:
        id = same(name)
        if id in first:
            yield path, f'"{cut(first[id])}" and "{cut(name)}" are one name for {what}, "{cut(id)}"'
        first.setdefault(id, name)
