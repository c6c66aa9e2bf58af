"""Predicates of `openclaw.Rule.when`: whether a value asks for something that differs from what is done anyway. Pure.

Each takes the value at a path and the whole config.
"""

from typing import Any

from gateway.config.tree import ConfigTree, as_list, as_text, is_enabled, section
from gateway.protocol.limits import LOCKED_S, MAX_FAILURES, WINDOW_S

_OFF = (None, False, 0, "", "off", "none", "never", "0m", "0s", "0")
_MCP_NAMES = frozenset({"*", "bundle-mcp", "group:plugins"})
_OUR_CHANNELS = (None, "webchat")
"""Values of `channel` in a rule that mean messages over this gateway's port."""


def on(value: Any, tree: ConfigTree) -> bool:
    """The value is set, and does not say that it is off."""
    if isinstance(value, dict):
        said = (value.get("enabled"), value.get("mode"))
        return bool(value) and said[0] is not False and (said[1] is None or _is_on(said[1]))
    return bool(value) if isinstance(value, list) else _is_on(value)


def enabled(value: Any, tree: ConfigTree) -> bool:
    """`enabled` is true; a section without it is off, as in OpenClaw."""
    return isinstance(value, dict) and value.get("enabled") is True


def remote(value: Any, tree: ConfigTree) -> bool:
    return isinstance(value, str) and value == "remote"


def spoken(value: Any, tree: ConfigTree) -> bool:
    return isinstance(value, dict) and (_is_on(value.get("auto")) or value.get("enabled") is True)


def beats(value: Any, tree: ConfigTree) -> bool:
    return isinstance(value, dict) and _is_on(value.get("every"))


def resets(value: Any, tree: ConfigTree) -> bool:
    return isinstance(value, dict) and (_is_on(value.get("mode")) or bool(value.get("idleMinutes")))


def cleans(value: Any, tree: ConfigTree) -> bool:
    return isinstance(value, dict) and bool(value) and value.get("mode") != "warn"


def stricter_rate(value: Any, tree: ConfigTree) -> bool:
    """Fewer guesses, a longer window or a longer lock than here; or this machine's guesses count too."""
    if not isinstance(value, dict):
        return False
    fewer = _number(value.get("maxAttempts"), MAX_FAILURES) < MAX_FAILURES
    longer = _number(value.get("windowMs"), 0) > WINDOW_S * 1000 or _number(value.get("lockoutMs"), 0) > LOCKED_S * 1000
    return fewer or longer or value.get("exemptLoopback") is False


def sandboxed(value: Any, tree: ConfigTree) -> bool:
    """A sandbox without a policy that names MCP tools: OpenClaw offers its sessions no tools of MCP servers."""
    mode = value.get("mode") if isinstance(value, dict) else None
    servers = section(tree, "mcp", "servers").values()
    if not _is_on(mode) or not any(isinstance(each, dict) and is_enabled(each) for each in servers):
        return False
    policy = section(tree, "tools", "sandbox", "tools")
    allowed = {name for key in ("allow", "alsoAllow") for name in as_list(policy.get(key)) if isinstance(name, str)}
    return bool(as_list(policy.get("deny"))) or not allowed & _MCP_NAMES


def denies_sending(value: Any, tree: ConfigTree) -> bool:
    """A rule denies messages over this gateway's port."""
    if not isinstance(value, dict):
        return False
    return value.get("default") == "deny" or any(
        isinstance(each, dict)
        and each.get("action") == "deny"
        and as_text(_match(each).get("channel")) in _OUR_CHANNELS
        for each in as_list(value.get("rules"))
    )


def _match(rule: dict[str, Any]) -> dict[str, Any]:
    return section(rule, "match")


def _is_on(value: Any) -> bool:
    return not any(value == each and type(value) is type(each) for each in _OFF)


def _number(value: Any, otherwise: float) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise
