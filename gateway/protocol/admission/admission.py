"""Who is let in and what they may: the one answer for both faces, WebSocket and HTTP.

Pure: what the request says, what the config says and how long its address is locked come in; an admission with scopes,
or a refusal, comes out. Nothing else in the gateway decides this. After it, a WebSocket's device is paired (`devices`),
and each method or path asks for its scope (`scopes.refuse`).

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

"None" lets an operator in without a scope. "This machine" is `RequestOrigin.local`: a loopback peer, a loopback Host,
and nobody who forwards for another one. A locked address is refused whether its secret is right or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

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
"""How a client came in by the token of its device; a change of the shared secret does not concern it."""


@dataclass(frozen=True)
class Terms:
    """What the running config says of who may come in."""

    auth: AuthPolicy
    allowed_origins: Sequence[str] = ()
    allow_insecure_ui: bool = False
    ignore_ui_device: bool = False

    def ignores_device(self, client_id: str) -> bool:
        return client_id == CONTROL_UI and self.ignore_ui_device

    def excuses(self, client_id: str) -> bool:
        """Whether the config lets this client go without a device."""
        return client_id == CONTROL_UI and (self.allow_insecure_ui or self.ignore_ui_device)


Guesses = Mapping[Kind, bool]


class Tokens(Protocol):
    """The tokens of paired devices."""

    def token_admits(self, device_id: str, role: str, scopes: tuple[str, ...], token: str) -> bool: ...
    def token_scopes(self, token: str) -> tuple[str, ...] | None: ...


@dataclass(frozen=True)
class Admission:
    """A client that is let in. `guesses`, here and in `Refusal`: what it tried and whether that was right."""

    how: str
    """The mode by whose proof, or `DEVICE_TOKEN`."""
    asked: tuple[str, ...] = ()
    """The scopes for which its device must be paired."""
    given: tuple[str, ...] = ()
    """The scopes that it has without asking the book of devices."""
    user: ProxyUser | None = None
    guesses: Guesses = field(default_factory=dict)

    def scopes(self, approved: tuple[str, ...] = ()) -> tuple[str, ...]:
        """All that it may, once its device is paired for `approved`."""
        both = union(approved, self.given)
        return self.user.bound(both) if self.user else both


@dataclass(frozen=True)
class Refusal:
    """A client that is not let in."""

    error: WireError
    """What a WebSocket is told."""
    status: int = 401
    """What HTTP is told: 401, 403 if the proxy is at fault, 429 while locked."""
    guesses: Guesses = field(default_factory=dict)


def admit(claim: Claim, terms: Terms, tokens: Tokens, locked_ms: Mapping[Kind, int]) -> Admission | Refusal:
    """Judge one request; see the table above.

    In this order: origin, device, secret. Who fails early learns nothing of what is asked later.
    `locked_ms`: how long each kind of credential of this address is not heard yet.
    """
    error = _judge_origin(claim, terms) or _judge_device(claim, terms)
    if error is not None:
        return Refusal(error)
    vouched = claim.device is not None or _vouches(claim, terms)
    wanted = granted(claim.protocol, claim.role, claim.scopes, vouched=vouched)
    proof = _prove(claim, terms.auth, wanted, tokens, locked_ms)
    if isinstance(proof, Refusal):
        return proof
    how, guesses = proof
    user = _identity(claim, terms.auth)
    if claim.face == "http":
        return Admission(how, (), _rights_over_http(claim, terms.auth, tokens, how), user, guesses)
    asked = wanted if claim.device is not None else ()  # nobody has approved what one without a device asks for
    if user is None:
        return Admission(how, asked, () if asked else wanted, None, guesses)
    given = terms.auth.proxy.scopes_of(user.user) if claim.role == "operator" else ()
    return Admission(how, user.bound(asked), given, user, guesses)


def _judge_origin(claim: Claim, terms: Terms) -> WireError | None:
    """Over HTTP a page counts where its browser, or the proxy, sends the proof with the requests of any page."""
    if claim.face == "http" and terms.auth.mode != "none" and _identity(claim, terms.auth) is None:
        return None
    return origin_refusal(claim.visitor, claim.client_id, claim.client_mode, terms.allowed_origins, claim.protocol)


def _judge_device(claim: Claim, terms: Terms) -> WireError | None:
    """None lets it go on to its secret. Asked before it, as both versions do."""
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
        # Where no proxy speaks for it: only with something that can be judged, and never a node.
        enough = bool(given.token or given.password) and claim.role == "operator"
    elif claim.protocol >= 4:
        enough = claim.role != "node"
    elif policy.mode == "none":
        # Protocol 3 knows no mode none; there only a client of this machine needs neither.
        enough = claim.visitor.local
    else:
        enough = bool(given.token or (excused and given.password))
    return None if enough else device_required(claim.protocol)


def _vouches(claim: Claim, terms: Terms) -> bool:
    """Whether this client without a device keeps the scopes that it asks for.

    From elsewhere none does: the secret is handed out, to scrapers and scripts, and pairing is what an operator is
    asked for. On this machine protocol 3 asks no client for a device, protocol 4 only its own.
    """
    own = claim.client_id == "cli" or (claim.client_id, claim.client_mode) == ("gateway-client", "backend")
    return terms.excuses(claim.client_id) or (claim.visitor.local and (own or claim.protocol < 4))


def _prove(
    claim: Claim, policy: AuthPolicy, wanted: tuple[str, ...], tokens: Tokens, locked_ms: Mapping[Kind, int]
) -> tuple[str, Guesses] | Refusal:
    """How it is admitted, and what it tried."""
    over_http = claim.face == "http"
    if policy.mode == "none":
        # Nothing but the place protects. A WebSocket from elsewhere is let in and may do nothing.
        return Refusal(device_required(claim.protocol)) if over_http and not claim.visitor.local else (policy.mode, {})
    if _identity(claim, policy) is not None:
        return TRUSTED_PROXY, {}
    unnamed = str(claim.identity) if policy.mode == TRUSTED_PROXY else ""
    tried = policy.secret is not None and bool(presented(policy.mode, claim))
    tried = tried and (not unnamed or claim.visitor.direct_local)
    wait = locked_ms.get("shared-secret", 0) if tried else 0
    error = not_by_proxy(claim, unnamed) if unnamed and not tried else check(policy, claim)
    error = too_many(claim.protocol, wait) if wait else error
    if error is None:
        return "password" if unnamed else policy.mode, {"shared-secret": True}
    if unnamed == ATTRIBUTION and not tried:
        return Refusal(error, 403)
    guesses: dict[Kind, bool] = {"shared-secret": False} if tried and not wait else {}
    admitted = _by_device_token(claim, wanted, tokens)
    if admitted is None or (over_http and wait):
        return _refuse(error, guesses)
    locked = locked_ms.get("device-token", 0)
    if admitted and not locked:
        return DEVICE_TOKEN, {"device-token": True}
    if over_http and tried:  # it was one guess at either
        return _refuse(error, guesses)
    refusal = too_many(claim.protocol, locked) if locked else device_token_mismatch(claim.protocol)
    return _refuse(error if tried else refusal, guesses if locked else guesses | {"device-token": False})


def _by_device_token(claim: Claim, wanted: tuple[str, ...], tokens: Tokens) -> bool | None:
    """Whether the token of its device stands in for the secret; None if it has sent none."""
    credentials = claim.credentials
    # Version 3 sends the token of its device in the field of the shared one.
    given = [token for token in (credentials.device_token, credentials.token) if token]
    if claim.face == "http":
        return tokens.token_scopes(given[0]) is not None if given else None
    if not isinstance(claim.device, str) or not given:
        return None
    device_id = claim.device
    return any(tokens.token_admits(device_id, claim.role, wanted, token) for token in given)


def _rights_over_http(claim: Claim, policy: AuthPolicy, tokens: Tokens, how: str) -> tuple[str, ...]:
    user = _identity(claim, policy)
    if user is not None:
        return policy.proxy.scopes_of(user.user)
    if how == DEVICE_TOKEN:
        return tokens.token_scopes(claim.credentials.token or "") or ()
    return (ADMIN,)


def _identity(claim: Claim, policy: AuthPolicy) -> ProxyUser | None:
    """The one whom a proxy names; nothing else is then asked for."""
    return claim.identity if policy.mode == TRUSTED_PROXY and isinstance(claim.identity, ProxyUser) else None


def _refuse(error: WireError, guesses: Guesses) -> Refusal:
    return Refusal(error, 401 if error.retry_after_ms is None else 429, guesses)
