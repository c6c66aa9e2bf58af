"""A merged and substituted tree to a typed `Config`, or to every error in it at once. Pure."""

import difflib
import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from gateway.config.fields import FIELDS, SECTIONS, Field, keys_of
from gateway.config.openclaw import OPENCLAW_KEYS
from gateway.config.parse import Path, Place, dotted, issue
from gateway.config.schema import Config, Gateway
from gateway.report import Issue

MAX_FOUND = 60
"""Characters of an offending value that a message quotes."""
NEAR = 0.75
"""How alike (difflib's ratio) an unknown key must be to one of ours to count as a misspelling."""

PORT_VARIABLE = "OPENCLAW_GATEWAY_PORT"
SECRET_VARIABLES = {
    "gateway.auth.token": "OPENCLAW_GATEWAY_TOKEN",
    "gateway.auth.password": "OPENCLAW_GATEWAY_PASSWORD",
}
UNSERVED_AUTH = "trusted-proxy"


class Locate(Protocol):
    def __call__(self, path: Path, *, key: bool = False) -> Place: ...


@dataclass(frozen=True)
class Verdict:
    config: Config | None
    """None when there is any issue."""
    issues: tuple[Issue, ...]
    unused: tuple[str, ...]
    """Keys that we do not implement: dotted, the highest node only."""


def validate(
    tree: Any,
    locate: Locate,
    lookup: Callable[[str], str | None],
    failed: frozenset[str] = frozenset(),
    *,
    complete: bool = True,
) -> Verdict:
    """Never raises, whatever `tree` is. `lookup` gives the environment's values, which fill in or win.

    `failed` are field paths that have an issue already. Where a part of the tree could not be read, it is not
    `complete`, and what is absent is not held against it.
    """
    check = _Check(locate, bad=set(failed))
    values = check.section(tree if isinstance(tree, dict) else {}, ())
    check.override(values, lookup)
    config = msgspec.convert(_nest(values), Config)
    if complete:
        check.across(config)
    return Verdict(None if check.issues else config, tuple(check.issues), tuple(check.unused))


@dataclass
class _Check:
    locate: Locate
    issues: list[Issue] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)
    """Fields with an error of their own: rules across fields do not pile a second one on them."""

    def section(self, node: dict[str, Any], path: Path) -> dict[str, Any]:
        """Valid values by dotted field path; everything else becomes an issue or an unused key."""
        values: dict[str, Any] = {}
        for key, value in node.items():
            here = (*path, key)
            name = dotted(here)
            if not key or "." in key or not (name in FIELDS or name in SECTIONS):
                self.unknown(key, path)
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
            value = int(value)  # JavaScript, whose file this is, knows no difference
        message = _complaint(rule, value)
        if message is None:
            return {rule.path: value}
        self.bad.add(rule.path)
        self.add(rule.keys, message, found=shorten(value, rule.secret), allowed=rule.allowed)
        return {}

    def unknown(self, key: str, path: Path) -> None:
        section = dotted(path)
        near = None if key in OPENCLAW_KEYS[section] else nearest(key, section)
        if near is None:
            self.unused.append(dotted((*path, key)))
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
        if self.bad & {"gateway.auth.mode", "gateway.auth.password"}:
            return
        if auth.mode == "none" and is_reachable(gateway):
            way_out = "set gateway.auth.mode to token or password, or gateway.bind to loopback"
            self.add(("gateway", "auth", "mode"), f"Refusing to bind to {gateway.bind} without auth", hint=way_out)
        if auth.mode == "password" and auth.password is None:
            way_out = f"set gateway.auth.password or {SECRET_VARIABLES['gateway.auth.password']}"
            self.add(("gateway", "auth", "mode"), "password needs a password", hint=way_out)

    def add(self, path: Path, message: str, *, key: bool = False, **rest: str | None) -> None:
        self.issues.append(issue(self.locate(path, key=key), message, dotted(path), **rest))


def is_reachable(gateway: Gateway) -> bool:
    """Whether other machines can reach the addresses that this binds."""
    if gateway.bind == "custom" and gateway.custom_bind_host:
        return not ipaddress.ip_address(gateway.custom_bind_host).is_loopback
    return gateway.bind in ("lan", "tailnet", "custom")


def nearest(key: str, section: str) -> str | None:
    """The key of ours that an unknown one in `section` must have meant, if any."""
    ours = {_plain(candidate): candidate for candidate in keys_of(section)}
    if section in ("", "gateway"):
        # A secret in the wrong place must not be passed over: its owner believes the door to be locked.
        ours |= {_plain(path.split(".")[-1]): path for path in SECRET_VARIABLES}
    found = difflib.get_close_matches(_plain(key), ours, n=1, cutoff=NEAR)
    return ours[found[0]] if found else None


def shorten(value: Any, secret: bool = False) -> str:
    """A value as JSON for a message; only its kind where it is, or may hold, a secret."""
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


def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def _complaint(rule: Field, value: Any) -> str | None:
    """What is wrong with a value, None if nothing is."""
    if rule.path == "gateway.auth.mode" and value == UNSERVED_AUTH:
        return f"OpenClaw's auth mode {UNSERVED_AUTH} is not served by this version"
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
