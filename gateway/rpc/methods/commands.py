"""The commands of a chat, for the menus of pages."""

from typing import Any, Literal

from msgspec import Struct

from gateway.config.models import THINKING
from gateway.conversations.slash import ALIASES, COMMANDS
from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.registry import Call, method

_CATEGORIES = {
    "help": "status",
    "status": "status",
    "new": "session",
    "stop": "session",
    "compact": "session",
    "model": "options",
    "models": "options",
    "think": "options",
}
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "model": {"name": "model", "description": "provider/name, or default", "type": "string"},
    "think": {
        "name": "level",
        "description": "How long the model thinks",
        "type": "string",
        "choices": [{"value": level, "label": level} for level in THINKING],
    },
    "compact": {"name": "instructions", "description": "What the summary shall keep", "type": "string"},
}


class CommandsParams(Params, frozen=True):
    session_key: str | None = None
    agent_id: str | None = None
    provider: str | None = None
    scope: Literal["text", "native", "both"] = "both"
    include_args: bool = True


class CommandList(Struct):
    commands: list[dict[str, Any]]


@method("commands.list", CommandsParams, CommandList, scope=READ, since=4)
def commands_list(call: Call, params: CommandsParams) -> CommandList:
    """The commands of a chat. They are the same for every agent and provider."""
    return CommandList(commands(arguments=params.include_args))


def commands(*, arguments: bool = True) -> list[dict[str, Any]]:
    """Rows of `commands.list`: `name`, `textAliases`, `description`, `category`, `acceptsArgs`, `args`, …"""
    return [_row(name, text, arguments) for name, text in COMMANDS.items()]


def _row(name: str, text: str, arguments: bool) -> dict[str, Any]:
    others = [alias for alias, meant in ALIASES.items() if meant == name]
    row: dict[str, Any] = {
        "name": name,
        "nativeName": name,
        "textAliases": [f"/{each}" for each in (name, *others)],
        "description": text,
        "category": _CATEGORIES[name],
        "source": "native",
        "scope": "both",
        "acceptsArgs": name in _ARGUMENTS,
    }
    if arguments and name in _ARGUMENTS:
        row["args"] = [_ARGUMENTS[name]]
    return row
