"""The control socket's face: status, reload, restart, for the commands of the user who runs the gateway.

It listens on a Unix socket in a folder of mode 0700, so who can connect may do all this; there is no other auth.
"""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from gateway.core import Core


class _RestartRequest(msgspec.Struct):
    reason: str = "requested"


def control_routes(core: Core) -> Router:
    async def status(request: Request) -> Response:
        return _json(core.report())

    async def reload(request: Request) -> Response:
        result = await core.reload("command")
        return _json(result, 200 if result.ok else 422)

    async def restart(request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body() or b"{}", type=_RestartRequest)
        except msgspec.DecodeError as error:
            return _json({"error": str(error)}, 400)
        return _json(core.request_restart(asked.reason[:200]), 202)

    return Router(
        routes=[
            Route("/control/status", status, methods=["GET"]),
            Route("/control/reload", reload, methods=["POST"]),
            Route("/control/restart", restart, methods=["POST"]),
        ]
    )


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
