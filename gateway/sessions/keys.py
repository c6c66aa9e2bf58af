"""Session keys: `agent:<agent id>:<rest>`, in lower case. Pure."""

import re

from gateway.sessions.records import GLOBAL, MAX_KEY

AGENT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""An agent id as in OpenClaw. It becomes the name of folders, so that it must contain no path."""


class BadKey(ValueError):
    """The text cannot be a session key; `str()` says why."""


def canonical(key: str, default_agent: str, main_key: str, scope: str = "per-sender") -> str:
    """The key under which a session is stored, for a key, its rest, or `main`. Raises BadKey."""
    text = key.strip().lower()
    if not text:
        raise BadKey("a session key must not be empty")
    if not text.isprintable():
        raise BadKey("a session key has no control characters")
    stored = _complete(text, default_agent, main_key, scope)
    if len(stored) > MAX_KEY:
        raise BadKey(f"a session key has at most {MAX_KEY} characters")
    return stored


def _complete(text: str, default_agent: str, main_key: str, scope: str) -> str:
    if text in (GLOBAL, "unknown"):
        return text
    agent, rest = default_agent, text
    if text.startswith("agent:"):
        _, agent, rest = (*text.split(":", 2), "")[:3]
        if not rest or not AGENT_ID.fullmatch(agent):
            raise BadKey("a session key has the form agent:<agent id>:<rest>")
    if rest in ("main", main_key):
        return GLOBAL if scope == GLOBAL else f"agent:{agent}:{main_key}"
    return f"agent:{agent}:{rest}"


def owner(key: str, default_agent: str) -> str:
    """The agent of a canonical key."""
    parts = key.split(":", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "agent" else default_agent
