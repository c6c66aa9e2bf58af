"""Which tools a model may call: a server's own filter, and the layers of the config's tool policy. Pure.

Both are OpenClaw's. A filter matches the names that the server gives, with their case. A policy matches the names
that a model gets (`server__tool`), in any case, or all tools of MCP servers at once.
"""

from collections.abc import Iterable

from gateway.link.spec import Server, ToolRule

MCP_GROUPS = ("bundle-mcp", "group:plugins")
"""Words of a policy that mean all tools of MCP servers."""


def passes_filter(server: Server, tool: str) -> bool:
    """Whether a server's own filter lets one of its tools pass."""
    return (not server.include or _matches_any(server.include, tool)) and not _matches_any(server.exclude, tool)


def unmatched_patterns(server: Server, tools: Iterable[str]) -> list[str]:
    """Patterns that the filter includes and no tool matches: perhaps nothing is left that its author counts on."""
    listed = list(tools)
    return [pattern for pattern in server.include if not any(_matches(pattern.strip(), name) for name in listed)]


def forbidding(rules: Iterable[ToolRule], name: str) -> str | None:
    """The config key of the first layer that forbids a model the tool; None if every layer allows it."""
    lower = name.lower()
    for rule in rules:
        if _covers(rule.deny, lower) or (any(map(str.strip, rule.allow)) and not _covers(rule.allow, lower)):
            return rule.key
    return None


def _covers(patterns: list[str], name: str) -> bool:
    plain = (pattern.strip().lower() for pattern in patterns)
    return any(pattern in MCP_GROUPS or _matches(pattern, name) for pattern in plain)


def _matches_any(patterns: list[str], name: str) -> bool:
    return any(_matches(pattern.strip(), name) for pattern in patterns)


def _matches(pattern: str, name: str) -> bool:
    """Whether the pattern matches. The time is linear in the length of `name` for each `*`."""
    if "*" not in pattern:
        return bool(pattern) and pattern == name
    first, *middle, last = pattern.split("*")
    if len(first) + len(last) > len(name) or not (name.startswith(first) and name.endswith(last)):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
