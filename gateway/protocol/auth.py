"""Who may connect: the configured secret against what the client presents, and the refusals in OpenClaw's words.

Protocol 3 looks only at the field of its mode; protocol 4 takes the secret in either field.
Comparison is constant-time.
"""

import hmac
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.protocol.frames import WireError
from gateway.protocol.visitor import UI_CLIENTS

AuthMode = Literal["none", "token", "password", "trusted-proxy"]

DEVICE_REQUIRED = "device identity required"
_NEXT_STEP = {
    "missing": "update_auth_configuration",
    "missing_config": "update_auth_configuration",
    "mismatch": "update_auth_credentials",
}


@dataclass(frozen=True)
class AuthPolicy:
    """What the running config asks of a client. A secret never shows in its repr."""

    mode: AuthMode
    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    generation: int = 0
    """Grows with every change of mode or secret; connections remember theirs."""

    @property
    def secret(self) -> str | None:
        """The one that the mode asks for; "" counts as none."""
        return {"token": self.token, "password": self.password}.get(self.mode) or None

    def admits(self, presented: str) -> bool:
        """For bearer auth over HTTP. Mode `trusted-proxy` admits nobody by a secret."""
        if self.mode == "none":
            return True
        return self.secret is not None and same_secret(presented, self.secret)


@dataclass(frozen=True)
class Credentials:
    """What `connect.params.auth` carried; None and "" both mean that the client has none."""

    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    device_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Claim:
    """The client as far as the answer depends on it."""

    protocol: int
    client_id: str
    client_mode: str
    has_device: bool
    credentials: Credentials


def same_secret(presented: str, secret: str) -> bool:
    return hmac.compare_digest(presented.encode("utf-8", "surrogatepass"), secret.encode("utf-8", "surrogatepass"))


def check(policy: AuthPolicy, claim: Claim) -> WireError | None:
    """None admits. A client without any proof hears of the device first, as both versions do."""
    if policy.mode == "none":
        return None
    if policy.mode == "trusted-proxy":
        return _refusal(policy, claim, "unauthorized")
    given = presented(policy.mode, claim)
    if not given and not claim.has_device and not claim.credentials.token:
        return device_required(claim.protocol)
    if policy.secret is None:
        return _refusal(policy, claim, f"{policy.mode}_missing_config")
    if not given:
        return _refusal(policy, claim, f"{policy.mode}_missing")
    if not any(same_secret(value, policy.secret) for value in given):
        return _refusal(policy, claim, f"{policy.mode}_mismatch")
    return None


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
    """What is held against the shared secret."""
    token, password = claim.credentials.token, claim.credentials.password
    if claim.protocol < 4:
        token, password = (token, None) if mode == "token" else (None, password)
    return [value for value in (token, password) if value]


def _refusal(policy: AuthPolicy, claim: Claim, reason: str) -> WireError:
    details: dict[str, Any] | None = None
    kind = reason.removeprefix(f"{policy.mode}_")
    if claim.protocol >= 4:
        name = {"missing_config": "NOT_CONFIGURED"}.get(kind, kind.upper())
        details = {
            "code": "AUTH_UNAUTHORIZED" if reason == "unauthorized" else f"AUTH_{policy.mode.upper()}_{name}",
            "authReason": reason,
            "canRetryWithDeviceToken": False,
            "recommendedNextStep": _NEXT_STEP.get(kind, "review_auth_configuration"),
        }
    return WireError("INVALID_REQUEST", _sentence(policy.mode, kind, claim), details)


def _sentence(mode: AuthMode, kind: str, claim: Claim) -> str:
    if kind == "unauthorized":
        return "unauthorized"
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
