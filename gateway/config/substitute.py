"""`${VAR}` in config values, as OpenClaw has it: only `[A-Z_][A-Z0-9_]*`, and `$${VAR}` means the text `${VAR}`."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from gateway.config.parse import Path

Lookup = Callable[[str], str | None]
"""The name of a variable -> its value."""
REFERENCE = re.compile(r"(\$?)\$\{([A-Z_][A-Z0-9_]*)\}")


def substitute(tree: Any, lookup: Lookup) -> tuple[Any, list[tuple[Path, str]]]:
    """The tree with references replaced, and (path, name) of those that are not set, which stay as written.

    An empty variable counts as not set.
    """
    missing: list[tuple[Path, str]] = []

    def walk(value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: walk(child, (*path, key)) for key, child in value.items()}
        if isinstance(value, list):
            return [walk(child, (*path, index)) for index, child in enumerate(value)]
        return REFERENCE.sub(lambda match: replace(match, path), value) if isinstance(value, str) else value

    def replace(match: re.Match[str], path: Path) -> str:
        if match[1]:
            return match[0][1:]
        found = lookup(match[2])
        if not found:
            missing.append((path, match[2]))
        return found or match[0]

    return walk(tree, ()), missing


def config_env(tree: Any) -> dict[str, str]:
    """The variables in the config's `env` section: `env.vars.NAME` and `env.NAME`."""
    section = tree.get("env") if isinstance(tree, dict) else None
    if not isinstance(section, dict):
        return {}
    nested = section.get("vars")
    return {
        name: value
        for source in (section, nested if isinstance(nested, dict) else {})
        for name, value in source.items()
        if isinstance(value, str)
    }


def first_of(*sources: Mapping[str, str]) -> Lookup:
    """A lookup in several sources: the first one with a value that is not empty wins."""

    def lookup(name: str) -> str | None:
        return next((value for source in sources if (value := source.get(name))), None)

    return lookup
