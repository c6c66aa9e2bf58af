"""Names of tools as a model gets them: OpenClaw's, so that a tool policy and a history mean the same tools here."""

import re
from collections.abc import Collection

MAX_NAME = 64
"""Characters, of a tool as a model gets it."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


def plain_name(name: str) -> str:
    """In the letters that every provider takes, of any length."""
    return _NOT_IN_NAMES.sub("-", name)


def unique_name(prefix: str, tool: str, taken: Collection[str]) -> str:
    """`server__tool` in the letters that every provider takes. `taken` has names in lower case."""
    prefix = plain_name(prefix)
    room = max(1, MAX_NAME - len(prefix) - 2)
    plain = _fragment(tool)[:room]
    name, number = f"{prefix}__{plain}", 1
    while name.lower() in taken:
        number += 1
        mark = f"-{number}"
        name = f"{prefix}__{plain[: max(1, room - len(mark))]}{mark}"
    return name


def _fragment(tool: str) -> str:
    plain = plain_name(tool.strip()) or "tool"
    return plain if plain[0].isascii() and plain[0].isalpha() else f"tool-{plain}"
