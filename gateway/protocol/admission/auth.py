"""The configured secret against the credentials that a client presents, and refusals in OpenClaw's words.

Protocol 3 has the secret in the field of its mode; protocol 4 accepts it in either field. The comparison takes constant
time.
"""

import hmac
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from gateway.protocol.admission.origin import UI_CLIENTS, RequestOrigin
from gateway.protocol.admission.proxy import ATTRIBUTION, ProxyUser, Rules
from gateway.protocol.frames import WireError

AuthMode = Literal["none", "token", "password", "trusted-proxy"]

DEVICE_REQUIRED = "device identity required"
ATTRIBUTION_REQUIRED = (
    "unauthorized: proxy client attribution is required (configure gateway.trustedProxies narrowly and make the proxy "
    "overwrite or safely rebuild forwarded client headers)"
)
_NEXT_STEP = {
    "missing": "update_auth_configuration",
    "missing_config": "update_auth_configuration",
    "mismatch": "update_auth_credentials",
}


class AuthPolicy(Struct, frozen=True):
    """The credentials that the running config asks of a client. The repr shows no secret."""

    mode: AuthMode
    token: str | None = None
    password: str | None = None
    proxy: Rules = Rules()
    """For mode `trusted-proxy`."""
    generation: int = 0
    """Increases with each change of `admitted`. A connection remembers the generation under which it came in."""

    def __repr__(self) -> str:
        return f"AuthPolicy(mode={self.mode!r}, proxy={self.proxy!r}, generation={self.generation})"

    @property
    def secret(self) -> str | None:
        """The secret of the mode; "" counts as none. In mode `trusted-proxy` clients of this machine need it."""
        return {"token": self.token, "password": self.password, "trusted-proxy": self.password}.get(self.mode) or None

    @property
    def admitted(self) -> tuple[Any, ...]:
        """Policies with equal values admit the same clients."""
        return (self.mode, self.secret, self.proxy if self.mode == "trusted-proxy" else None)


class Credentials(Struct, frozen=True):
    """The credentials in `connect.params.auth`. None and "" both mean that the client sent none."""

    token: str | None = None
    password: str | None = None
    device_token: str | None = None

    def __repr__(self) -> str:
        return "Credentials()"


class Claim(Struct, frozen=True):
    """All facts about a request that decide whether it is admitted."""

    face: Literal["websocket", "http"]
    source: RequestOrigin
    credentials: Credentials = Credentials()
    """Over HTTP the bearer stands in all fields, because it may be any of them."""
    identity: ProxyUser | str = ATTRIBUTION
    """In mode `trusted-proxy`: the user, or the reason why no user is believed."""
    protocol: int = 4
    client_id: str = ""
    client_mode: str = ""
    role: str = "operator"
    scopes: Sequence[str] = ()
    """The scopes that it asks for."""
    device: str | WireError | None = None
    """The id of the device whose proof was valid, or the error of its proof; None: the client has no device."""


def same_secret(presented: str, secret: str) -> bool:
    return hmac.compare_digest(presented.encode("utf-8", "surrogatepass"), secret.encode("utf-8", "surrogatepass"))


def check(policy: AuthPolicy, claim: Claim) -> WireError | None:
    """None if the secret is right. Without any credential the error is that a device is required, as in OpenClaw."""
    if policy.mode == "none":
        return None
    given = presented(policy.mode, claim)
    if not given and claim.device is None and not claim.credentials.token:
        return device_required(claim.protocol)
    kind: Literal["token", "password"] = "token" if policy.mode == "token" else "password"
    if policy.secret is None:
        return _refusal(kind, claim, "missing_config")
    if not given:
        return _refusal(kind, claim, "missing")
    if not any(same_secret(value, policy.secret) for value in given):
        return _refusal(kind, claim, "mismatch")
    return None


def not_by_proxy(claim: Claim, reason: str) -> WireError:
    """The refusal of mode `trusted-proxy`, for a reason that `proxy.identify` gave."""
    details: dict[str, Any] | None = None
    if claim.protocol >= 4:
        missing = reason.startswith("trusted_proxy_missing_header_")
        details = {
            "code": "AUTH_IDENTITY_HEADER_REQUIRED" if missing else "AUTH_UNAUTHORIZED",
            "authReason": reason,
            "canRetryWithDeviceToken": False,
            "recommendedNextStep": "review_auth_configuration",
        }
    return WireError("INVALID_REQUEST", ATTRIBUTION_REQUIRED if reason == ATTRIBUTION else "unauthorized", details)


def device_required(protocol: int) -> WireError:
    details = {"code": "DEVICE_IDENTITY_REQUIRED"} if protocol >= 4 else None
    return WireError("NOT_PAIRED", DEVICE_REQUIRED, details)


def device_token_mismatch(protocol: int) -> WireError:
    details: dict[str, Any] | None = None
    if protocol >= 4:
        details = {
            "code": "AUTH_DEVICE_TOKEN_MISMATCH",
            "authReason": "device_token_mismatch",
            "canRetryWithDeviceToken": False,
            "recommendedNextStep": "update_auth_credentials",
        }
    return WireError("INVALID_REQUEST", "unauthorized: device token mismatch (rotate/reissue device token)", details)


def presented(mode: AuthMode, claim: Claim) -> list[str]:
    """The values that are compared with the shared secret."""
    token, password = claim.credentials.token, claim.credentials.password
    if mode == "trusted-proxy":
        token = None
    elif claim.protocol < 4:
        token, password = (token, None) if mode == "token" else (None, password)
    return [value for value in (token, password) if value]


def _refusal(mode: Literal["token", "password"], claim: Claim, kind: str) -> WireError:
    details: dict[str, Any] | None = None
    if claim.protocol >= 4:
        name = {"missing_config": "NOT_CONFIGURED"}.get(kind, kind.upper())
        details = {
            "code": f"AUTH_{mode.upper()}_{name}",
            "authReason": f"{mode}_{kind}",
            "canRetryWithDeviceToken": False,
            "recommendedNextStep": _NEXT_STEP[kind],
        }
    return WireError("INVALID_REQUEST", _sentence(mode, kind, claim), details)


def _sentence(mode: Literal["token", "password"], kind: str, claim: Claim) -> str:
    if kind == "missing_config":
        return f"unauthorized: gateway {mode} not configured on gateway (set gateway.auth.{mode})"
    if claim.client_mode == "cli":
        hint = f"set gateway.remote.{mode} to match gateway.auth.{mode}"
    elif claim.client_id in UI_CLIENTS or claim.client_mode == "webchat":
        hint = {
            "token": "open a tokenized dashboard URL or paste token in Control UI settings",
            "password": "enter the password in Control UI settings",
        }[mode]
    else:
        hint = f"provide gateway auth {mode}"
    return f"unauthorized: gateway {mode} {kind} ({hint})"
