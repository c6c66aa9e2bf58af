"""Who may ask over HTTP: by the gateway's secret or the token of a paired device as bearer, with guesses counted as on
the WebSocket, or by the word of a trusted proxy."""

from math import ceil

import msgspec
from starlette.responses import Response
from starlette.types import Scope

from gateway.core import Core
from gateway.lockout import Lockout
from gateway.protocol.proxy import ATTRIBUTION, TRUSTED_PROXY, Identity
from gateway.protocol.scopes import READ
from gateway.protocol.scopes import Scope as Right
from gateway.protocol.scopes import refuse as missing
from gateway.protocol.visitor import Visitor, origin_refusal
from gateway.web.visit import visit

UNAUTHORIZED = msgspec.json.encode({"error": {"message": "Unauthorized", "type": "unauthorized"}})
TOO_MANY = msgspec.json.encode(
    {"error": {"message": "Too many failed authentication attempts. Please try again later.", "type": "rate_limited"}}
)
UNATTRIBUTED = msgspec.json.encode(
    {
        "error": {
            "message": "Proxy client attribution is required. Configure gateway.trustedProxies narrowly and make the "
            "proxy overwrite or safely rebuild forwarded client headers.",
            "type": ATTRIBUTION,
        }
    }
)


def refuse(core: Core, lockout: Lockout, scope: Scope, needed: Right = READ) -> Response | None:
    """None lets the request on. A locked address is not heard, whether its secret is right or not.

    `needed`: what a device, or the user whom a proxy names, must be allowed to do; the secret lets do everything.
    """
    secret, (who, identity) = _presented(scope), visit(core, scope)
    if core.auth.mode == "none":
        # Nothing but the place protects: the same place as on the WebSocket, where others are let do nothing.
        return None if who.local and _may_ask(core, who) else _unauthorized()
    if core.auth.mode == TRUSTED_PROXY:
        if identity == ATTRIBUTION:
            return Response(UNATTRIBUTED, 403, media_type="application/json")
        if isinstance(identity, Identity):
            if not _may_ask(core, who):
                return _unauthorized()
            rights = identity.bound(core.auth.proxy.scopes_of(identity.user))
            return None if missing(4, "operator", rights, needed) is None else _forbidden(needed)
    wait = lockout.wait_ms(who, "shared-secret") if secret else 0
    if wait:
        return Response(TOO_MANY, 429, {"retry-after": str(ceil(wait / 1000))}, media_type="application/json")
    if core.auth.admits(secret, direct_local=who.direct_local):
        lockout.succeeded(who, "shared-secret")
        return None
    if core.devices.token_covers(secret, needed):  # 2026.9.6 tries the one that it was given before it tries the secret
        return None
    if core.devices.token_covers(secret, READ):
        return _forbidden(needed)
    if secret:
        lockout.failed(who, "shared-secret")
    return _unauthorized()


def _may_ask(core: Core, who: Visitor) -> bool:
    """A browser sends what the proxy takes for its user's proof with the requests of any page, so the page counts; as
    it does where no proof is asked for."""
    allowed = core.config.gateway.control_ui.allowed_origins
    return who.origin is None or origin_refusal(who, "", "", allowed, 4) is None


def _forbidden(needed: Right) -> Response:
    error = {"type": "forbidden", "message": f"missing scope: {needed}"}
    return Response(msgspec.json.encode({"ok": False, "error": error}), 403, media_type="application/json")


def _unauthorized() -> Response:
    return Response(UNAUTHORIZED, 401, {"www-authenticate": "Bearer"}, media_type="application/json")


def _presented(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    kind, _, secret = given.partition(b" ")
    return _text(secret.strip()) if kind.lower() == b"bearer" else ""


def _text(secret: bytes) -> str:
    """A header has no encoding of its own; what is no UTF-8 was meant as HTTP was once written."""
    try:
        return secret.decode()
    except UnicodeDecodeError:
        return secret.decode("latin-1")
