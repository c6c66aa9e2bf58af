"""The routes of the control socket: status, reload, restart, a look at a config, and the way in for our own clients.

They serve the commands of the user who runs the gateway. The Unix socket lies in a folder of mode 0700, so a program
that can connect may do all this; there is no other authentication.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from gateway.config.configfile import ConfigFile
from gateway.config.files import Snapshot
from gateway.reload.answers import AccessPoint, SeenConfig
from gateway.reload.plan import make_plan
from gateway.rpc.core import Core


class _RestartRequest(msgspec.Struct):
    reason: str = "requested"


class _ConfigRequest(msgspec.Struct):
    path: str
    text: str | None = None
    included: dict[str, str] = {}


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

    async def config(request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body(), type=_ConfigRequest)
        except msgspec.DecodeError as error:
            return _json({"error": str(error)}, 400)
        file = ConfigFile(Path(asked.path), os.environ, core.paths.state, core.reachable)
        found = await asyncio.to_thread(file.read, text=asked.text, included=asked.included)
        return _json(_seen(core, found))

    async def access_point(request: Request) -> Response:
        auth = core.auth
        return _json(AccessPoint(core.config.gateway.port, auth.token, auth.password))

    return Router(
        routes=[
            Route("/control/status", status, methods=["GET"]),
            Route("/control/reload", reload, methods=["POST"]),
            Route("/control/restart", restart, methods=["POST"]),
            Route("/control/config", config, methods=["POST"]),
            Route("/control/door", access_point, methods=["GET"]),
        ]
    )


def _seen(core: Core, found: Snapshot) -> SeenConfig:
    plan = None
    if found.config is not None:
        mode, held = found.config.gateway.reload.mode, core.report().port_owner == "systemd"
        plan = make_plan(core.tree, found.tree, core.config, found.config, mode, held)
    return SeenConfig(found.config is not None, found.issues, found.warnings, found.unused, plan)


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
