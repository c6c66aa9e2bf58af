"""The routes of the control socket: status, reload, restart, a look at a config, and the way in for our own clients.

They serve the commands of the user who runs the gateway. The Unix socket lies in a folder of mode 0700, so a program
that can connect may do all this; there is no other authentication.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
from starlette.types import ASGIApp, Receive, Scope

from gateway.config.configfile import ConfigFile
from gateway.config.files import Snapshot
from gateway.reload.answers import AccessPoint, SeenConfig
from gateway.reload.plan import make_plan
from gateway.rpc.core import Core
from gateway.web.http.responses import Response, read_body, router


class _RestartRequest(msgspec.Struct):
    reason: str = "requested"


class _ConfigRequest(msgspec.Struct):
    path: str
    text: str | None = None
    included: dict[str, str] = {}


def control_routes(core: Core) -> ASGIApp:
    async def status(scope: Scope, receive: Receive) -> Response:
        return _json(core.report())

    async def reload(scope: Scope, receive: Receive) -> Response:
        result = await core.reload("command")
        return _json(result, 200 if result.ok else 422)

    async def restart(scope: Scope, receive: Receive) -> Response:
        try:
            asked = msgspec.json.decode(await read_body(receive) or b"{}", type=_RestartRequest)
        except msgspec.DecodeError as error:
            return _json({"error": str(error)}, 400)
        return _json(core.request_restart(asked.reason[:200]), 202)

    async def config(scope: Scope, receive: Receive) -> Response:
        try:
            asked = msgspec.json.decode(await read_body(receive), type=_ConfigRequest)
        except msgspec.DecodeError as error:
            return _json({"error": str(error)}, 400)
        file = ConfigFile(Path(asked.path), os.environ, core.paths.state, core.reachable)
        found = await asyncio.to_thread(file.read, text=asked.text, included=asked.included)
        return _json(_seen(core, found))

    async def access_point(scope: Scope, receive: Receive) -> Response:
        auth = core.auth
        return _json(AccessPoint(core.config.gateway.port, auth.token, auth.password))

    return router(
        {
            "/control/status": ("GET", status),
            "/control/reload": ("POST", reload),
            "/control/restart": ("POST", restart),
            "/control/config": ("POST", config),
            "/control/door": ("GET", access_point),
        }
    )


def _seen(core: Core, found: Snapshot) -> SeenConfig:
    plan = None
    if found.config is not None:
        mode, held = found.config.gateway.reload.mode, core.report().port_owner == "systemd"
        plan = make_plan(core.tree, found.tree, core.config, found.config, mode, held)
    return SeenConfig(found.config is not None, found.issues, found.warnings, found.unused, plan)


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
