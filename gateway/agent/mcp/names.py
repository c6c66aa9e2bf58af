"""Names of tools as a model gets them: OpenClaw's, so that a tool policy and a history mean the same tools here."""

import re

MAX_NAME = 64
"""Characters, of a tool as a model gets it."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


def plain_name(name: str) -> str:
    """In the letters that every provider takes, of any length."""
    return _NOT_IN_NAMES.sub("-", name)


class ToolNames:
    """Of all tools that a run has: each is another one, also to who does not mind case."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        """How many have wanted each name, in lower case."""

    def unique(self, prefix: str, tool: str) -> str:
        """`server__tool` in the letters that every provider takes."""
        prefix = plain_name(prefix)
        room = max(1, MAX_NAME - len(prefix) - 2)
        plain = _fragment(tool)[:room]
        name = wanted = f"{prefix}__{plain}"
        number = self._numbers.get(wanted.lower(), 0)
        while name.lower() in self._numbers:
            number += 1
            mark = f"-{number}"
            name = f"{prefix}__{plain[: max(1, room - len(mark))]}{mark}"
        self._numbers[wanted.lower()] = max(number, 1)
        self._numbers.setdefault(name.lower(), 1)
        return name


def _fragment(tool: str) -> str:
    plain = plain_name(tool.strip()) or "tool"
    return plain if plain[0].isascii() and plain[0].isalpha() else f"tool-{plain}"
