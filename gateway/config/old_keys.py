"""Keys of older releases and of other programs, each with today's name for what it says. Pure.

`migration` rewrites a text by this table. The rules are those of the migrations in OpenClaw 2026.2.1 and of `doctor` in
2026.9.6, as far as they concern keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.config.catalog import MAIN
from gateway.config.parse import Path, dotted
from gateway.config.tree import as_list, as_text, matches, section

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
    *(Name(each, f"channels.{each}") for each in _CHANNELS),  # what they allow counts more than what routing does
    Name("routing.allowFrom", "channels.whatsapp.allowFrom"),
    Name("routing.groupChat.historyLimit", "messages.groupChat.historyLimit"),
    Name("routing.groupChat.mentionPatterns", "messages.groupChat.mentionPatterns"),
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


def found(tree: dict[str, Any], *, working: bool = False) -> list[Old]:
    """The names of former days in it; with `working`, also those that this gateway understands.

    Where there are too many, what restricts something comes before the rest: it is an error.
    """
    told: list[Old] = []
    for name in sorted(NAMES, key=lambda name: not name.restricts):
        if name.works and not working:
            continue
        for path in places(tree, name.old):
            if len(told) == MAX_FOUND:
                return told
            if not any(path[: len(each.path)] == each.path or each.path[: len(path)] == path for each in told):
                told.append(Old(name, path, today_of(tree, name, path)))
    return told


def model(tree: dict[str, Any]) -> Old | None:
    """The first old name that says what answers."""
    return next((old for old in found(tree) if "model" in (str(old.path[-1]), old.today[-1])), None)


def places(tree: dict[str, Any], pattern: str) -> Iterator[Path]:
    """Where a dotted pattern finds something. `*` is an item of agents.list, and of `env` a variable."""
    for path, value in matches(tree, tuple(pattern.split("."))):
        listed = any(isinstance(step, int) for step in path) and path[:2] != ("agents", "list")
        variable = path[0] != "env" or len(path) == 1 or (path[1] not in _NO_VARIABLES and isinstance(value, str))
        if variable and not listed:
            yield path


def today_of(tree: dict[str, Any], name: Name, path: Path) -> tuple[str, ...]:
    wild = [str(step) for key, step in zip(name.old.split("."), path, strict=True) if key == "*"]
    found = [wild.pop(0) if key == "*" else key for key in name.new.split(".")]
    return tuple(_default_id(tree) if key == "{agent}" else key for key in found)


def _default_id(tree: dict[str, Any]) -> str:
    """The agent that answers where none is named, as the releases chose it that had these names."""
    known = entries(tree)
    marked = [id for id, entry in known if entry.get("default") is True]
    named = as_text(section(tree, "routing").get("defaultAgentId"))
    return next(iter([*marked, *([named] if named else []), *(id for id, _ in known)]), MAIN)


def entries(tree: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    agents = section(tree, "agents")
    keyed = [(id, entry) for id, entry in section(agents, "entries").items() if isinstance(entry, dict)]
    listed = [(as_text(each.get("id")), each) for each in as_list(agents.get("list")) if isinstance(each, dict)]
    return keyed + [(id, entry) for id, entry in listed if id]
