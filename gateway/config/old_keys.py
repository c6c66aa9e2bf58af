"""Keys of older releases and of other programs, with their current names. Pure.

`migration` rewrites a text by this table. The rows are those of the migrations in OpenClaw 2026.2.1, and of `doctor` in
2026.9.6.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from gateway.config.catalog import MAIN
from gateway.config.parse import Path, dotted
from gateway.config.tree import as_list, as_text, matches, section

MAX_FOUND = 50
"""Old keys that are reported."""
MIGRATE_COMMAND = "openclaw-gateway config migrate"
_CHANNELS = ("whatsapp", "telegram", "discord", "slack", "signal", "imessage", "msteams")


class RenamedKey(Struct, frozen=True):
    """An old key and its current path. `*` is any key, the same in both; `{agent}` is the default agent."""

    old: str
    new: str
    works: bool = False
    """Whether this gateway reads the old key as well."""
    restricts: bool = False
    """Whether it restricts or protects: then the old key is an error."""


RENAMED_KEYS: tuple[RenamedKey, ...] = (
    RenamedKey("agents.list.*", "agents.entries.*", works=True),
    RenamedKey("agent.tools.allow", "tools.allow", restricts=True),
    RenamedKey("agent.tools.deny", "tools.deny", restricts=True),
    RenamedKey("agent.elevated", "tools.elevated"),
    RenamedKey("agent.bash", "tools.exec"),
    RenamedKey("agent.sandbox.tools", "tools.sandbox.tools"),
    RenamedKey("agent.subagents.tools", "tools.subagents.tools"),
    RenamedKey("agent.allowedModels", "agents.defaults.modelPolicy.allow", restricts=True),
    RenamedKey("agent.modelFallbacks", "agents.defaults.model.fallbacks"),
    RenamedKey("agent.imageModelFallbacks", "agents.defaults.imageModel.fallbacks"),
    RenamedKey("agent.modelAliases.*", "agents.defaults.models.*.alias"),
    RenamedKey("agent.memorySearch", "memory.search"),
    RenamedKey("agent.*", "agents.defaults.*"),
    RenamedKey("model", "agents.defaults.model"),
    RenamedKey("defaultModel", "agents.defaults.model"),
    RenamedKey("routing.agents.*.tools", "agents.entries.*.tools", restricts=True),
    RenamedKey("routing.agents.*.mentionPatterns", "agents.entries.*.groupChat.mentionPatterns"),
    RenamedKey("routing.agents.*", "agents.entries.*"),
    RenamedKey("routing.defaultAgentId", "agents.entries.{agent}.default"),
    RenamedKey("identity", "agents.entries.{agent}.identity"),
    RenamedKey("routing.bindings", "bindings"),
    RenamedKey("routing.agentToAgent", "tools.agentToAgent"),
    RenamedKey("routing.queue", "messages.queue"),
    *(RenamedKey(each, f"channels.{each}") for each in _CHANNELS),  # before `routing`, whose lists count less
    RenamedKey("routing.allowFrom", "channels.whatsapp.allowFrom"),
    RenamedKey("routing.groupChat.historyLimit", "messages.groupChat.historyLimit"),
    RenamedKey("routing.groupChat.mentionPatterns", "messages.groupChat.mentionPatterns"),
    RenamedKey("gateway.token", "gateway.auth.token", restricts=True),
    RenamedKey("gateway.nodes.allowCommands", "gateway.nodes.commands.allow"),
    RenamedKey("gateway.nodes.denyCommands", "gateway.nodes.commands.deny"),
    RenamedKey("gateway.nodes.skills.enabled", "gateway.nodes.allowSkills"),
    RenamedKey("mcpServers.*", "mcp.servers.*"),
    RenamedKey("mcp.servers.*.type", "mcp.servers.*.transport", works=True),
    RenamedKey("mcp.servers.*.disabled", "mcp.servers.*.enabled", works=True),
    RenamedKey("tools.bash", "tools.exec"),
    RenamedKey("tools.exec.timeoutSec", "tools.exec.timeoutSeconds"),
    RenamedKey("messages.tts", "tts"),
    RenamedKey("audit", "logging.audit"),
    RenamedKey("heartbeat", "agents.defaults.heartbeat"),
    RenamedKey("memorySearch", "memory.search"),
    RenamedKey("agents.defaults.memorySearch", "memory.search", works=True),
    RenamedKey("agents.defaults.embeddedPi", "agents.defaults.embeddedAgent"),
    RenamedKey("agents.defaults.pdfMaxBytesMb", "agents.defaults.pdfMaxMb"),
    RenamedKey("agents.entries.*.memorySearch", "agents.entries.*.memory.search"),
    RenamedKey("session.idleMinutes", "session.reset.idleMinutes"),
    RenamedKey("session.resetByType.dm", "session.resetByType.direct"),
    RenamedKey("env.*", "env.vars.*", works=True),
)
"""In the order of moving: more specific keys first."""
_NO_VARIABLES = ("vars", "shellEnv")


class OldKey(Struct, frozen=True):
    """An old key in a config, and its current path."""

    name: RenamedKey
    path: Path
    today: tuple[str, ...]

    def __str__(self) -> str:
        return f"a name of former days; it is {dotted(self.today)} now"


def find_old_keys(tree: dict[str, Any], *, working: bool = False) -> list[OldKey]:
    """At most `MAX_FOUND` old keys, those that restrict first; with `working`, also those that this gateway reads."""
    found: list[OldKey] = []
    for name in sorted(RENAMED_KEYS, key=lambda name: not name.restricts):
        if name.works and not working:
            continue
        for path in places(tree, name.old):
            if len(found) == MAX_FOUND:
                return found
            if not any(path[: len(each.path)] == each.path or each.path[: len(path)] == path for each in found):
                found.append(OldKey(name, path, current_path(tree, name, path)))
    return found


def old_model_key(tree: dict[str, Any]) -> OldKey | None:
    """The first old key that names a model."""
    return next((old for old in find_old_keys(tree) if "model" in (str(old.path[-1]), old.today[-1])), None)


def places(tree: dict[str, Any], pattern: str) -> Iterator[Path]:
    """The paths that match a dotted pattern. In arrays, `*` matches only in agents.list; below `env`, variables."""
    for path, value in matches(tree, tuple(pattern.split("."))):
        listed = any(isinstance(step, int) for step in path) and path[:2] != ("agents", "list")
        variable = path[0] != "env" or len(path) == 1 or (path[1] not in _NO_VARIABLES and isinstance(value, str))
        if variable and not listed:
            yield path


def current_path(tree: dict[str, Any], name: RenamedKey, path: Path) -> tuple[str, ...]:
    """The current path of the old key at `path`."""
    wild = [str(step) for key, step in zip(name.old.split("."), path, strict=True) if key == "*"]
    found = [wild.pop(0) if key == "*" else key for key in name.new.split(".")]
    return tuple(_default_id(tree) if key == "{agent}" else key for key in found)


def _default_id(tree: dict[str, Any]) -> str:
    """The default agent, as the releases with these keys chose it."""
    known = entries(tree)
    marked = [id for id, entry in known if entry.get("default") is True]
    named = as_text(section(tree, "routing").get("defaultAgentId"))
    return next(iter([*marked, *([named] if named else []), *(id for id, _ in known)]), MAIN)


def entries(tree: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The agents by id, with their entries in agents.entries or agents.list."""
    agents = section(tree, "agents")
    keyed = [(id, entry) for id, entry in section(agents, "entries").items() if isinstance(entry, dict)]
    listed = [(as_text(each.get("id")), each) for each in as_list(agents.get("list")) if isinstance(each, dict)]
    return keyed + [(id, entry) for id, entry in listed if id]
