"""Who a proxy says its user is, and when it is believed: `gateway.auth.mode` trusted-proxy. Pure.

Believed is what stands in exactly one header of the configured name, on a connection from an address in
`gateway.trustedProxies` that says whom it forwards. Everything else has a reason, in OpenClaw's words, for the log and
for a client of protocol 4.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.protocol.admission.origin import RequestOrigin, is_trusted
from gateway.text.addresses import parse_address

TRUSTED_PROXY = "trusted-proxy"
"""How a client came in by the word of a proxy."""
ATTRIBUTION = "proxy_attribution_required"
APPROVABLE = ("operator.read", "operator.write", "operator.approvals", "operator.questions")
"""What a device gets without an operator being asked, where the config allows that and does not say how much."""
_SCOPES = b"x-openclaw-scopes"
_PAGES = ("openclaw-control-ui", "openclaw-browser-copilot", "webchat-ui")
_APPS = ("openclaw-macos", "openclaw-linux", "openclaw-ios", "openclaw-android")


@dataclass(frozen=True)
class Rules:
    """What the config asks of a proxy. Two that are equal admit the same users."""

    user_header: str = ""
    required_headers: tuple[str, ...] = ()
    allow_users: tuple[str, ...] = ()
    """Empty: everyone whom the proxy names."""
    allow_loopback: bool = False
    proxies: tuple[str, ...] = ()
    identity_scopes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    auto_approve: tuple[str, ...] | None = None
    """The most that the device of a user is given at once; None: an operator is asked for each."""

    def offer(
        self, identity: "ProxyUser", client_id: str, client_mode: str, requested: Sequence[str] | None
    ) -> tuple[str, ...] | None:
        """What his device gets at once that asks for this, or for nothing in particular; None: ask an operator."""
        is_page = client_id in _PAGES or client_mode == "webchat"
        if self.auto_approve is None or not (is_page or (client_id in _APPS and client_mode == "ui")):
            return None
        return identity.bound(scope for scope in self.auto_approve if requested is None or scope in requested)

    def scopes_of(self, user: str) -> tuple[str, ...]:
        """What this user has beside what his device has. The case of an e-mail address does not matter."""
        exact = self.identity_scopes.get(user)
        if exact is not None or "@" not in user:
            return exact or ()
        alike = (scopes for name, scopes in self.identity_scopes.items() if "@" in name and _alike(name, user))
        return next(alike, ())


@dataclass(frozen=True)
class ProxyUser:
    """A user whom a trusted proxy vouches for."""

    user: str
    cap: frozenset[str] | None = None
    """The proxy's own bound on the scopes of this connection; None sets none."""

    def bound(self, scopes: Iterable[str]) -> tuple[str, ...]:
        return tuple(scope for scope in scopes if self.cap is None or scope in self.cap)


def identify(
    rules: Rules, visitor: RequestOrigin, headers: Iterable[tuple[bytes, bytes]], *, own: bool | None
) -> ProxyUser | str:
    """The user, or the reason why nobody is. `own`: whether the peer has an address of this machine; None: unknown."""
    found: dict[bytes, list[bytes]] = {}
    for key, value in headers:
        found.setdefault(key, []).append(value)
    reason = _distrust(rules, visitor, own)
    if reason is not None:
        return reason
    for name in rules.required_headers:
        if not any(value.strip() for value in found.get(_key(name), ())):
            return f"trusted_proxy_missing_header_{name}"
    user = _one_text(found.get(_key(rules.user_header), []))
    if not user:
        return "trusted_proxy_user_missing"
    if rules.allow_users and user not in rules.allow_users:
        return "trusted_proxy_user_not_allowed"
    if not visitor.attributed:
        return ATTRIBUTION
    return ProxyUser(user, _cap(found.get(_SCOPES)))


def _distrust(rules: Rules, visitor: RequestOrigin, own: bool | None) -> str | None:
    """What speaks against the peer itself. The checks come in OpenClaw's order."""
    peer = parse_address(visitor.address)
    if not rules.user_header:
        return "trusted_proxy_config_missing"
    if not rules.proxies:
        return "trusted_proxy_no_proxies_configured"
    if peer is None or not is_trusted(peer, rules.proxies):
        return ATTRIBUTION if visitor.forwarded else "trusted_proxy_untrusted_source"
    if not visitor.attributed and not (peer.is_loopback and not visitor.forwarded):
        return ATTRIBUTION
    if peer.is_loopback:
        return None if rules.allow_loopback else "trusted_proxy_loopback_source"
    if own is None:
        return "trusted_proxy_local_interface_check_failed"
    return "trusted_proxy_local_interface_source" if own else None


def _one_text(values: list[bytes]) -> str:
    """ "" unless there is exactly one: of two, one may be the client's own, which the proxy has only passed on."""
    if len(values) != 1:
        return ""
    try:
        text = values[0].decode().strip()
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() else ""


def _cap(values: list[bytes] | None) -> frozenset[str] | None:
    """Several lines narrow each other: no line that a client smuggled in can widen what the proxy says."""
    if values is None:
        return None
    named = [{scope.strip() for scope in value.decode("latin-1").split(",")} - {""} for value in values]
    return frozenset(set.intersection(*named))


def _key(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")


def _alike(one: str, other: str) -> bool:
    return one.lower() == other.lower()
