"""The HTTP paths beside the probes: our page without a secret; and behind a bearer token the metrics, and what
OpenClaw's Control UI fetches from its gateway.

The Control UI may be served from another origin. An origin that may open the WebSocket may read these answers too, and
no other.
"""

import asyncio
import importlib
import re
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.config import catalog
from gateway.protocol.admission.lockout import Lockout
from gateway.protocol.admission.origin import origin_refusal, request_origin
from gateway.rpc.core import Core
from gateway.web.admission.bearer import refuse
from gateway.web.http.responses import NOT_FOUND, READING, Response, headers_of, router, wrong_method
from gateway.web.openai.routes import openai_routes
from gateway.web.page import page

_WRONG_METHOD = wrong_method(*READING)
_PREFLIGHT = Response(
    status=204,
    headers={
        "access-control-allow-methods": "GET, HEAD",
        "access-control-allow-headers": "Authorization",
        "access-control-max-age": "600",
    },
)
_JSON_HEADERS = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
_CONFIG = "/control-ui-config.json"
_METRICS = ("/metrics", "/api/diagnostics/prometheus")
"""The second path is OpenClaw's."""
_AVATAR = r"/avatar/[A-Za-z0-9_-]{1,64}"


def http_routes(core: Core, base_path: str, lockout: Lockout) -> ASGIApp:
    """An application for all HTTP paths. An unknown path is not found, with a secret or without."""
    api = openai_routes(core, lockout)
    config_paths = _config_paths(base_path)
    guarded = guarded_routes(core, base_path, lockout)
    config = _with_cors(core, guarded)
    avatar = _with_cors(core, _avatar)
    avatar_path = re.compile(f"({re.escape(base_path)})?{_AVATAR}", re.ASCII)
    front = page(core)
    to_front = Response(b"", 302, {"location": quote(f"{base_path}/", safe="/%")})

    def find(path: str) -> ASGIApp:
        if path in _METRICS:
            return guarded
        if not core.config.gateway.control_ui.enabled:
            return NOT_FOUND
        if path in config_paths:
            return config
        if path in ("/", f"{base_path}/"):
            return front
        if path == base_path:
            return to_front
        return avatar if avatar_path.fullmatch(path) else NOT_FOUND

    async def routes(scope: Scope, receive: Receive, send: Send) -> None:
        await (api(scope) or find(scope["path"]))(scope, receive, send)

    return routes


def guarded_routes(core: Core, base_path: str, lockout: Lockout) -> ASGIApp:
    """The paths that need `Authorization: Bearer <token or password>`."""
    routes = _routes(core, base_path)

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        answer = refuse(core, lockout, scope) or routes
        await answer(scope, receive, send)

    return guarded


def _routes(core: Core, base_path: str) -> ASGIApp:
    async def control_ui_config(scope: Scope, receive: Receive) -> Response:
        body = msgspec.json.encode(_control_ui_config(core, base_path))
        return Response(body, headers=_JSON_HEADERS, media_type="application/json")

    async def metrics(scope: Scope, receive: Receive) -> Response:
        await asyncio.to_thread(importlib.import_module, "gateway.web.metrics")  # not on the event loop
        from gateway.web.metrics import expose

        return expose(core, headers_of(scope).get("accept", ""))

    routes = dict.fromkeys(_config_paths(base_path), control_ui_config) | dict.fromkeys(_METRICS, metrics)
    return router({path: ("GET", endpoint) for path, endpoint in routes.items()})


def _config_paths(base_path: str) -> tuple[str, ...]:
    """The path at which OpenClaw's page asks, and the one at which it asked before 2026.6."""
    return f"{base_path}{_CONFIG}", f"{base_path}/__openclaw{_CONFIG}"


def _control_ui_config(core: Core, base_path: str) -> dict[str, Any]:
    """All keys that OpenClaw 2026.9.6 sends. Features that this gateway does not have are off, so that the page does
    not offer them."""
    agent = core.snapshot.defaults.agent
    name, avatar = catalog.assistant(core.snapshot.merged, agent)
    return {
        "basePath": base_path,
        "assistantName": name or catalog.ASSISTANT,
        "assistantAvatar": avatar or catalog.AVATAR,
        "assistantAvatarSource": None,
        "assistantAvatarStatus": None,
        "assistantAvatarReason": None,
        "assistantAgentId": agent,
        "serverVersion": core.version,
        # The page is not built by us: it would take an id of ours for an update that it must load.
        "serverBuildId": None,
        "embedSandbox": "scripts",
        "allowExternalEmbedUrls": False,
        "automaticallyFetchFavicons": True,
        "communityInvite": True,
        "terminalEnabled": False,
        "cliAgentsEnabled": False,
        "pluginAssetsRequireAuth": True,
        "pluginFrameGrants": [],
    }


async def _avatar(scope: Scope, receive: Receive, send: Send) -> None:
    """No agent has a picture. No bearer token is needed: the page of 2026.2.1 sends none, and nothing is secret."""
    answer: Response = NOT_FOUND
    if scope["method"] not in READING:
        answer = _WRONG_METHOD
    elif dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("meta") == "1":
        answer = Response(b'{"avatarUrl":null}', 200, _JSON_HEADERS, "application/json")
    await answer(scope, receive, send)


def _with_cors(core: Core, inner: ASGIApp) -> ASGIApp:
    """`inner`, readable by pages of the origins that may open the WebSocket. Cookies are not used, so they are not
    allowed."""

    async def with_cors(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"vary", b"Origin")]
        origin = _allowed_origin(core, scope)
        if origin is not None:
            headers.append((b"access-control-allow-origin", origin.encode("latin-1")))

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        answer = inner
        if scope["method"] == "OPTIONS":
            answer = _WRONG_METHOD if origin is None else _PREFLIGHT
        await answer(scope, receive, send_with)

    return with_cors


def _allowed_origin(core: Core, scope: Scope) -> str | None:
    """The Origin as sent, if a page of it may open the WebSocket; otherwise None."""
    gateway = core.config.gateway
    client = scope.get("client")
    who = request_origin(client[0] if client else None, scope["headers"], gateway.trusted_proxies)
    allowed = gateway.control_ui.allowed_origins
    if who.origin is None or origin_refusal(who, "", "", allowed, 4) is not None:
        return None
    return who.origin
