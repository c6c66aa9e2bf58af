"""The HTTP routes behind a bearer: whatever is not a probe needs `Authorization: Bearer <token or password>`."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.core import Core

UNAUTHORIZED = msgspec.json.encode({"error": {"message": "Unauthorized", "type": "unauthorized"}})


def guarded_routes(core: Core, base_path: str) -> ASGIApp:
    routes = _routes(core, base_path)

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if core.auth.admits(_presented(scope)):
            await routes(scope, receive, send)
            return
        headers = {"www-authenticate": "Bearer"}
        await Response(UNAUTHORIZED, 401, headers, media_type="application/json")(scope, receive, send)

    return guarded


def _routes(core: Core, base_path: str) -> Router:
    async def control_ui_config(request: Request) -> Response:
        if not core.config.gateway.control_ui.enabled:
            return PlainTextResponse("Not Found", 404)
        return Response(msgspec.json.encode(_control_ui_config(core, base_path)), media_type="application/json")

    # Without a base path OpenClaw's page asks under this one.
    return Router(routes=[Route(f"{base_path or '/__openclaw'}/control-ui-config.json", control_ui_config)])


def _control_ui_config(core: Core, base_path: str) -> dict[str, Any]:
    return {
        "basePath": base_path,
        "assistantName": "Assistant",
        "assistantAvatar": "A",
        "assistantAgentId": "main",
        "serverVersion": core.version,
    }


def _presented(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    kind, _, secret = given.partition(b" ")
    return secret.strip().decode("latin-1") if kind.lower() == b"bearer" else ""
