"""The system prompt of an agent: its identity, and the files of its workspace."""

from collections.abc import Mapping
from typing import Any

from gateway.config import catalog
from gateway.config.tree import ConfigTree, as_positive_int, as_text, section

FILES = ("AGENTS.md", "SOUL.md", "TOOLS.md", "IDENTITY.md", "USER.md", "BOOTSTRAP.md", "MEMORY.md")
"""Files of the workspace that every prompt carries, in this order; OpenClaw's names."""
MAX_FILE_CHARS = 20_000
"""Characters of one file, unless `bootstrapMaxChars` says otherwise."""
MAX_FILES_CHARS = 60_000
"""Characters of all files together, unless `bootstrapTotalMaxChars` says otherwise."""
MOST_CHARS = 1_000_000
"""Characters; the config cannot ask for more."""
_KEPT_HEAD = 0.7
"""The share of the kept text that comes from the beginning of a file that is too long."""


def system_prompt(tree: ConfigTree, agent_id: str, files: Mapping[str, str]) -> str:
    """`files`: texts by name, for those of `FILES` that exist (`workspace.read`)."""
    parts = [_identity(tree, agent_id)]
    zone = as_text(section(tree, "agents", "defaults").get("userTimezone"))
    if zone:
        parts.append(f"The user's time zone is {zone}.")
    if injected := _files(tree, agent_id, files):
        parts.append("What follows are files of your workspace. They say who you are and how to work.")
        parts += injected
    return "\n\n".join(parts)


def _identity(tree: ConfigTree, agent_id: str) -> str:
    agent = catalog.find_agent(tree, agent_id)
    own = agent.identity if agent else {}
    name = own.get("name") or (agent and agent.name) or as_text(section(tree, "ui", "assistant").get("name"))
    theme = own.get("theme")
    who = f"You are {name}, a personal assistant." if name else "You are a personal assistant."
    return f"{who} Your character: {theme}." if theme else who


def _files(tree: ConfigTree, agent_id: str, files: Mapping[str, str]) -> list[str]:
    agent = catalog.find_agent(tree, agent_id)
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
    """Cut the middle out of a text that is longer than `most` characters, and put a mark in its place."""
    if len(content) <= most:
        return content
    head = int(most * _KEPT_HEAD)
    tail = most - head
    mark = f"[… {name} is longer; its middle is left out here …]"
    return f"{content[:head]}\n\n{mark}\n\n{content[len(content) - tail :]}"


def _most(own: Mapping[str, Any], shared: Mapping[str, Any], key: str, usual: int) -> int:
    return min(as_positive_int(own.get(key)) or as_positive_int(shared.get(key)) or usual, MOST_CHARS)
