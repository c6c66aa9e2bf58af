"""The system prompt of an agent: who it is, and what the files in its workspace tell it."""

from collections.abc import Mapping
from typing import Any

from gateway.config import catalog
from gateway.config.tree import ConfigTree, as_positive_int, as_text, section

FILES = ("AGENTS.md", "SOUL.md", "TOOLS.md", "IDENTITY.md", "USER.md", "BOOTSTRAP.md", "MEMORY.md")
"""Of the workspace, what every prompt carries, in this order; OpenClaw's names."""
MAX_FILE_CHARS = 20_000
"""Of one file, unless `bootstrapMaxChars` says otherwise."""
MAX_FILES_CHARS = 60_000
"""Of all files together, unless `bootstrapTotalMaxChars` says otherwise."""
MOST_CHARS = 1_000_000
"""Whatever the config says."""
_KEPT_HEAD = 0.7
"""Of a file that is too long, how much of what is kept comes from its beginning."""


def system_prompt(tree: ConfigTree, agent_id: str, files: Mapping[str, str]) -> str:
    """`files` are the texts of those of `FILES` that there are (`workspace.read`)."""
    parts = [_identity(tree, agent_id)]
    zone = as_text(section(tree, "agents", "defaults").get("userTimezone"))
    if zone:
        parts.append(f"The user's time zone is {zone}.")
    if injected := _files(tree, agent_id, files):
        parts.append("What follows are files of your workspace. They say who you are and how to work.")
        parts += injected
    return "\n\n".join(parts)


def _identity(tree: ConfigTree, agent_id: str) -> str:
    agent = catalog.find(tree, agent_id)
    own = agent.identity if agent else {}
    name = own.get("name") or (agent and agent.name) or as_text(section(tree, "ui", "assistant").get("name"))
    theme = own.get("theme")
    who = f"You are {name}, a personal assistant." if name else "You are a personal assistant."
    return f"{who} Your character: {theme}." if theme else who


def _files(tree: ConfigTree, agent_id: str, files: Mapping[str, str]) -> list[str]:
    agent = catalog.find(tree, agent_id)
    own, shared = agent.entry if agent else {}, section(tree, "agents", "defaults")
    if (own.get("contextInjection") or shared.get("contextInjection")) == "never":
        return []
    most = _most(own, shared, "bootstrapMaxChars", MAX_FILE_CHARS)
    left = _most(own, shared, "bootstrapTotalMaxChars", MAX_FILES_CHARS)
    found: list[str] = []
    for name in FILES:
        content = files.get(name, "").strip()
        if content and left > 0:
            content = shorten(name, content, min(most, left))
            left -= len(content)
            found.append(f"## {name}\n\n{content}")
    return found


def shorten(name: str, content: str, most: int) -> str:
    """Beginning and end of a text that is longer than `most` characters, with a mark between them."""
    if len(content) <= most:
        return content
    head = int(most * _KEPT_HEAD)
    tail = most - head
    mark = f"[… {name} is longer; its middle is left out here …]"
    return f"{content[:head]}\n\n{mark}\n\n{content[len(content) - tail :]}"


def _most(own: Mapping[str, Any], shared: Mapping[str, Any], key: str, usual: int) -> int:
    return min(as_positive_int(own.get(key)) or as_positive_int(shared.get(key)) or usual, MOST_CHARS)
