"""Rewrite a config text with the current keys (`old_keys`) and all its comments. Pure.

If the current key has a value already, that value counts, and the old one is dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.config import edit, move
from gateway.config.old_keys import RENAMED_KEYS, RenamedKey, current_path, entries, places
from gateway.config.parse import Path, dotted
from gateway.config.tree import as_list, as_text, section, value_at

MAX_MOVED = 100
"""Keys moved in one migration: each one parses the whole text again."""


@dataclass
class Migration:
    """A text that is rewritten key by key."""

    text: str
    moved: list[tuple[str, str]] = field(default_factory=list)
    """(old key, current key), dotted."""
    dropped: list[tuple[str, str]] = field(default_factory=list)
    """(old key, current key) of old values that were removed: the current key had a value."""
    unmoved: list[tuple[str, str]] = field(default_factory=list)
    """(old key, reason) of keys that could not be moved."""

    @property
    def tree(self) -> Any:
        return edit.parsed(self.text).value

    @property
    def is_full(self) -> bool:
        return len(self.moved) + len(self.dropped) >= MAX_MOVED


def migrate(old: str) -> Migration:
    """Migrate a text. Raises json5.Json5Error."""
    migration = Migration(old)
    for name in RENAMED_KEYS:
        for path in list(places(migration.tree, name.old)):
            if not migration.is_full:
                _move(migration, name, path)
        _remove_empty_parents(migration, name)
    _mark_default(migration)
    migration.text = move.with_comments_of(migration.text, old)
    return migration


def _move(migration: Migration, name: RenamedKey, path: Path) -> None:
    tree = migration.tree
    current = current_path(tree, name, path)
    special = _SPECIAL.get(name.old)
    try:
        if special:
            special(migration, path, current)
        else:
            _move_value(migration, path, current)
    except edit.CannotEdit as refusal:
        migration.unmoved.append((dotted(path), str(refusal)))


def _move_value(migration: Migration, path: Path, current: tuple[str, ...]) -> None:
    """Move a value to its current path; values there win, key by key."""
    tree = migration.tree
    value, there = value_at(tree, path), value_at(tree, current)
    if there is None:
        migration.text = move.move(migration.text, path, current)
        migration.moved.append((dotted(path), dotted(current)))
    elif isinstance(value, dict) and isinstance(there, dict):
        for key in value:
            _move_value(migration, (*path, key), (*current, key))
        migration.text = move.remove(migration.text, path)
    else:
        migration.text = move.remove(migration.text, path)
        migration.dropped.append((dotted(path), dotted(current)))


def _fallbacks(migration: Migration, path: Path, current: tuple[str, ...]) -> None:
    """A model that is a text becomes an object with `primary`, so that it can have `fallbacks`."""
    own = (*path[:-1], current[-2])
    for place in (own, current[:-1]):
        if isinstance(value_at(migration.tree, place), str):
            primary = value_at(migration.tree, place)
            migration.text = edit.set_value(migration.text, tuple(map(str, place)), {"primary": primary})
    if value_at(migration.tree, own) is not None:
        _move_value(migration, own, current[:-1])
    _move_value(migration, path, current)


def _alias(migration: Migration, path: Path, current: tuple[str, ...]) -> None:
    target = as_text(value_at(migration.tree, path))
    if target is None:
        raise edit.CannotEdit("it names no model")
    place = ("agents", "defaults", "models", target, "alias")
    if value_at(migration.tree, place) is None:
        migration.text = edit.set_value(migration.text, place, str(path[-1]))
        migration.moved.append((dotted(path), dotted(place)))
    else:
        migration.dropped.append((dotted(path), dotted(place)))
    migration.text = move.remove(migration.text, path)


def _default_agent(migration: Migration, path: Path, current: tuple[str, ...]) -> None:
    if any(entry.get("default") is True for _, entry in entries(migration.tree)):
        migration.dropped.append((dotted(path), dotted(current)))
    else:
        migration.text = edit.set_value(migration.text, current, True)
        migration.moved.append((dotted(path), dotted(current)))
    migration.text = move.remove(migration.text, path)


def _mark_default(migration: Migration) -> None:
    """Mark the first of several agents as default: it was, and OpenClaw 2026.9 requires the mark."""
    agents, known = section(migration.tree, "agents"), entries(migration.tree)
    moved = any(current.startswith("agents.entries.") for _, current in migration.moved)
    marked = "ownership" in agents or any(entry.get("default") is True for _, entry in known)
    if moved and not marked and len(known) > 1 and known[0][0] in section(agents, "entries"):
        migration.text = edit.set_value(migration.text, ("agents", "entries", known[0][0], "default"), True)


def _disabled(migration: Migration, path: Path, current: tuple[str, ...]) -> None:
    if value_at(migration.tree, current) is None:
        migration.text = edit.set_value(migration.text, current, value_at(migration.tree, path) is not True)
        migration.moved.append((dotted(path), dotted(current)))
    else:
        migration.dropped.append((dotted(path), dotted(current)))
    migration.text = move.remove(migration.text, path)


def _listed(migration: Migration, path: Path, current: tuple[str, ...]) -> None:
    """Move all agents of the list at once. Raises edit.CannotEdit if an id is missing or repeated."""
    if path[-1] != 0:
        return
    listed = as_list(value_at(migration.tree, path[:-1]))
    ids = [as_text(each.get("id")) if isinstance(each, dict) else None for each in listed]
    taken = [id.lower() for id in ids if id] + [key.lower() for key in section(migration.tree, "agents", "entries")]
    if None in ids or len(set(taken)) < len(taken):
        raise edit.CannotEdit("an entry has no id, or two have the same")
    if len(ids) > MAX_MOVED:
        raise edit.CannotEdit(f"there are more than {MAX_MOVED}")
    for index, id in enumerate(ids):
        place = ("agents", "entries", str(id))
        migration.text = move.move(migration.text, (*path[:-1], index), place, keep=True)
        migration.text = move.remove(migration.text, (*place, "id"))
        migration.moved.append((dotted((*path[:-1], index)), dotted(place)))
    migration.text = move.remove(migration.text, path[:-1])


_SPECIAL: dict[str, Callable[[Migration, Path, tuple[str, ...]], None]] = {
    "agent.modelFallbacks": _fallbacks,
    "agent.imageModelFallbacks": _fallbacks,
    "agent.modelAliases.*": _alias,
    "routing.defaultAgentId": _default_agent,
    "mcp.servers.*.disabled": _disabled,
    "agents.list.*": _listed,
}


def _remove_empty_parents(migration: Migration, name: RenamedKey) -> None:
    """Remove the parents of moved keys that are empty now."""
    keys = name.old.split(".")
    for length in range(len(keys) - 1, 0, -1):
        for path in list(places(migration.tree, ".".join(keys[:length]))):
            gone = any(old.startswith(f"{dotted(path)}.") for old, _ in (*migration.moved, *migration.dropped))
            if gone and value_at(migration.tree, path) == {}:
                migration.text = move.remove(move.without_lead(migration.text, path), path)
