"""Whether a value in the config asks for something: what is switched off, or as it is anyway, asks for nothing. Pure.

Each takes the value at a path and the whole config.
"""

from typing import Any

from gateway.config.tree import ConfigTree, as_list, as_text, is_enabled, section
from gateway.protocol.limits import LOCKED_S, MAX_FAILURES, WINDOW_S

_OFF = (None, False, 0, "", "off", "none", "never", "0m", "0s", "0")
_MCP_NAMES = frozenset({"*", "bundle-mcp", "group:plugins"})
_OUR_CHANNELS = (None, "webchat")
"""What a rule for channels says of what comes over this gateway's own port."""


def on(value: Any, tree: ConfigTree) -> bool:
    """Something is there, and nothing in it says that it is off."""
    if isinstance(value, dict):
        said = (value.get("enabled"), value.get("mode"))
        return bool(value) and said[0] is not False and (said[1] is None or _is_on(said[1]))
    return bool(value) if isinstance(value, list) else _is_on(value)


def enabled(value: Any, tree: ConfigTree) -> bool:
    """It says that it is on; what only stands there is off, as in OpenClaw."""
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
    """Fewer guesses, counted longer or locked longer than here; or this machine itself is counted."""
    if not isinstance(value, dict):
        return False
    fewer = _number(value.get("maxAttempts"), MAX_FAILURES) < MAX_FAILURES
    longer = _number(value.get("windowMs"), 0) > WINDOW_S * 1000 or _number(value.get("lockoutMs"), 0) > LOCKED_S * 1000
    return fewer or longer or value.get("exemptLoopback") is False


def sandboxed(value: Any, tree: ConfigTree) -> bool:
    """OpenClaw keeps the tools of MCP servers from a sandboxed session, where its policy does not name them."""
    mode = value.get("mode") if isinstance(value, dict) else None
    servers = section(tree, "mcp", "servers").values()
    if not _is_on(mode) or not any(isinstance(each, dict) and is_enabled(each) for each in servers):
        return False
    policy = section(tree, "tools", "sandbox", "tools")
    let = {name for key in ("allow", "alsoAllow") for name in as_list(policy.get(key)) if isinstance(name, str)}
    return bool(as_list(policy.get("deny"))) or not let & _MCP_NAMES


def denies_sending(value: Any, tree: ConfigTree) -> bool:
    """Some rule closes a session to what comes over this gateway's port."""
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
