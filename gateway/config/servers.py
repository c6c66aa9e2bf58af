"""The MCP servers of `mcp.servers`, whose tools a run has.

The section is not in `schema`: a server that cannot be used is left out with a warning. A restriction (`toolFilter`,
`sslVerify`) that cannot be honoured is an error of the config.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard

from gateway.config.parse import Path
from gateway.config.providers import is_url
from gateway.config.secretmistakes import mistaken_in
from gateway.config.secretref import Unresolved
from gateway.config.tree import ConfigTree, Fault, Unusable, abbreviate, as_text, is_enabled, section
from gateway.link.spec import Server

MAX_SERVERS = 32
MAX_PREFIX = 30
"""Characters of a server's name in the names of its tools."""
MAX_WAIT_MS = 3_600_000
"""Milliseconds: the longest timeout that a config may set."""
TRANSPORTS: Mapping[str, str] = {"streamable-http": "streamable-http", "http": "streamable-http", "sse": "sse"}
"""Transports for a URL, as OpenClaw and other programs call them; without a URL it is `stdio`."""
OTHERS = {
    **dict.fromkeys(("includeTools", "allowedTools", "enabledTools", "enabled_tools"), 'toolFilter: {include: ["…"]}'),
    **dict.fromkeys(("excludeTools", "disallowedTools", "disabledTools", "disabled_tools"), "toolFilter.exclude"),
    **{"tool_filter": "toolFilter", "ssl_verify": "sslVerify", "client_cert": "clientCert", "client_key": "clientKey"},
}
"""Keys of other programs that restrict or protect -> the key here."""
RENAMED = {
    **dict.fromkeys(("timeout", "timeoutMs", "request_timeout_ms"), "requestTimeoutMs (milliseconds)"),
    **dict.fromkeys(("connectTimeout", "connect_timeout", "startupTimeoutMs"), "connectionTimeoutMs (milliseconds)"),
}
"""Keys of other programs for timeouts -> the key here."""
_KEY = "mcp.servers"


class _Found(NamedTuple):
    servers: list[Server]
    unusable: dict[str, Unusable]
    warnings: list[str]


def servers(tree: ConfigTree) -> list[Server]:
    """The servers that are enabled and usable, in the order of the file."""
    return _read(tree).servers


def unusable(tree: ConfigTree) -> dict[str, str]:
    """Name -> why an enabled server cannot be used."""
    return {name: str(error) for name, error in _read(tree).unusable.items()}


def problems(tree: ConfigTree) -> list[str]:
    """A sentence for each enabled server that cannot be used, and for each key without an effect."""
    found = _read(tree)
    return [*map(str, found.unusable.values()), *found.warnings]


def faults(tree: ConfigTree) -> Iterator[Fault]:
    """Restrictions of enabled servers that cannot be honoured."""
    for name, entry in section(tree, "mcp", "servers").items():
        if isinstance(entry, dict) and is_enabled(entry):
            yield from _server_faults(("mcp", "servers", name), entry)


def prefixes(names: list[str]) -> dict[str, str]:
    """Server -> prefix of its tools' names, which OpenClaw makes from the names of all declared servers."""
    taken: dict[str, str] = {}
    return {name: _prefix(name, taken) for name in names}


def _read(tree: ConfigTree) -> _Found:
    found = _Found([], {}, [])
    declared = section(tree, "mcp", "servers")
    starts = prefixes(list(declared))
    for name, entry in declared.items():
        if isinstance(entry, dict) and not is_enabled(entry):
            continue
        try:
            if len(found.servers) + len(found.unusable) == MAX_SERVERS:
                what = f"there are more than {MAX_SERVERS} servers"
                raise Unusable(_KEY, what, f"those from {abbreviate(name)} on are left out; disable some")
            found.servers.append(_server(name, entry, starts[name]))
            found.warnings.extend(_warnings(name, entry, starts[name]))
        except Unusable as error:
            found.unusable[name] = error
            if error.key == _KEY:
                break
    return found


def _server(name: str, entry: Any, prefix: str) -> Server:
    key = f"{_KEY}.{abbreviate(name)}"
    if not isinstance(entry, dict):
        raise Unusable(key, "not an object", "write it as {command: …} or {url: …}")
    if entry.get("auth") == "oauth":
        raise Unusable(f"{key}.auth", '"oauth" is not supported', "put a token into headers.Authorization")
    url, command = as_text(entry.get("url")), as_text(entry.get("command"))
    limits: dict[str, Any] = {
        "prefix": prefix,
        "include": _patterns(entry, "include"),
        "exclude": _patterns(entry, "exclude"),
        "connect_ms": _milliseconds(entry.get("connectionTimeoutMs")),
        "request_ms": _milliseconds(entry.get("requestTimeoutMs")),
    }
    if command and not url:
        return Server(
            name,
            command=_command(f"{key}.command", command),
            args=_texts(f"{key}.args", entry.get("args")),
            env=_pairs(f"{key}.env", entry.get("env")),
            cwd=as_text(entry.get("cwd")) or as_text(entry.get("workingDirectory")),
            **limits,
        )
    if not url:
        if other := next((each for each in ("baseUrl", "baseURL", "serverUrl", "httpUrl") if entry.get(each)), None):
            raise Unusable(f"{key}.{other}", "not a key of a server", "call it url")
        raise Unusable(key, "it has neither a command nor a url", "set one of them")
    if not is_url(url):
        raise Unusable(f"{key}.url", "not an address", 'set it to a URL such as "https://mcp.example/mcp"')
    return Server(
        name,
        url=url,
        headers=_pairs(f"{key}.headers", entry.get("headers")),
        transport=_transport(key, entry),
        verify=entry.get("sslVerify") is not False,
        client_cert=as_text(entry.get("clientCert")),
        client_key=as_text(entry.get("clientKey")),
        **limits,
    )


def _transport(key: str, entry: dict[str, Any]) -> Any:
    """The transport; "" means that both are tried. OpenClaw's default is SSE, that of others streamable HTTP."""
    name = next((each for each in ("transport", "type") if as_text(entry.get(each))), "transport")
    written = (as_text(entry.get(name)) or "").lower()
    if written and written not in TRANSPORTS:
        raise Unusable(f"{key}.{name}", f'"{abbreviate(written)}" is not for a url', 'use "streamable-http" or "sse"')
    return TRANSPORTS.get(written, "")


def _command(key: str, command: str) -> str:
    first, *rest = command.split()
    if rest and "/" not in first:
        shown = ", ".join(f'"{abbreviate(each)}"' for each in rest[:4])
        what = "arguments stand in the command"
        raise Unusable(key, what, f'write command: "{abbreviate(first)}", args: [{shown}{", …" if rest[4:] else ""}]')
    return command


def _patterns(entry: dict[str, Any], which: str) -> list[str]:
    written = section(entry, "toolFilter").get(which)
    return [each for each in written if isinstance(each, str)] if isinstance(written, list) else []


def _milliseconds(written: Any) -> int | None:
    return min(math.ceil(written), MAX_WAIT_MS) if _is_wait(written) else None


def _is_wait(written: Any) -> TypeGuard[int | float]:
    return isinstance(written, int | float) and not isinstance(written, bool) and 0 < written < math.inf


def _texts(key: str, written: Any) -> list[str]:
    if written is None:
        return []
    if not isinstance(written, list):
        raise Unusable(key, "not a list of texts", 'write it as ["one", "two"]')
    return [_plain(f"{key}[{index}]", value) for index, value in enumerate(written)]


def _pairs(key: str, written: Any) -> dict[str, str]:
    """Name -> text; numbers and booleans become texts, as in OpenClaw."""
    if written is None:
        return {}
    if not isinstance(written, Mapping):
        raise Unusable(key, "not an object", 'write it as {"name": "value"}')
    found = {name: _plain(f"{key}.{abbreviate(name)}", value) for name, value in written.items()}
    for name, value in found.items():
        if what := mistaken_in(name, value):
            way_out = "set it to the secret, or to ${VARIABLE}"
            raise Unusable(f"{key}.{abbreviate(name)}", f"this is no secret: {what}", way_out)
    return found


def _plain(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JavaScript writes no ".0"
    if isinstance(value, Unresolved):
        raise Unusable(key, value.problem, value.way_out)
    if not isinstance(value, str | int | float):
        raise Unusable(key, "not a text", "write it in quotes")
    return str(value)


def _prefix(name: str, taken: dict[str, str]) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]", "-", name.strip()) or "mcp"
    plain = (plain if plain[0].isalpha() else f"mcp-{plain}")[:MAX_PREFIX]
    found, number = plain, int(taken.get(f"{plain.lower()}#", "1"))
    while found.lower() in taken:
        number += 1
        mark = f"-{number}"
        found = f"{plain[: MAX_PREFIX - len(mark)]}{mark}"
    taken[found.lower()] = name
    taken[f"{plain.lower()}#"] = str(number)
    return found


def _warnings(name: str, entry: dict[str, Any], prefix: str) -> Iterator[str]:
    """Warnings of keys without the effect that they seem to have."""
    key = f"{_KEY}.{abbreviate(name)}"
    for other, ours in RENAMED.items():
        if other in entry:
            yield f"{key}.{other}: not read; it is called {ours} here"
    for own in ("connectionTimeoutMs", "requestTimeoutMs"):
        if entry.get(own) is not None and not _is_wait(entry[own]):
            yield f"{key}.{own}: not a number of milliseconds above 0; the usual time counts"
    for pattern in _patterns(entry, "include"):
        if pattern.lower().startswith(f"{prefix.lower()}__"):
            way_out = f'"{abbreviate(pattern[len(prefix) + 2 :])}"'
            what = f'"{abbreviate(pattern)}" matches nothing: names stand without the server\'s'
            yield f"{key}.toolFilter.include: {what}, {way_out}"


def _server_faults(path: Path, entry: dict[str, Any]) -> Iterator[Fault]:
    for other, ours in OTHERS.items():
        if other in entry:
            yield (*path, other), "not a key here, and it restricts or protects", f"write it as {ours}"
    verify = entry.get("sslVerify")
    if verify is not None and not isinstance(verify, bool):
        yield (*path, "sslVerify"), "must be true or false", "without it certificates are verified"
    for key in ("clientCert", "clientKey"):
        if entry.get(key) is not None and not as_text(entry[key]):
            yield (*path, key), "must be the path of a file", "write it in quotes"
    written = entry.get("toolFilter")
    if written is None:
        return
    if not isinstance(written, dict):
        yield (*path, "toolFilter"), "must be an object", 'write it as {include: ["read_*"], exclude: ["admin_*"]}'
        return
    for key, value in written.items():
        here = (*path, "toolFilter", key)
        if key not in ("include", "exclude"):
            yield here, "not a key of a filter", "it has include and exclude"
        elif not isinstance(value, list) or not value or not all(as_text(each) for each in value):
            yield here, "must be a list of names of tools, and not empty", f'write it as {key}: ["read_*"]'
