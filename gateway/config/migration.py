"""Rewrite a config text so that it has today's names (`old_keys`) and every comment. Pure.

Where today's name has a value already, that one counts, and the old one is dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.config import edit, move
from gateway.config.old_keys import RENAMED_KEYS, RenamedKey, current_path, entries, places
from gateway.config.parse import Path, dotted
from gateway.config.tree import as_list, as_text, section, value_at

MAX_MOVED = 100
"""Names in one go: each of them reads the whole text again."""


@dataclass
class Migration:
    """A text that is written anew step by step."""

    text: str
    moved: list[tuple[str, str]] = field(default_factory=list)
    """From where to where, dotted."""
    dropped: list[tuple[str, str]] = field(default_factory=list)
    """What is gone, because today's name of it has a value already."""
    kept: list[tuple[str, str]] = field(default_factory=list)
    """What could not be moved, and why."""

    @property
    def tree(self) -> Any:
        return edit.parsed(self.text).value

    @property
    def is_full(self) -> bool:
        return len(self.moved) + len(self.dropped) >= MAX_MOVED


def migrate(old: str) -> Migration:
    """The text with today's names. Raises json5.Fault for a text that is no config."""
    done = Migration(old)
    for name in RENAMED_KEYS:
        for path in list(places(done.tree, name.old)):
            if not done.is_full:
                _move(done, name, path)
        _sweep(done, name)
    _mark_default(done)
    done.text = move.with_comments_of(done.text, old)
    return done


def _move(done: Migration, name: RenamedKey, path: Path) -> None:
    tree = done.tree
    today = current_path(tree, name, path)
    special = _SPECIAL.get(name.old)
    try:
        if special:
            special(done, path, today)
        else:
            _carry(done, path, today)
    except edit.CannotEdit as refusal:
        done.kept.append((dotted(path), str(refusal)))


def _carry(done: Migration, path: Path, today: tuple[str, ...]) -> None:
    """To today's place; where something stands there, today's wins key by key."""
    tree = done.tree
    value, there = value_at(tree, path), value_at(tree, today)
    if there is None:
        done.text = move.move(done.text, path, today)
        done.moved.append((dotted(path), dotted(today)))
    elif isinstance(value, dict) and isinstance(there, dict):
        for key in value:
            _carry(done, (*path, key), (*today, key))
        done.text = move.remove(done.text, path)
    else:
        done.text = move.remove(done.text, path)
        done.dropped.append((dotted(path), dotted(today)))


def _fallbacks(done: Migration, path: Path, today: tuple[str, ...]) -> None:
    """Beside a model that is a text: it becomes the primary of an object."""
    own = (*path[:-1], today[-2])
    for place in (own, today[:-1]):
        if isinstance(value_at(done.tree, place), str):
            primary = value_at(done.tree, place)
            done.text = edit.set_value(done.text, tuple(map(str, place)), {"primary": primary})
    if value_at(done.tree, own) is not None:
        _carry(done, own, today[:-1])
    _carry(done, path, today)


def _alias(done: Migration, path: Path, today: tuple[str, ...]) -> None:
    target = as_text(value_at(done.tree, path))
    if target is None:
        raise edit.CannotEdit("it names no model")
    place = ("agents", "defaults", "models", target, "alias")
    if value_at(done.tree, place) is None:
        done.text = edit.set_value(done.text, place, str(path[-1]))
        done.moved.append((dotted(path), dotted(place)))
    else:
        done.dropped.append((dotted(path), dotted(place)))
    done.text = move.remove(done.text, path)


def _default_agent(done: Migration, path: Path, today: tuple[str, ...]) -> None:
    if any(entry.get("default") is True for _, entry in entries(done.tree)):
        done.dropped.append((dotted(path), dotted(today)))
    else:
        done.text = edit.set_value(done.text, today, True)
        done.moved.append((dotted(path), dotted(today)))
    done.text = move.remove(done.text, path)


def _mark_default(done: Migration) -> None:
    """The first of several agents answered; OpenClaw 2026.9 takes them only where the file says so."""
    agents, known = section(done.tree, "agents"), entries(done.tree)
    moved = any(today.startswith("agents.entries.") for _, today in done.moved)
    marked = "ownership" in agents or any(entry.get("default") is True for _, entry in known)
    if moved and not marked and len(known) > 1 and known[0][0] in section(agents, "entries"):
        done.text = edit.set_value(done.text, ("agents", "entries", known[0][0], "default"), True)


def _disabled(done: Migration, path: Path, today: tuple[str, ...]) -> None:
    if value_at(done.tree, today) is None:
        done.text = edit.set_value(done.text, today, value_at(done.tree, path) is not True)
        done.moved.append((dotted(path), dotted(today)))
    else:
        done.dropped.append((dotted(path), dotted(today)))
    done.text = move.remove(done.text, path)


def _listed(done: Migration, path: Path, today: tuple[str, ...]) -> None:
    """All agents of the list at once: one that has no id, or another's, leaves the list where it is."""
    if path[-1] != 0:
        return
    listed = as_list(value_at(done.tree, path[:-1]))
    ids = [as_text(each.get("id")) if isinstance(each, dict) else None for each in listed]
    taken = [id.lower() for id in ids if id] + [key.lower() for key in section(done.tree, "agents", "entries")]
    if None in ids or len(set(taken)) < len(taken):
        raise edit.CannotEdit("an entry has no id, or two have the same")
    if len(ids) > MAX_MOVED:
        raise edit.CannotEdit(f"there are more than {MAX_MOVED}")
    for index, id in enumerate(ids):
        place = ("agents", "entries", str(id))
        done.text = move.move(done.text, (*path[:-1], index), place, keep=True)
        done.text = move.remove(done.text, (*place, "id"))
        done.moved.append((dotted((*path[:-1], index)), dotted(place)))
    done.text = move.remove(done.text, path[:-1])


_SPECIAL: dict[str, Callable[[Migration, Path, tuple[str, ...]], None]] = {
    "agent.modelFallbacks": _fallbacks,
    "agent.imageModelFallbacks": _fallbacks,
    "agent.modelAliases.*": _alias,
    "routing.defaultAgentId": _default_agent,
    "mcp.servers.*.disabled": _disabled,
    "agents.list.*": _listed,
}


def _sweep(done: Migration, name: RenamedKey) -> None:
    """What is empty now, of the parents of what has moved."""
    keys = name.old.split(".")
    for length in range(len(keys) - 1, 0, -1):
        for path in list(places(done.tree, ".".join(keys[:length]))):
            gone = any(old.startswith(f"{dotted(path)}.") for old, _ in (*done.moved, *done.dropped))
            if gone and value_at(done.tree, path) == {}:
                done.text = move.remove(move.without_lead(done.text, path), path)
