"""How a call of `GatewayClient` fails; all are `GatewayError`."""

from typing import Any

from gateway.client.handshake import remedy
from gateway.errors import GatewayError


class WireFailure(GatewayError):
    """The `error` object of a response: `code`, `message`, `details`, `retryable`, `retryAfterMs`."""

    def __init__(self, error: dict[str, Any]) -> None:
        self.code = str(error.get("code", "UNKNOWN"))
        self.message = str(error.get("message", ""))
        self.details = error.get("details")
        self.retryable = bool(error.get("retryable", False))
        after = error.get("retryAfterMs")
        self.retry_after_s = after / 1000 if isinstance(after, int) else None
        super().__init__(f"{self.message} ({self.code})")


class ConnectRefused(WireFailure):
    """The gateway refused `connect`. `str()` ends with what the user can do about it, if that is known."""

    def __str__(self) -> str:
        way_out = remedy(self.code, self.message, self.details)
        return super().__str__() + (f"; {way_out}" if way_out else "")


class CallFailed(WireFailure):
    """The gateway answered a method with an error."""


class Disconnected(GatewayError):
    """The connection ended. `code` is None if it broke without a close frame."""

    def __init__(self, code: int | None, reason: str) -> None:
        self.code = code
        self.reason = reason
        how = f"closed the connection: {code} {reason}".rstrip() if code else "broke the connection off"
        super().__init__(f"the gateway {how}")
