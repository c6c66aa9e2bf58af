"""Admission of HTTP requests by their bearer token, and OpenClaw's answers to those that are refused."""

from math import ceil

import msgspec
from starlette.types import Scope

from gateway.protocol.admission.admission import Admission, admit
from gateway.protocol.admission.auth import Claim, Credentials
from gateway.protocol.admission.lockout import Lockout
from gateway.protocol.admission.proxy import ATTRIBUTION
from gateway.protocol.scopes import READ
from gateway.protocol.scopes import Scope as Right
from gateway.protocol.scopes import refuse as missing
from gateway.rpc.core import Core
from gateway.web.admission.terms import origin_and_user, terms
from gateway.web.http.responses import Response

UNAUTHORIZED = msgspec.json.encode({"error": {"message": "Unauthorized", "type": "unauthorized"}})
OTHER_HEADERS = (b"api-key", b"x-api-key", b"x-goog-api-key")
"""Headers in which clients of other APIs send a secret. They are not accepted: proxies may log them."""
ELSEWHERE = msgspec.json.encode(
    {
        "error": {
            "message": "Unauthorized: send the secret as `Authorization: Bearer …`; other headers are not looked at.",
            "type": "unauthorized",
        }
    }
)
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
    """The answer to a request that is refused; None admits it. `needed`: the scope that the path needs."""
    bearer, (who, identity) = _presented(scope), origin_and_user(core, scope)
    claim = Claim("http", who, Credentials(bearer, bearer, bearer), identity)
    admission = admit(claim, terms(core), core.devices, lockout.waits(who))
    lockout.record(who, admission.attempts)
    if isinstance(admission, Admission):
        return _forbidden(needed) if missing(4, claim.role, admission.scopes(), needed) else None
    if admission.status == 403:
        return Response(UNATTRIBUTED, 403, media_type="application/json")
    if admission.error.retry_after_ms is not None:
        wait = ceil(admission.error.retry_after_ms / 1000)
        return Response(TOO_MANY, 429, {"retry-after": str(wait)}, media_type="application/json")
    return _unauthorized(scope)


def _forbidden(needed: Right) -> Response:
    error = {"type": "forbidden", "message": f"missing scope: {needed}"}
    return Response(msgspec.json.encode({"ok": False, "error": error}), 403, media_type="application/json")


def _unauthorized(scope: Scope) -> Response:
    return Response(
        ELSEWHERE if _is_elsewhere(scope) else UNAUTHORIZED,
        401,
        {"www-authenticate": "Bearer"},
        media_type="application/json",
    )


def _is_elsewhere(scope: Scope) -> bool:
    """Whether a secret seems to be sent in another header, or without the word `Bearer`."""
    given = dict(scope["headers"])
    if b"authorization" not in given:
        return any(name in given for name in OTHER_HEADERS)
    kind, space, _ = given[b"authorization"].strip().partition(b" ")
    return bool(kind) and not space and kind.lower() != b"bearer"


def _presented(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    kind, _, secret = given.partition(b" ")
    return _text(secret.strip()) if kind.lower() == b"bearer" else ""


def _text(secret: bytes) -> str:
    """Decode a header: as UTF-8, otherwise as Latin-1, which was HTTP's encoding once."""
    try:
        return secret.decode()
    except UnicodeDecodeError:
        return secret.decode("latin-1")
