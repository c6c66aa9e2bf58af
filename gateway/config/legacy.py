"""Names that older releases and other programs have for what today's config says, and how to write it anew. Pure.

The rules are those of the migrations in OpenClaw 2026.2.1 and of `doctor` in 2026.9.6, as far as they concern keys.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.config import edit, json5, move
from gateway.config.catalog import MAIN, rows, section, text
from gateway.config.parse import MAX_DEPTH, Path, dotted

MAX_FOUND = 50
"""Names that are told of one by one."""
HOW = "openclaw-gateway config migrate"
_CHANNELS = ("whatsapp", "telegram", "discord", "slack", "signal", "imessage", "msteams")


@dataclass(frozen=True)
class Name:
    """A key of former days: `*` is any key, the same one in both; `{agent}` is the agent that answers."""

    old: str
    new: str
    works: bool = False
    """This gateway understands the old one as well."""
    restricts: bool = False


NAMES: tuple[Name, ...] = (
    Name("agents.list.*", "agents.entries.*", works=True),
    Name("agent.tools.allow", "tools.allow", restricts=True),
    Name("agent.tools.deny", "tools.deny", restricts=True),
    Name("agent.elevated", "tools.elevated"),
    Name("agent.bash", "tools.exec"),
    Name("agent.sandbox.tools", "tools.sandbox.tools"),
    Name("agent.subagents.tools", "tools.subagents.tools"),
    Name("agent.allowedModels", "agents.defaults.modelPolicy.allow", restricts=True),
    Name("agent.modelFallbacks", "agents.defaults.model.fallbacks"),
    Name("agent.imageModelFallbacks", "agents.defaults.imageModel.fallbacks"),
    Name("agent.modelAliases.*", "agents.defaults.models.*.alias"),
    Name("agent.memorySearch", "memory.search"),
    Name("agent.*", "agents.defaults.*"),
    Name("model", "agents.defaults.model"),
    Name("defaultModel", "agents.defaults.model"),
    Name("routing.agents.*.tools", "agents.entries.*.tools", restricts=True),
    Name("routing.agents.*.mentionPatterns", "agents.entries.*.groupChat.mentionPatterns"),
    Name("routing.agents.*", "agents.entries.*"),
    Name("routing.defaultAgentId", "agents.entries.{agent}.default"),
    Name("identity", "agents.entries.{agent}.identity"),
    Name("routing.bindings", "bindings"),
    Name("routing.agentToAgent", "tools.agentToAgent"),
    Name("routing.queue", "messages.queue"),
    Name("routing.allowFrom", "channels.whatsapp.allowFrom"),
    Name("routing.groupChat.historyLimit", "messages.groupChat.historyLimit"),
    Name("routing.groupChat.mentionPatterns", "messages.groupChat.mentionPatterns"),
    *(Name(each, f"channels.{each}") for each in _CHANNELS),
    Name("gateway.token", "gateway.auth.token", restricts=True),
    Name("gateway.nodes.allowCommands", "gateway.nodes.commands.allow"),
    Name("gateway.nodes.denyCommands", "gateway.nodes.commands.deny"),
    Name("gateway.nodes.skills.enabled", "gateway.nodes.allowSkills"),
    Name("mcpServers.*", "mcp.servers.*"),
    Name("mcp.servers.*.type", "mcp.servers.*.transport", works=True),
    Name("mcp.servers.*.disabled", "mcp.servers.*.enabled", works=True),
    Name("tools.bash", "tools.exec"),
    Name("tools.exec.timeoutSec", "tools.exec.timeoutSeconds"),
    Name("messages.tts", "tts"),
    Name("audit", "logging.audit"),
    Name("heartbeat", "agents.defaults.heartbeat"),
    Name("memorySearch", "memory.search"),
    Name("agents.defaults.memorySearch", "memory.search", works=True),
    Name("agents.defaults.embeddedPi", "agents.defaults.embeddedAgent"),
    Name("agents.defaults.pdfMaxBytesMb", "agents.defaults.pdfMaxMb"),
    Name("agents.entries.*.memorySearch", "agents.entries.*.memory.search"),
    Name("session.idleMinutes", "session.reset.idleMinutes"),
    Name("session.resetByType.dm", "session.resetByType.direct"),
    Name("env.*", "env.vars.*", works=True),
)
"""In the order of moving: what is more exact stands first."""
_NO_VARIABLES = ("vars", "shellEnv")


@dataclass(frozen=True)
class Old:
    """A name of former days that a config has."""

    name: Name
    path: Path
    today: tuple[str, ...]

    def __str__(self) -> str:
        return f"a name of former days; it is {dotted(self.today)} now"


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

    _parsed: tuple[str, Any] = ("", None)

    @property
    def tree(self) -> Any:
        if self._parsed[0] != self.text:
            self._parsed = self.text, json5.parse(self.text, MAX_DEPTH).root.value
        return self._parsed[1]


def found(tree: dict[str, Any], *, working: bool = False) -> list[Old]:
    """The names of former days in it; with `working`, also those that this gateway understands.

    Where there are too many, what restricts something comes before the rest: it is an error.
    """
    told: list[Old] = []
    for name in sorted(NAMES, key=lambda name: not name.restricts):
        if name.works and not working:
            continue
        for path in _matches(tree, name.old.split("."), ()):
            if len(told) == MAX_FOUND:
                return told
            if not any(path[: len(each.path)] == each.path or each.path[: len(path)] == path for each in told):
                told.append(Old(name, path, _today(tree, name, path)))
    return told


def model(tree: dict[str, Any]) -> Old | None:
    """The first old name that says what answers."""
    return next((old for old in found(tree) if "model" in (str(old.path[-1]), old.today[-1])), None)


def migrate(old: str) -> Migration:
    """The text with today's names. Raises json5.Fault for a text that is no config."""
    done = Migration(old)
    for name in NAMES:
        for path in list(_matches(done.tree, name.old.split("."), ())):
            _move(done, name, path)
        _sweep(done, name)
    done.text = move.with_comments_of(done.text, old)
    return done


def _move(done: Migration, name: Name, path: Path) -> None:
    tree = done.tree
    today = _today(tree, name, path)
    special = _SPECIAL.get(name.old)
    try:
        if special:
            special(done, path, today)
        else:
            _carry(done, path, today)
    except edit.Refused as refusal:
        done.kept.append((dotted(path), str(refusal)))


def _carry(done: Migration, path: Path, today: tuple[str, ...]) -> None:
    """To today's place; where something stands there, today's wins key by key."""
    tree = done.tree
    value, there = _value(tree, path), _value(tree, today)
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
        if isinstance(_value(done.tree, place), str):
            primary = _value(done.tree, place)
            done.text = edit.set_value(done.text, _texts(place), {"primary": primary})
    if _value(done.tree, own) is not None:
        _carry(done, own, today[:-1])
    _carry(done, path, today)


def _alias(done: Migration, path: Path, today: tuple[str, ...]) -> None:
    target = text(_value(done.tree, path))
    if target is None:
        raise edit.Refused("it names no model")
    place = ("agents", "defaults", "models", target, "alias")
    if _value(done.tree, place) is None:
        done.text = edit.set_value(done.text, place, str(path[-1]))
        done.moved.append((dotted(path), dotted(place)))
    else:
        done.dropped.append((dotted(path), dotted(place)))
    done.text = move.remove(done.text, path)


def _default_agent(done: Migration, path: Path, today: tuple[str, ...]) -> None:
    if any(entry.get("default") is True for _, entry in _entries(done.tree)):
        done.dropped.append((dotted(path), dotted(today)))
    else:
        done.text = edit.set_value(done.text, today, True)
        done.moved.append((dotted(path), dotted(today)))
    done.text = move.remove(done.text, path)


def _disabled(done: Migration, path: Path, today: tuple[str, ...]) -> None:
    if _value(done.tree, today) is None:
        done.text = edit.set_value(done.text, today, _value(done.tree, path) is not True)
        done.moved.append((dotted(path), dotted(today)))
    else:
        done.dropped.append((dotted(path), dotted(today)))
    done.text = move.remove(done.text, path)


def _listed(done: Migration, path: Path, today: tuple[str, ...]) -> None:
    """All agents of the list at once: one that has no id, or another's, leaves the list where it is."""
    if path[-1] != 0:
        return
    listed = rows(_value(done.tree, path[:-1]))
    ids = [text(each.get("id")) if isinstance(each, dict) else None for each in listed]
    taken = [id.lower() for id in ids if id] + [key.lower() for key in section(done.tree, "agents", "entries")]
    if None in ids or len(set(taken)) < len(taken):
        raise edit.Refused("an entry has no id, or two have the same")
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


def _sweep(done: Migration, name: Name) -> None:
    """What is empty now, of the parents of what has moved."""
    keys = name.old.split(".")
    for length in range(len(keys) - 1, 0, -1):
        for path in list(_matches(done.tree, keys[:length], ())):
            gone = any(old.startswith(f"{dotted(path)}.") for old, _ in (*done.moved, *done.dropped))
            if gone and _value(done.tree, path) == {}:
                done.text = move.remove(move.without_lead(done.text, path), path)


def _matches(value: Any, keys: list[str], path: Path) -> Iterator[Path]:
    if not keys:
        yield path
    elif keys[0] == "*" and isinstance(value, list) and path == ("agents", "list"):
        for index, child in enumerate(value):
            yield from _matches(child, keys[1:], (*path, index))
    elif isinstance(value, dict):
        for key in value if keys[0] == "*" else [each for each in keys[:1] if each in value]:
            if not (path == ("env",) and (key in _NO_VARIABLES or not isinstance(value[key], str))):
                yield from _matches(value[key], keys[1:], (*path, key))


def _today(tree: dict[str, Any], name: Name, path: Path) -> tuple[str, ...]:
    wild = [str(step) for key, step in zip(name.old.split("."), path, strict=True) if key == "*"]
    found = [wild.pop(0) if key == "*" else key for key in name.new.split(".")]
    return tuple(_default_id(tree) if key == "{agent}" else key for key in found)


def _default_id(tree: dict[str, Any]) -> str:
    """The agent that answers where none is named, as the releases chose it that had these names."""
    entries = _entries(tree)
    marked = [id for id, entry in entries if entry.get("default") is True]
    named = text(section(tree, "routing").get("defaultAgentId"))
    return next(iter([*marked, *([named] if named else []), *(id for id, _ in entries)]), MAIN)


def _entries(tree: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    agents = section(tree, "agents")
    keyed = [(id, entry) for id, entry in section(agents, "entries").items() if isinstance(entry, dict)]
    listed = [(text(each.get("id")), each) for each in rows(agents.get("list")) if isinstance(each, dict)]
    return keyed + [(id, entry) for id, entry in listed if id]


def _value(tree: Any, path: Path) -> Any:
    for step in path:
        if isinstance(step, int):
            tree = tree[step] if isinstance(tree, list) and step < len(tree) else None
        else:
            tree = tree.get(step) if isinstance(tree, dict) else None
    return tree


def _texts(path: Path) -> tuple[str, ...]:
    return tuple(map(str, path))
