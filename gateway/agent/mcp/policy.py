"""Which tools a model may call: a server's own filter, and the layers of the config's tool policy. Pure.

Both are OpenClaw's: a filter speaks of the names that the server gives, and minds their case; a policy speaks of the
names that a model gets (`server__tool`), in any case, or of all tools of MCP servers at once.
"""

from collections.abc import Iterable

from gateway.link.spec import Server, ToolRule

MCP_GROUPS = ("bundle-mcp", "group:plugins")
"""All tools of MCP servers."""


def passes_filter(server: Server, tool: str) -> bool:
    """Whether a server's own filter lets one of its tools pass."""
    return (not server.include or _matches_any(server.include, tool)) and not _matches_any(server.exclude, tool)


def unmatched_patterns(server: Server, tools: Iterable[str]) -> list[str]:
    """What the filter includes and no tool matches: nothing may be left that its author counts on."""
    listed = list(tools)
    return [pattern for pattern in server.include if not any(_matches(pattern.strip(), name) for name in listed)]


def forbidding(rules: Iterable[ToolRule], name: str) -> str | None:
    """The key of the first layer that keeps a tool from a model; None if all let it pass."""
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
    """In time that grows with the length of `name` for each `*`, and no faster."""
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
