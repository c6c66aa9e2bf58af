"""Session keys: `agent:<agent id>:<rest>`, in lower case. Pure."""

from gateway.sessions.records import GLOBAL, MAX_KEY


class BadKey(ValueError):
    """`str()` says why."""


def canonical(key: str, default_agent: str, main_key: str, scope: str = "per-sender") -> str:
    """The key under which a session is stored. A client may say `main`, or only the rest of a key.

    Raises BadKey for what cannot be one.
    """
    text = key.strip().lower()
    if not text:
        raise BadKey("a session key must not be empty")
    if len(text) > MAX_KEY:
        raise BadKey(f"a session key has at most {MAX_KEY} characters")
    if not text.isprintable():
        raise BadKey("a session key has no control characters")
    if text in (GLOBAL, "unknown"):
        return text
    if scope == GLOBAL and text in ("main", main_key):
        return GLOBAL
    if text.startswith("agent:"):
        parts = text.split(":", 2)
        if len(parts) < 3 or not parts[1] or not parts[2]:
            raise BadKey("a session key has the form agent:<agent id>:<rest>")
        return f"agent:{parts[1]}:{main_key}" if parts[2] == "main" else text
    return f"agent:{default_agent}:{main_key if text == 'main' else text}"


def owner(key: str, default_agent: str) -> str:
    """The agent of a canonical key."""
    parts = key.split(":", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "agent" else default_agent
