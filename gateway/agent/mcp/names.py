"""Names of tools as a model gets them: OpenClaw's, so that a tool policy and a history mean the same tools here."""

import re

MAX_NAME = 64
"""Characters of the name that a model gets."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


def plain_name(name: str) -> str:
    """The name in the characters that every provider takes; its length is not bounded."""
    return _NOT_IN_NAMES.sub("-", name)


class ToolNames:
    """Names of all tools of a run. They differ even where case is ignored."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        """For each wanted name, in lower case, how many tools have wanted it."""

    def unique(self, prefix: str, tool: str) -> str:
        """A new name `server__tool` in the characters that every provider takes."""
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
