"""The user whom a trusted proxy names, for `gateway.auth.mode` trusted-proxy. Pure.

The proxy is believed if its address is in `gateway.trustedProxies`, it names the client that it forwards for, and there
is exactly one header of the configured name. Otherwise there is a reason, in OpenClaw's words, for the log and for
clients of protocol 4.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from gateway.protocol.admission.origin import RequestOrigin, is_trusted
from gateway.text.addresses import parse_address

TRUSTED_PROXY = "trusted-proxy"
"""`Admission.method` of a client whose user a proxy named."""
ATTRIBUTION = "proxy_attribution_required"
APPROVABLE = ("operator.read", "operator.write", "operator.approvals", "operator.questions")
"""The scopes that are approved without an operator, where the config allows that and names none."""
_SCOPES = b"x-openclaw-scopes"
_PAGES = ("openclaw-control-ui", "openclaw-browser-copilot", "webchat-ui")
_APPS = ("openclaw-macos", "openclaw-linux", "openclaw-ios", "openclaw-android")


class Rules(Struct, frozen=True):
    """The conditions of the config for a proxy and its users. Equal rules admit the same users."""

    user_header: str = ""
    required_headers: tuple[str, ...] = ()
    allow_users: tuple[str, ...] = ()
    """Empty: any user whom the proxy names."""
    allow_loopback: bool = False
    proxies: tuple[str, ...] = ()
    identity_scopes: Mapping[str, tuple[str, ...]] = {}
    auto_approve: tuple[str, ...] | None = None
    """The most scopes that a device of a user gets without an operator; None: an operator approves each device."""

    def offer(
        self, identity: "ProxyUser", client_id: str, client_mode: str, requested: Sequence[str] | None
    ) -> tuple[str, ...] | None:
        """The scopes that a device of this user gets without an operator; None: an operator must approve it.

        `requested`: the scopes that the device asks for; None: it names none.
        """
        is_page = client_id in _PAGES or client_mode == "webchat"
        if self.auto_approve is None or not (is_page or (client_id in _APPS and client_mode == "ui")):
            return None
        return identity.restrict(scope for scope in self.auto_approve if requested is None or scope in requested)

    def scopes_of(self, user: str) -> tuple[str, ...]:
        """The scopes of this user in addition to those of their device. E-mail addresses match in any case."""
        exact = self.identity_scopes.get(user)
        if exact is not None or "@" not in user:
            return exact or ()
        alike = (scopes for name, scopes in self.identity_scopes.items() if "@" in name and _alike(name, user))
        return next(alike, ())


class ProxyUser(Struct, frozen=True):
    """A user whom a trusted proxy names."""

    user: str
    cap: frozenset[str] | None = None
    """The scopes to which the proxy limits this connection; None: it sets no limit."""

    def restrict(self, scopes: Iterable[str]) -> tuple[str, ...]:
        return tuple(scope for scope in scopes if self.cap is None or scope in self.cap)


def identify(
    rules: Rules, source: RequestOrigin, headers: Iterable[tuple[bytes, bytes]], *, own: bool | None
) -> ProxyUser | str:
    """The user, or the reason why no user is believed.

    `own`: whether the peer has an address of this machine; None if that is unknown.
    """
    found: dict[bytes, list[bytes]] = {}
    for key, value in headers:
        found.setdefault(key, []).append(value)
    reason = _distrust(rules, source, own)
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
    if not source.attributed:
        return ATTRIBUTION
    return ProxyUser(user, _cap(found.get(_SCOPES)))


def _distrust(rules: Rules, source: RequestOrigin, own: bool | None) -> str | None:
    """The reason not to believe the peer; None: it is believed. The checks are in OpenClaw's order."""
    peer = parse_address(source.address)
    if not rules.user_header:
        return "trusted_proxy_config_missing"
    if not rules.proxies:
        return "trusted_proxy_no_proxies_configured"
    if peer is None or not is_trusted(peer, rules.proxies):
        return ATTRIBUTION if source.forwarded else "trusted_proxy_untrusted_source"
    if not source.attributed and not (peer.is_loopback and not source.forwarded):
        return ATTRIBUTION
    if peer.is_loopback:
        return None if rules.allow_loopback else "trusted_proxy_loopback_source"
    if own is None:
        return "trusted_proxy_local_interface_check_failed"
    return "trusted_proxy_local_interface_source" if own else None


def _one_text(values: list[bytes]) -> str:
    """ "" unless there is exactly one value: a second one may come from the client and be passed on by the proxy."""
    if len(values) != 1:
        return ""
    try:
        text = values[0].decode().strip()
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() else ""


def _cap(values: list[bytes] | None) -> frozenset[str] | None:
    """The intersection of all lines, so that a line from the client cannot add a scope; None without the header."""
    if values is None:
        return None
    named = [{scope.strip() for scope in value.decode("latin-1").split(",")} - {""} for value in values]
    return frozenset(set.intersection(*named))


def _key(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")


def _alike(one: str, other: str) -> bool:
    return one.lower() == other.lower()
