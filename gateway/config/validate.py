"""Convert a resolved tree to a typed `Config`, or to all its errors at once. Pure."""

import ipaddress
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.config import servers, tool_policy
from gateway.config.fields import FIELDS, SECTIONS, Field, keys_of
from gateway.config.openclaw import READ
from gateway.config.parse import Locate, Path, TextPosition, dotted, issue
from gateway.config.schema import Auth, Config, Gateway
from gateway.config.secretmistakes import mistaken
from gateway.config.tree import ConfigTree
from gateway.config.vocabulary import FIRST, LATEST, Vocabulary, closest
from gateway.report import Issue

MAX_FOUND = 60
"""Characters of an offending value that a message quotes."""

PORT_VARIABLE = "OPENCLAW_GATEWAY_PORT"
SECRET_VARIABLES = {
    "gateway.auth.token": "OPENCLAW_GATEWAY_TOKEN",
    "gateway.auth.password": "OPENCLAW_GATEWAY_PASSWORD",
}
REFUSING = "Refusing to bind"
"""The beginning of the message for a gateway that other machines could use without a secret."""
_NO_SECRETS = ("", "undefined", "null")
"""Secrets made from an empty variable, in a shell or in JavaScript."""


class Verdict(msgspec.Struct, frozen=True):
    config: Config | None
    """None if there is any issue."""
    issues: tuple[Issue, ...]
    unused: tuple[str, ...]
    """Dotted keys that are not used, the highest node only."""


def validate(
    tree: Any,
    locate: Locate,
    lookup: Callable[[str], str | None],
    failed: frozenset[str] = frozenset(),
    *,
    complete: bool = True,
    in_container: bool = False,
) -> Verdict:
    """Never raises, whatever `tree` is. `lookup` has the environment's port and secrets.

    `failed` are field paths that have an issue already. A tree with parts that could not be read is not `complete`:
    missing values are no errors. `in_container` decides what bind `auto` means.
    """
    check = _Check(locate, bad=set(failed), in_container=in_container)
    values = check.section(tree if isinstance(tree, dict) else {}, ())
    check.override(values, lookup)
    config = msgspec.convert(_nest(values), Config)
    if complete:
        check.across(config)
        if isinstance(tree, dict):
            for path, what, way_out in (*tool_policy.faults(ConfigTree(tree)), *servers.faults(ConfigTree(tree))):
                check.add(path, what, hint=way_out)
    return Verdict(None if check.issues else config, tuple(check.issues), tuple(check.unused))


def from_environment(lookup: Callable[[str], str | None]) -> Config:
    """The defaults with the values of variables; invalid ones are ignored."""
    values: dict[str, Any] = {}
    _Check(lambda path, *, key=False: TextPosition("")).override(values, lookup)
    return msgspec.convert(_nest(values), Config)


class _Check(msgspec.Struct):
    locate: Locate
    in_container: bool = False
    issues: list[Issue] = []
    unused: list[str] = []
    known: Vocabulary = msgspec.field(default_factory=lambda: Vocabulary(LATEST, FIRST))
    bad: set[str] = set()
    """Fields with an error: rules across fields add no second one."""

    def section(self, node: dict[str, Any], path: Path) -> dict[str, Any]:
        """Dotted field path -> valid value; everything else becomes an issue or an unused key."""
        values: dict[str, Any] = {}
        for key, value in node.items():
            here = (*path, key)
            name = dotted(here)
            if not key or "." in key or not (name in FIELDS or name in SECTIONS):
                self.unknown(key, path, value)
            elif name in self.bad:
                continue
            elif name in FIELDS:
                values |= self.value(FIELDS[name], value)
            elif isinstance(value, dict):
                values |= self.section(value, here)
            else:
                self.add(here, "must be an object", found=shorten(value, secret=True), allowed="{ … }")
        return values

    def value(self, rule: Field, value: Any) -> dict[str, Any]:
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # JavaScript has no other numbers
        message = _complaint(rule, value)
        if message is None:
            return {rule.path: value}
        self.bad.add(rule.path)
        self.add(rule.keys, message, found=shorten(value, rule.secret), allowed=rule.allowed)
        return {}

    def unknown(self, key: str, path: Path, value: Any) -> None:
        section = dotted(path)
        near = None if self.known.knows((*path, key)) else nearest(key, section)
        if near is None:
            self.unused += unused((*path, key), value)
        else:
            self.add((*path, key), "unknown key", key=True, hint=f'did you mean "{near}"?')

    def override(self, values: dict[str, Any], lookup: Callable[[str], str | None]) -> None:
        port = lookup(PORT_VARIABLE)
        if port:
            number = int(port) if port.isascii() and port.isdigit() and len(port) < 10 else port
            self.environment("gateway.port", PORT_VARIABLE, number, values)
        for path, variable in SECRET_VARIABLES.items():
            secret = lookup(variable)
            if secret and values.get(path) is None:
                self.environment(path, variable, secret, values)

    def environment(self, path: str, variable: str, value: Any, values: dict[str, Any]) -> None:
        rule = FIELDS[path]
        if _complaint(rule, value) is None:
            values[path] = value
            return
        self.bad.add(path)
        message = f"the environment variable {variable} has no valid value"
        self.issues.append(Issue(message, path, found=shorten(value, rule.secret), allowed=rule.allowed))

    def across(self, config: Config) -> None:
        """Rules that need more than one field."""
        gateway = config.gateway
        auth = gateway.auth
        if gateway.bind == "custom" and gateway.custom_bind_host is None and "gateway.customBindHost" not in self.bad:
            self.add(("gateway", "bind"), "custom needs the address in gateway.customBindHost")
        if self.bad & {"gateway.auth.mode", "gateway.auth.token", "gateway.auth.password"}:
            return
        if is_reachable(gateway, self.in_container) and (key := unguarded(auth)):
            hint = f"{guards(auth)}, or gateway.bind to loopback"
            where = "all addresses, as auto is in a container," if gateway.bind == "auto" else gateway.bind
            self.add(("gateway", "auth", key), f"{REFUSING} to {where} without auth", hint=hint)
        if auth.mode == "password" and auth.password is None:
            way_out = f"set gateway.auth.password or {SECRET_VARIABLES['gateway.auth.password']}"
            self.add(("gateway", "auth", "mode"), "password needs a password", hint=way_out)
        if auth.mode == "none" and "*" in gateway.control_ui.allowed_origins:
            hint = "name the origins, or set gateway.auth.mode to token"
            self.add(
                ("gateway", "controlUi", "allowedOrigins"), "with auth mode none every page would be admin", hint=hint
            )
        if auth.mode == "trusted-proxy":
            self.proxy(gateway)

    def proxy(self, gateway: Gateway) -> None:
        """Mode trusted-proxy needs a user header and proxies, and no token: clients could bypass the proxy with it."""
        user_header = "gateway.auth.trustedProxy.userHeader"
        if gateway.auth.trusted_proxy.user_header is None and user_header not in self.bad:
            hint = 'set it to the header in which your proxy names its user, such as "x-forwarded-user"'
            self.add(tuple(user_header.split(".")), "trusted-proxy needs the name of a header", hint=hint)
        if not gateway.trusted_proxies and "gateway.trustedProxies" not in self.bad:
            hint = "set it to the address of your proxy, and of nothing else"
            self.add(("gateway", "trustedProxies"), "trusted-proxy needs the address of a proxy", hint=hint)
        if gateway.auth.token is not None:
            variable = SECRET_VARIABLES["gateway.auth.token"]
            hint = f"remove gateway.auth.token and {variable}, or set gateway.auth.mode to token"
            message = "trusted-proxy, but a shared token is also configured, and they are mutually exclusive"
            self.add(("gateway", "auth", "mode"), message, hint=hint)

    def add(self, path: Path, message: str, *, key: bool = False, **rest: str | None) -> None:
        self.issues.append(issue(self.locate(path, key=key), message, dotted(path), **rest))


def unused(path: Path, value: Any) -> list[str]:
    """Dotted keys at or below `path` that are not used, the highest nodes only."""
    name = dotted(path)
    if name not in READ:
        parent = READ.get(dotted(path[:-1]))
        return [] if parent and path[-1] in parent else [name]
    if READ[name] is None or not isinstance(value, dict):
        return []
    return [each for key, child in value.items() for each in unused((*path, key), child)]


def is_reachable(gateway: Gateway, in_container: bool) -> bool:
    """Whether other machines can reach the addresses of this config."""
    if gateway.bind == "auto":
        return in_container
    if gateway.bind == "custom":
        host = gateway.custom_bind_host
        return host is not None and not ipaddress.ip_address(host).is_loopback
    return gateway.bind in ("lan", "tailnet")


def unguarded(auth: Auth) -> str | None:
    """The key below gateway.auth because of which no chosen secret is required; None if one is.

    A token that the gateway generates does not count: it is for clients on this machine.
    """
    if auth.effective_mode == "none":
        return "mode"
    return "token" if auth.effective_mode == "token" and auth.token is None else None


def guards(auth: Auth) -> str:
    """The instruction to require a secret, as the beginning of a sentence."""
    if auth.effective_mode == "none":
        return 'set gateway.auth to {mode: "token", token: "…"}'
    return f"set gateway.auth.token or {SECRET_VARIABLES['gateway.auth.token']}"


def nearest(key: str, section: str) -> str | None:
    """The key of the schema that an unknown key in `section` is closest to, if it is near enough."""
    ours = {candidate: candidate for candidate in keys_of(section)}
    if section in ("", "gateway"):
        # A secret in the wrong section must be an error: the user believes that it is required.
        ours |= {path.split(".")[-1]: path for path in SECRET_VARIABLES}
    found = closest(key, ours)
    return ours[found] if found else None


def shorten(value: Any, secret: bool = False) -> str:
    """A value as JSON for a message; only its type if it may be or contain a secret."""
    if secret or isinstance(value, dict | list):
        return _kind(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_FOUND else text[: MAX_FOUND - 1] + "…"


def _kind(value: Any) -> str:
    if value is None or value == "":
        return "null" if value is None else "an empty text"
    # A bool is an int too, so it is asked first.
    kinds = ((bool, "a boolean"), (str, "a text"), (dict, "an object"), (list, "an array"))
    return next((word for kind, word in kinds if isinstance(value, kind)), "a number")


def _complaint(rule: Field, value: Any) -> str | None:
    """The error of a value; None if it is valid."""
    if rule.path in SECRET_VARIABLES and isinstance(value, str) and value and value.strip() in _NO_SECRETS:
        return 'blank, or what an unset variable leaves behind ("undefined", "null")'
    if rule.path in SECRET_VARIABLES and isinstance(value, str) and (what := mistaken(value)):
        return f"this is no secret: {what}"
    try:
        msgspec.convert(value, rule.type)
        if rule.path == "gateway.customBindHost" and value is not None:
            ipaddress.ip_address(value)
        if rule.path == "gateway.trustedProxies":
            for entry in value:
                ipaddress.ip_network(entry, strict=False)
    except (msgspec.ValidationError, ValueError):
        return "not an allowed value"
    return None


def _nest(values: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *parents, last = path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree
