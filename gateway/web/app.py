"""The ASGI application: probes at once; the WebSocket, the control socket and the routes when first asked for.

What answers a probe is all that a start must import. The rest is imported on first use, or by `warm_up` in the quiet
after READY, whichever comes first: it would add a third to the time that clients wait for a restart.
"""

import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.core import Core
from gateway.web.health import PROBES, Probe, answer_probe

if TYPE_CHECKING:
    from gateway.lockout import Lockout


def create_app(core: Core) -> ASGIApp:
    """The application of one process image; `gateway.controlUi.basePath` is read here, once."""
    base_path = core.config.gateway.control_ui.base_path

    @cache
    def guesses() -> "Lockout":
        """One for all ways in: who is locked out of one is locked out of the other."""
        from gateway.lockout import Lockout

        return Lockout(time.monotonic)

    def websocket() -> ASGIApp:
        from gateway.web.socket import websocket_endpoint

        return websocket_endpoint(core, lockout=guesses())

    def control() -> ASGIApp:
        from gateway.web.control import control_routes

        return control_routes(core)

    def routes() -> ASGIApp:
        from gateway.web.routes import http_routes

        return http_routes(core, base_path, guesses())

    return _dispatch(core, _on_first_use(websocket), _on_first_use(control), _on_first_use(routes))


def _dispatch(core: Core, websocket: ASGIApp, control: ASGIApp, routes: ASGIApp) -> ASGIApp:
    async def probes(probe: Probe, scope: Scope, send: Send) -> None:
        start, body = answer_probe(probe, core, scope)
        await send(start)
        await send(body)

    def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "websocket":
            return websocket(scope, receive, send)
        if scope["server"] is not None and scope["server"][1] is None:  # a Unix socket has a path and no port
            return control(scope, receive, send)
        if probe := PROBES.get(scope["path"]):
            return probes(probe, scope, send)
        return routes(scope, receive, send)

    return app


def _on_first_use(build: Callable[[], ASGIApp]) -> ASGIApp:
    built: ASGIApp | None = None

    def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        nonlocal built
        if built is None:
            built = build()
        return built(scope, receive, send)

    return app


def warm_up() -> None:
    """Import what the first WebSocket, command and route will need. Call it off the event loop, once READY."""
    import gateway.serving.websocket
    import gateway.web.control
    import gateway.web.routes
    import gateway.web.socket  # noqa: F401
    from gateway.protocol.device import warm_up as warm_up_proofs

    warm_up_proofs()
