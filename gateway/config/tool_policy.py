"""The tools that a model of an agent may call: `tools`, an agent's own `tools`, and `byProvider` in both.

The layers and their order are OpenClaw's (docs/gateway/config-tools/tool-policy.md). All tools here are those of MCP
servers, so groups and profiles count only for those. A value that cannot be honoured is an error of the config, because
its author believes that a tool is forbidden.
"""

from collections.abc import Iterator
from typing import Any

from gateway.config.catalog import find_agent
from gateway.config.parse import Path
from gateway.config.providers import plain_name
from gateway.config.tree import ConfigTree, Fault, section
from gateway.link.spec import ToolRule

PROFILES = {"minimal": False, "coding": True, "messaging": True, "full": True}
"""Profile -> whether it contains the tools of MCP servers."""
LISTS = ("allow", "alsoAllow", "deny")
NOTHING = "session_status"
"""Stands in a list for OpenClaw's own tools, which this gateway lacks."""
ANYBODY = "*"
"""The key of `toolsBySender` for messages without a sender."""


def rules(tree: ConfigTree, agent: str, provider: str, model: str) -> list[ToolRule]:
    """All layers with rules for tools of MCP servers."""
    places = [("tools", section(tree, "tools")), *_own(tree, agent)]
    each = [(key, part, *_by_provider(key, part, provider, model)) for key, part in places]
    layers = [
        _profile([(key, part) for key, part, _, _ in each]),
        _profile([(key, part) for _, _, key, part in each]),
        *(_lists(key, part) for shared, own, key, part in each for key, part in ((shared, own), (key, part))),
        _for_anybody(places),
    ]
    return [rule for rule in layers if rule is not None]


def faults(tree: ConfigTree) -> Iterator[Fault]:
    """The values that cannot be honoured."""
    yield from _tools_faults(("tools",), tree.get("tools"))
    agents = tree.get("agents")
    if not isinstance(agents, dict):
        return
    entries = agents.get("entries")
    for id, entry in entries.items() if isinstance(entries, dict) else ():
        yield from _tools_faults(("agents", "entries", id, "tools"), entry.get("tools") if _is_object(entry) else None)
    listed = agents.get("list")
    for index, entry in enumerate(listed if isinstance(listed, list) else ()):
        yield from _tools_faults(("agents", "list", index, "tools"), entry.get("tools") if _is_object(entry) else None)
    defaults = agents.get("defaults")
    written = defaults.get("tools") if isinstance(defaults, dict) else None
    yield from _tools_faults(("agents", "defaults", "tools"), written)
    if written is not None and (entries or listed):
        what = "it counts only where no agent is listed"
        yield ("agents", "defaults", "tools"), what, "move it to tools at the root of the config"


def _own(tree: ConfigTree, agent: str) -> list[tuple[str, dict[str, Any]]]:
    """(key, `tools`) of the agent itself. Without listed agents, the defaults are those of the only one."""
    if not (section(tree, "agents", "entries") or section(tree, "agents").get("list")):
        return [("agents.defaults.tools", section(tree, "agents", "defaults", "tools"))]
    found = find_agent(tree, agent)
    return [(f"{found.key}.tools", section(found.entry, "tools"))] if found else []


def _by_provider(key: str, part: dict[str, Any], provider: str, model: str) -> tuple[str, dict[str, Any]]:
    """The entry for the full name of a model, else for its provider."""
    entries = {_plain(name): name for name in reversed(section(part, "byProvider"))}
    for wanted in (_plain(f"{provider}/{model}"), _plain(provider)):
        if (name := entries.get(wanted)) is not None:
            return f"{key}.byProvider.{name}", section(part, "byProvider", name)
    return "", {}


def _plain(name: str) -> str:
    """A provider, or the full name of a model, without case and aliases."""
    provider, slash, id = name.strip().lower().partition("/")
    return f"{plain_name(provider)}{slash}{id}"


def _profile(parts: list[tuple[str, dict[str, Any]]]) -> ToolRule | None:
    """The profile of the narrowest part that has one, with the `alsoAllow` of the narrowest part that has one.

    None for a profile with the tools of MCP servers: it restricts nothing.
    """
    key, profile = next(((key, part["profile"]) for key, part in reversed(parts) if part.get("profile")), ("", "full"))
    if isinstance(profile, str) and PROFILES.get(profile):
        return None
    more = next((also for _, part in reversed(parts) if isinstance(also := part.get("alsoAllow"), list)), [])
    return ToolRule(f"{key}.profile", [NOTHING, *_texts(more)])


def _lists(key: str, part: dict[str, Any]) -> ToolRule | None:
    allow, deny = _texts(part.get("allow")), _texts(part.get("deny"))
    if allow:
        allow += _texts(part.get("alsoAllow"))
    return ToolRule(key, allow, deny) if allow or deny else None


def _for_anybody(places: list[tuple[str, dict[str, Any]]]) -> ToolRule | None:
    """The rule for `*` in the narrowest part that has one."""
    for key, part in reversed(places):
        if ANYBODY in section(part, "toolsBySender"):
            return _lists(f"{key}.toolsBySender.{ANYBODY}", section(part, "toolsBySender", ANYBODY))
    return None


def _texts(written: Any) -> list[str]:
    return [each for each in written if isinstance(each, str)] if isinstance(written, list) else []


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _tools_faults(path: Path, written: Any) -> Iterator[Fault]:
    if written is None:
        return
    if not isinstance(written, dict):
        yield path, "must be an object", 'write it as {deny: ["server__tool"]}'
        return
    yield from _scope_faults(path, written)
    for name in ("byProvider", "toolsBySender"):
        inner = written.get(name)
        if inner is not None and not isinstance(inner, dict):
            yield (*path, name), "must be an object", 'write it as {name: {deny: ["server__tool"]}}'
        for key, part in inner.items() if isinstance(inner, dict) else ():
            here = (*path, name, key)
            if isinstance(part, dict):
                yield from _scope_faults(here, part)
            else:
                yield here, "must be an object", 'write it as {deny: ["server__tool"]}'


def _scope_faults(path: Path, written: dict[str, Any]) -> Iterator[Fault]:
    for key in LISTS:
        value = written.get(key)
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            yield (*path, key), "must be a list of names of tools", f'write it as {key}: ["server__tool", "server__*"]'
    profile = written.get("profile")
    if profile is not None and not (isinstance(profile, str) and profile in PROFILES):
        yield (*path, "profile"), "not a profile", f"use one of {', '.join(PROFILES)}"
    if written.get("allow") and written.get("alsoAllow"):
        yield (*path, "alsoAllow"), "stands beside allow", "move its names into allow, or remove allow"
