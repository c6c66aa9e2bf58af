"""Authentication and the scopes that follow from it: one answer for both faces, WebSocket and HTTP.

Pure: the claim, the terms of the config and the lock-outs of the address come in; an admission with scopes, or a
refusal, comes out. Nothing else in the gateway decides this. Afterwards the device of a WebSocket client is paired
(`access.devices`), and each method or path requires its scope (`scopes.refuse`).

mode            proof                    from           WebSocket                          HTTP
any             page of a foreign origin anywhere       refused                            refused where nothing but the
                                                                                           place or a proxy is the proof
none            nothing                  this machine   (1)                                admin
none            nothing                  elsewhere      with a device: pairing; else none  refused
token, password the secret               this machine   (1)                                admin
token, password the secret               elsewhere      with a device: pairing; else none  admin
any but none    a paired device's token  anywhere       with the device's proof: what      what the token has
                                                        is asked, if the token has it
trusted-proxy   a user whom it names     that proxy     (2)                                (2) without a device
trusted-proxy   the password             this machine   (1)                                admin
trusted-proxy   the password             elsewhere      refused                            refused
any but none    nothing, or a wrong one  anywhere       refused; a wrong one is counted    the same

(1) With a device: what is asked for, paired at once. Without: what is asked for by any client of protocol 3, by
OpenClaw's own clients in protocol 4; none for others. A Control UI needs a device, unless the config excuses it; then
it gets what it asks for, from anywhere.
(2) The user's `identityScopes`, and what an operator has approved for the user's device; both within the proxy's
`x-openclaw-scopes`.

"None" lets an operator in without a scope. "This machine" is `RequestOrigin.local`: a loopback peer, a loopback
Host, and no forwarding header. A locked address is refused even if its secret is right.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from gateway.protocol.admission.auth import (
    AuthPolicy,
    Claim,
    check,
    device_required,
    device_token_mismatch,
    not_by_proxy,
    presented,
)
from gateway.protocol.admission.lockout import Kind, too_many
from gateway.protocol.admission.origin import CONTROL_UI, origin_refusal
from gateway.protocol.admission.pairing import union
from gateway.protocol.admission.proxy import ATTRIBUTION, TRUSTED_PROXY, ProxyUser
from gateway.protocol.frames import WireError
from gateway.protocol.scopes import ADMIN, granted

SECURE_CONTEXT = "control ui requires HTTPS or localhost (secure context)"
DEVICE_TOKEN = "device-token"
"""`Admission.method` of a client that used the token of its device. A change of the shared secret does not close it."""


class Terms(Struct, frozen=True):
    """The conditions under which the running config admits clients."""

    auth: AuthPolicy
    allowed_origins: Sequence[str] = ()
    allow_insecure_ui: bool = False
    ignore_ui_device: bool = False

    def ignores_device(self, client_id: str) -> bool:
        """Whether the device of this client does not count."""
        return client_id == CONTROL_UI and self.ignore_ui_device

    def excuses(self, client_id: str) -> bool:
        """Whether the config lets this client go without a device."""
        return client_id == CONTROL_UI and (self.allow_insecure_ui or self.ignore_ui_device)


Attempts = Mapping[Kind, bool]


class Tokens(Protocol):
    """The tokens of paired devices."""

    def token_admits(self, device_id: str, role: str, scopes: tuple[str, ...], token: str) -> bool: ...
    def token_scopes(self, token: str) -> tuple[str, ...] | None: ...


class Admission(Struct, frozen=True):
    """A client that is let in.

    `attempts`, here and in `Refusal`: the kinds of credentials that the client tried, and whether each was right.
    """

    method: str
    """The auth mode whose proof the client brought, or `DEVICE_TOKEN`."""
    pairing_scopes: tuple[str, ...] = ()
    """The scopes for which its device must be paired."""
    own_scopes: tuple[str, ...] = ()
    """The scopes that it has whatever its device is paired for."""
    user: ProxyUser | None = None
    attempts: Attempts = {}

    def scopes(self, approved: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The scopes of the client once its device is paired for `approved`."""
        both = union(approved, self.own_scopes)
        return self.user.restrict(both) if self.user else both


class Refusal(Struct, frozen=True):
    """A client that is not let in."""

    error: WireError
    """The error that a WebSocket client gets."""
    status: int = 401
    """The status that an HTTP client gets: 401, 403 if the proxy is at fault, 429 while it is locked out."""
    attempts: Attempts = {}


def admit(claim: Claim, terms: Terms, tokens: Tokens, locked_ms: Mapping[Kind, int]) -> Admission | Refusal:
    """Judge one request; see the table above.

    The order is origin, device, secret: a client that fails a check learns nothing about the later ones.
    `locked_ms`: for each kind of credential, how long this address is still locked out, in milliseconds.
    """
    error = _judge_origin(claim, terms) or _judge_device(claim, terms)
    if error is not None:
        return Refusal(error)
    vouched = claim.device is not None or _vouches(claim, terms)
    wanted = granted(claim.protocol, claim.role, claim.scopes, vouched=vouched)
    proof = _prove(claim, terms.auth, wanted, tokens, locked_ms)
    if isinstance(proof, Refusal):
        return proof
    method, attempts = proof
    user = _identity(claim, terms.auth)
    if claim.face == "http":
        return Admission(method, (), _rights_over_http(claim, terms.auth, tokens, method), user, attempts)
    pairing_scopes = wanted if claim.device is not None else ()  # without a device there is no approval
    if user is None:
        return Admission(method, pairing_scopes, () if pairing_scopes else wanted, None, attempts)
    own_scopes = terms.auth.proxy.scopes_of(user.user) if claim.role == "operator" else ()
    return Admission(method, user.restrict(pairing_scopes), own_scopes, user, attempts)


def _judge_origin(claim: Claim, terms: Terms) -> WireError | None:
    """None if the origin is acceptable. Over HTTP it matters only where the browser or the proxy adds the proof itself,
    because then it would add it to the requests of any page."""
    if claim.face == "http" and terms.auth.mode != "none" and _identity(claim, terms.auth) is None:
        return None
    return origin_refusal(claim.source, claim.client_id, claim.client_mode, terms.allowed_origins, claim.protocol)


def _judge_device(claim: Claim, terms: Terms) -> WireError | None:
    """None if the client may go on to its secret. Both versions of OpenClaw check the device first."""
    if claim.face == "http":
        return None
    if claim.device is not None:
        return claim.device if isinstance(claim.device, WireError) else None
    policy, given = terms.auth, claim.credentials
    excused = terms.excuses(claim.client_id)
    if _identity(claim, policy) is not None and claim.role == "operator":
        return None
    if claim.client_id == CONTROL_UI and not excused:
        details = {"code": "DEVICE_IDENTITY_REQUIRED"} if claim.protocol >= 4 else None
        return WireError("INVALID_REQUEST", SECURE_CONTEXT, details)
    if policy.mode == TRUSTED_PROXY:
        # Without a proxy's word a client needs a credential that can be checked, and a node is never let in.
        enough = bool(given.token or given.password) and claim.role == "operator"
    elif claim.protocol >= 4:
        enough = claim.role != "node"
    elif policy.mode == "none":
        # Protocol 3 knows no mode none; there only a client of this machine needs neither.
        enough = claim.source.local
    else:
        enough = bool(given.token or (excused and given.password))
    return None if enough else device_required(claim.protocol)


def _vouches(claim: Claim, terms: Terms) -> bool:
    """Whether a client without a device keeps the scopes that it asks for.

    A client on another machine does not: operators hand the secret out to scrapers and scripts, and only pairing asks
    an operator. On this machine protocol 3 needs no device; in protocol 4 only OpenClaw's own clients need none.
    """
    own = claim.client_id == "cli" or (claim.client_id, claim.client_mode) == ("gateway-client", "backend")
    return terms.excuses(claim.client_id) or (claim.source.local and (own or claim.protocol < 4))


def _prove(
    claim: Claim, policy: AuthPolicy, wanted: tuple[str, ...], tokens: Tokens, locked_ms: Mapping[Kind, int]
) -> tuple[str, Attempts] | Refusal:
    """The method by which the client is admitted and its attempts, or the refusal."""
    over_http = claim.face == "http"
    if policy.mode == "none":
        # Only the address protects. A WebSocket client on another machine is let in without scopes.
        return Refusal(device_required(claim.protocol)) if over_http and not claim.source.local else (policy.mode, {})
    if _identity(claim, policy) is not None:
        return TRUSTED_PROXY, {}
    unnamed = str(claim.identity) if policy.mode == TRUSTED_PROXY else ""
    tried = policy.secret is not None and bool(presented(policy.mode, claim))
    tried = tried and (not unnamed or claim.source.direct_local)
    wait = locked_ms.get("shared-secret", 0) if tried else 0
    error = not_by_proxy(claim, unnamed) if unnamed and not tried else check(policy, claim)
    error = too_many(claim.protocol, wait) if wait else error
    if error is None:
        return "password" if unnamed else policy.mode, {"shared-secret": True}
    if unnamed == ATTRIBUTION and not tried:
        return Refusal(error, 403)
    attempts: dict[Kind, bool] = {"shared-secret": False} if tried and not wait else {}
    admitted = _by_device_token(claim, wanted, tokens)
    if admitted is None or (over_http and wait):
        return _refuse(error, attempts)
    locked = locked_ms.get("device-token", 0)
    if admitted and not locked:
        return DEVICE_TOKEN, {"device-token": True}
    if over_http and tried:  # one bearer was one attempt at both
        return _refuse(error, attempts)
    refusal = too_many(claim.protocol, locked) if locked else device_token_mismatch(claim.protocol)
    return _refuse(error if tried else refusal, attempts if locked else attempts | {"device-token": False})


def _by_device_token(claim: Claim, wanted: tuple[str, ...], tokens: Tokens) -> bool | None:
    """Whether the client's device token is valid in place of the secret; None if it sent no token."""
    credentials = claim.credentials
    # Protocol 3 sends the device token in the field of the shared token.
    given = [token for token in (credentials.device_token, credentials.token) if token]
    if claim.face == "http":
        return tokens.token_scopes(given[0]) is not None if given else None
    if not isinstance(claim.device, str) or not given:
        return None
    device_id = claim.device
    return any(tokens.token_admits(device_id, claim.role, wanted, token) for token in given)


def _rights_over_http(claim: Claim, policy: AuthPolicy, tokens: Tokens, method: str) -> tuple[str, ...]:
    user = _identity(claim, policy)
    if user is not None:
        return policy.proxy.scopes_of(user.user)
    if method == DEVICE_TOKEN:
        return tokens.token_scopes(claim.credentials.token or "") or ()
    return (ADMIN,)


def _identity(claim: Claim, policy: AuthPolicy) -> ProxyUser | None:
    """The user whom a trusted proxy names; they need no other credential."""
    return claim.identity if policy.mode == TRUSTED_PROXY and isinstance(claim.identity, ProxyUser) else None


def _refuse(error: WireError, attempts: Attempts) -> Refusal:
    return Refusal(error, 401 if error.retry_after_ms is None else 429, attempts)
