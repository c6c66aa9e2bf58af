"""MCP servers as `mcp.servers` of the config names them: what a run's tools come from.

The section is not in `schema`, so nothing has validated it: a server that cannot be used is left out and told of.
"""

from collections.abc import Mapping
from typing import Any

from gateway.config.catalog import section, text
from gateway.config.providers import Unusable, cut, is_url
from gateway.link.messages import Server

MAX_SERVERS = 32
TRANSPORTS = ("streamable-http", "http")
"""Of those that OpenClaw knows, what is spoken here with a URL; without one it is `stdio`."""
_KEY = "mcp.servers"


def servers(tree: dict[str, Any]) -> list[Server]:
    """Those that are enabled and can be used, in the order of the file."""
    return _read(tree)[0]


def problems(tree: dict[str, Any]) -> list[str]:
    """A sentence for each server that is enabled and cannot be used."""
    return _read(tree)[1]


def _read(tree: dict[str, Any]) -> tuple[list[Server], list[str]]:
    found: list[Server] = []
    told: list[str] = []
    for name, entry in section(tree, "mcp", "servers").items():
        if isinstance(entry, dict) and (entry.get("enabled") is False or entry.get("disabled") is True):
            continue
        try:
            if len(found) == MAX_SERVERS:
                what = f"there are more than {MAX_SERVERS} servers"
                raise Unusable(_KEY, what, f"those from {cut(name)} on are left out; disable some")
            found.append(_server(name, entry))
        except Unusable as error:
            told.append(str(error))
            if error.key == _KEY:
                break
    return found, told


def _server(name: str, entry: Any) -> Server:
    key = f"{_KEY}.{cut(name)}"
    if not isinstance(entry, dict):
        raise Unusable(key, "not an object", "write it as {command: …} or {url: …}")
    if entry.get("auth") == "oauth":
        raise Unusable(f"{key}.auth", '"oauth" is not supported', "put a token into headers.Authorization")
    url, command = text(entry.get("url")), text(entry.get("command"))
    if command and not url:
        return Server(
            name,
            command=command,
            args=_texts(f"{key}.args", entry.get("args")),
            env=_pairs(f"{key}.env", entry.get("env")),
            cwd=text(entry.get("cwd")) or text(entry.get("workingDirectory")),
        )
    if not url:
        raise Unusable(key, "it has neither a command nor a url", "set one of them")
    if not is_url(url):
        raise Unusable(f"{key}.url", "not an address", 'set it to a URL such as "https://mcp.example/mcp"')
    transport = text(entry.get("transport")) or text(entry.get("type")) or TRANSPORTS[0]
    if transport not in TRANSPORTS:
        raise Unusable(f"{key}.transport", f'"{cut(transport)}" is not supported', f'use "{TRANSPORTS[0]}"')
    return Server(name, url=url, headers=_pairs(f"{key}.headers", entry.get("headers")))


def _texts(key: str, written: Any) -> list[str]:
    if written is None:
        return []
    if not isinstance(written, list) or not all(isinstance(each, str) for each in written):
        raise Unusable(key, "not a list of texts", 'write it as ["one", "two"]')
    return written


def _pairs(key: str, written: Any) -> dict[str, str]:
    """Names with texts; numbers and booleans become texts, as for OpenClaw."""
    if written is None:
        return {}
    if not isinstance(written, Mapping):
        raise Unusable(key, "not an object", 'write it as {"name": "value"}')
    return {name: _plain(f"{key}.{cut(name)}", value) for name, value in written.items()}


def _plain(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise Unusable(key, "not a text", "write it in quotes")
    return str(value)
