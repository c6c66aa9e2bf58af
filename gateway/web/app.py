"""The ASGI application: probes, the WebSocket, the control socket, and the HTTP routes behind a bearer."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.core import Core
from gateway.web.control import control_routes
from gateway.web.health import PROBES, answer_probe
from gateway.web.socket import websocket_endpoint

UNAUTHORIZED = msgspec.json.encode({"error": {"message": "Unauthorized", "type": "unauthorized"}})


def create_app(core: Core) -> ASGIApp:
    """The application of one process image; `gateway.controlUi.basePath` is read here, once."""
    websocket = websocket_endpoint(core)
    control = control_routes(core)
    guarded = _bearer(core, _routes(core))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await websocket(scope, receive, send)
        elif scope["server"] is not None and scope["server"][1] is None:  # a Unix socket has a path and no port
            await control(scope, receive, send)
        elif probe := PROBES.get(scope["path"]):
            await answer_probe(probe, core, scope, receive, send)
        else:
            await guarded(scope, receive, send)

    return app


def _routes(core: Core) -> Router:
    base = core.config.gateway.control_ui.base_path

    async def control_ui_config(request: Request) -> Response:
        if not core.config.gateway.control_ui.enabled:
            return PlainTextResponse("Not Found", 404)
        return Response(msgspec.json.encode(_control_ui_config(core, base)), media_type="application/json")

    # Without a base path OpenClaw's page asks under this one.
    return Router(routes=[Route(f"{base or '/__openclaw'}/control-ui-config.json", control_ui_config)])


def _control_ui_config(core: Core, base: str) -> dict[str, Any]:
    return {
        "basePath": base,
        "assistantName": "Assistant",
        "assistantAvatar": "A",
        "assistantAgentId": "main",
        "serverVersion": core.version,
    }


def _bearer(core: Core, app: ASGIApp) -> ASGIApp:
    """Whatever is not a probe needs `Authorization: Bearer <token or password>`, known path or not."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if not _authorized(core, scope):
            headers = {"www-authenticate": "Bearer"}
            refusal = Response(UNAUTHORIZED, 401, headers, media_type="application/json")
            await refusal(scope, receive, send)
            return
        await app(scope, receive, send)

    return guarded


def _authorized(core: Core, scope: Scope) -> bool:
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    kind, _, secret = given.partition(b" ")
    presented = secret.strip().decode("latin-1") if kind.lower() == b"bearer" else ""
    return core.auth.admits(presented)
