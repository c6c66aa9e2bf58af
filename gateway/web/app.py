"""The ASGI application: probes at once; the WebSocket, the control socket and the routes when first asked for.

A start imports only what answers a probe. The rest is imported on first use, or by `warm_up` in the quiet after READY,
whichever comes first: it would add a third to the time that clients wait for a restart.

Nothing is imported later than that, because an upgrade may have replaced or removed the files by then.
"""

import importlib
import logging
import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.config import vocabulary
from gateway.rpc.core import Core
from gateway.web.health import PROBES, Messages, answer_probe

if TYPE_CHECKING:
    from gateway.protocol.admission.lockout import Lockout
    from gateway.rpc.registry import Registry

log = logging.getLogger("gateway.web")

LATER = (
    "gateway.serving.websocket",
    "gateway.web.control",
    "gateway.web.routes",
    "gateway.web.socket",
    "gateway.rpc.methods",
    "gateway.conversations.service",
    "gateway.link.dialer",
    "gateway.process.leaving",
    "gateway.lifecycle.rehearsal",
    "gateway.lifecycle.upgrade",
    "gateway.systemd.manager",
    "gateway.config.watch",
    "gateway.config.dotenv",
    "gateway.handover.positions",
    "gateway.reload.answers",
    "gateway.rpc.config_writer",
    "gateway.web.metrics",
    "nacl.bindings",
)
"""Modules that are imported on first use, the most urgent first. tests/web/test_app.py compares it with the program."""
MISSING = "The gateway's program was replaced or removed while it ran; openclaw-gateway doctor says more.\n"
"""The answer where a module cannot be imported any more."""
RETRY_AFTER_S = 5
"""Seconds in which a replaced program is noticed, tried and started."""


def create_app(core: Core) -> ASGIApp:
    """The application of one process image; `gateway.controlUi.basePath` is read here, once."""
    base_path = core.config.gateway.control_ui.base_path

    @cache
    def guesses() -> "Lockout":
        """One lockout for HTTP and WebSocket: a client that is locked out of one is locked out of the other."""
        from gateway.protocol.admission.lockout import Lockout

        return Lockout(time.monotonic)

    def websocket() -> ASGIApp:
        from gateway.web.socket import websocket_endpoint

        return websocket_endpoint(core, all_methods, guesses())

    def control() -> ASGIApp:
        from gateway.web.control import control_routes

        return control_routes(core)

    def routes() -> ASGIApp:
        from gateway.web.routes import http_routes

        return http_routes(core, base_path, guesses())

    return _dispatch(core, _on_first_use(websocket), _on_first_use(control), _or_missing(_on_first_use(routes)))


def _dispatch(core: Core, websocket: ASGIApp, control: ASGIApp, routes: ASGIApp) -> ASGIApp:
    async def answer(messages: Messages, send: Send) -> None:
        for message in messages:
            await send(message)

    def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "websocket":
            return websocket(scope, receive, send)
        if scope["server"] is not None and scope["server"][1] is None:  # a Unix socket has a path and no port
            return control(scope, receive, send)
        if probe := PROBES.get(scope["path"]):
            return answer(answer_probe(probe, core, scope), send)
        return routes(scope, receive, send)

    return app


def all_methods() -> "Registry":
    """All methods. The forty modules are imported here: adopted clients that only listen do not wait for them."""
    from gateway.rpc.methods import METHODS
    from gateway.rpc.registry import Registry

    return Registry(METHODS)


def _on_first_use(build: Callable[[], ASGIApp]) -> ASGIApp:
    built: ASGIApp | None = None

    def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        nonlocal built
        if built is None:
            try:
                built = build()
            except ImportError as error:
                return _missing(error, scope, send)
        return built(scope, receive, send)

    return app


def _or_missing(inner: ASGIApp) -> ASGIApp:
    """`inner`, with the answer `MISSING` where a route needs a module that cannot be imported any more."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await inner(scope, receive, send)
        except ImportError as error:
            await _missing(error, scope, send)

    return app


async def _missing(error: ImportError, scope: Scope, send: Send) -> None:
    log.error("%s needs what cannot be imported: %s", scope["path"], error)
    prefix = "websocket." if scope["type"] == "websocket" else ""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"%d" % RETRY_AFTER_S)]
    await send({"type": f"{prefix}http.response.start", "status": 503, "headers": headers})
    await send({"type": f"{prefix}http.response.body", "body": MISSING.encode()})


def warm_up() -> None:
    """Import all that clients will need. Call it in a thread, once READY."""
    for name in LATER:
        importlib.import_module(name)
    vocabulary.warm_up()
