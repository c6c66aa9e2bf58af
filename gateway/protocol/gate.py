"""Whether a client may in, once its frame is understood: secret, device token, pairing; and what needs no device.

Pure: the clock's value, the visitor, the count of failures and the book of devices are handed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.lockout import Lockout, too_many
from gateway.protocol.auth import (
    AuthPolicy,
    Claim,
    check,
    device_required,
    device_token_mismatch,
    not_by_proxy,
    presented,
)
from gateway.protocol.frames import WireError
from gateway.protocol.pairing import Asking, Granted
from gateway.protocol.proxy import ATTRIBUTION, TRUSTED_PROXY, Identity
from gateway.protocol.visitor import CONTROL_UI, Visitor

SECURE_CONTEXT = "control ui requires HTTPS or localhost (secure context)"
DEVICE_TOKEN = "device-token"
"""How a client came in by the token of its device; a change of the shared secret does not concern it."""


class Book(Protocol):
    """The devices that are known."""

    def token_admits(self, device_id: str, role: str, scopes: tuple[str, ...], token: str) -> bool: ...
    def pair(self, asking: Asking) -> Granted | WireError: ...


@dataclass(frozen=True)
class Gate:
    """What stands at the door for one connection."""

    visitor: Visitor
    lockout: Lockout
    challenge: str = ""
    """The nonce that this connection was given."""
    now_ms: int = 0
    allowed_origins: Sequence[str] = ()
    allow_insecure_ui: bool = False
    ignore_ui_device: bool = False
    book: Book | None = None
    identity: Identity | str = ATTRIBUTION
    """In mode `trusted-proxy`: the user, or why nobody is."""

    def user(self, how: str) -> Identity | None:
        """The one who came in, where that was by the word of a proxy."""
        return self.identity if how == TRUSTED_PROXY and isinstance(self.identity, Identity) else None

    def ignores_device(self, client_id: str) -> bool:
        return client_id == CONTROL_UI and self.ignore_ui_device

    def excuses(self, client_id: str) -> bool:
        """Whether the config lets this client go without a device."""
        return client_id == CONTROL_UI and (self.allow_insecure_ui or self.ignore_ui_device)

    def vouches(self, claim: Claim) -> bool:
        """Whether this client without a device keeps the scopes that it asks for.

        From elsewhere none does: the secret is handed out, to scrapers and scripts, and pairing is what an operator
        is asked for. On this machine protocol 3 asks no client for a device, protocol 4 only its own.
        """
        own = claim.client_id == "cli" or (claim.client_id, claim.client_mode) == ("gateway-client", "backend")
        return self.excuses(claim.client_id) or (self.visitor.local and (own or claim.protocol < 4))


def refuse_without_device(gate: Gate, policy: AuthPolicy, claim: Claim, role: str) -> WireError | None:
    """None lets it go on to its secret. Asked before it, as both versions do."""
    excused = gate.excuses(claim.client_id)
    if policy.mode == TRUSTED_PROXY and isinstance(gate.identity, Identity) and role == "operator":
        return None
    if claim.client_id == CONTROL_UI and not excused:
        details = {"code": "DEVICE_IDENTITY_REQUIRED"} if claim.protocol >= 4 else None
        return WireError("INVALID_REQUEST", SECURE_CONTEXT, details)
    if policy.mode == TRUSTED_PROXY:
        return _deviceless_behind_proxy(gate, claim, role)
    if claim.protocol >= 4:
        return device_required(claim.protocol) if role == "node" else None
    given = claim.credentials
    # Protocol 3 knows no mode none; there only a client of this machine needs neither.
    enough = gate.visitor.local if policy.mode == "none" else bool(given.token or (excused and given.password))
    return None if enough else device_required(claim.protocol)


def _deviceless_behind_proxy(gate: Gate, claim: Claim, role: str) -> WireError | None:
    """Where no proxy speaks for it: only with something that can be judged, and never a node."""
    given = claim.credentials.token or claim.credentials.password
    return None if given and role == "operator" else device_required(claim.protocol)


def authenticate(
    gate: Gate, policy: AuthPolicy, claim: Claim, device_id: str | None, role: str, scopes: tuple[str, ...]
) -> str | WireError:
    """How it is admitted. `device_id` is of a device that has proved itself; its token may stand in for the secret."""
    if policy.mode == "none":
        return policy.mode
    vouched = gate.identity if policy.mode == TRUSTED_PROXY else ""
    if isinstance(vouched, Identity):
        return TRUSTED_PROXY
    tried = policy.secret is not None and bool(presented(policy.mode, claim))
    tried = tried and (not vouched or gate.visitor.direct_local)
    wait = gate.lockout.wait_ms(gate.visitor, "shared-secret") if tried else 0
    error = not_by_proxy(claim, vouched) if vouched and not tried else check(policy, claim)
    error = too_many(claim.protocol, wait) if wait else error
    if error is None:
        gate.lockout.succeeded(gate.visitor, "shared-secret")
        return "password" if vouched else policy.mode
    if vouched == ATTRIBUTION and not tried:
        return error
    tokens = [token for token in (claim.credentials.device_token, claim.credentials.token) if token]
    if device_id is not None and gate.book is not None and tokens:
        # Version 3 sends the token of its device in the field of the shared one.
        refusal = _by_device_token(
            gate, claim.protocol, any(gate.book.token_admits(device_id, role, scopes, token) for token in tokens)
        )
        if refusal is None:
            return DEVICE_TOKEN
        error = error if tried else refusal
    if tried and not wait:
        gate.lockout.failed(gate.visitor, "shared-secret")
    return error


def _by_device_token(gate: Gate, protocol: int, admitted: bool) -> WireError | None:
    wait = gate.lockout.wait_ms(gate.visitor, "device-token")
    if wait:
        return too_many(protocol, wait)
    if admitted:
        gate.lockout.succeeded(gate.visitor, "device-token")
        return None
    gate.lockout.failed(gate.visitor, "device-token")
    return device_token_mismatch(protocol)
