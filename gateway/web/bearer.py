"""The bearer of HTTP requests: the gateway's token or password, with its guesses counted as on the WebSocket."""

from math import ceil

import msgspec
from starlette.responses import Response
from starlette.types import Scope

from gateway.core import Core
from gateway.lockout import Lockout
from gateway.protocol.visitor import visitor

UNAUTHORIZED = msgspec.json.encode({"error": {"message": "Unauthorized", "type": "unauthorized"}})
TOO_MANY = msgspec.json.encode(
    {"error": {"message": "Too many failed authentication attempts. Please try again later.", "type": "rate_limited"}}
)


def refuse(core: Core, lockout: Lockout, scope: Scope) -> Response | None:
    """None lets the request on. A locked address is not heard, whether its secret is right or not."""
    if core.auth.mode == "none":
        return None
    client, secret = scope.get("client"), _presented(scope)
    who = visitor(client[0] if client else None, scope["headers"], core.config.gateway.trusted_proxies)
    wait = lockout.wait_ms(who, "shared-secret") if secret else 0
    if wait:
        return Response(TOO_MANY, 429, {"retry-after": str(ceil(wait / 1000))}, media_type="application/json")
    if core.auth.admits(secret):
        lockout.succeeded(who, "shared-secret")
        return None
    if secret:
        lockout.failed(who, "shared-secret")
    return Response(UNAUTHORIZED, 401, {"www-authenticate": "Bearer"}, media_type="application/json")


def _presented(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    kind, _, secret = given.partition(b" ")
    return secret.strip().decode("latin-1") if kind.lower() == b"bearer" else ""
