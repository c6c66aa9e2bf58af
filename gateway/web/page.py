"""The page at `/`: what this is, its health, and how to connect. It needs no secret, so it says no more than the
probes.

It is one file without a script, with a policy that lets a browser load or run nothing else.
"""

import hashlib
import re
from base64 import b64encode
from pathlib import Path
from string import Template

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.lifecycle.phases import Phase
from gateway.rpc.core import Core
from gateway.web.health import is_local
from gateway.web.http.responses import READING, Response, wrong_method

_HERE = Path(__file__).parent
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?", re.ASCII)
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
_SCHEMES = {"https": "wss", "http": "ws"}


def page(core: Core) -> ASGIApp:
    async def show(scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(core, *_ASSETS, scope)(scope, receive, send)

    return show


def _assets() -> tuple[Template, dict[str, str]]:
    """The page with its style inside, and the headers that allow this style and nothing else."""
    style = (_HERE / "page.css").read_text()
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = Template((_HERE / "page.html").read_text().replace("$style", style))
    return template, {
        "content-security-policy": (
            f"default-src 'none'; style-src 'sha256-{digest}'; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        ),
        "x-frame-options": "DENY",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-cache",
    }


_ASSETS = _assets()
"""They are read when the module is imported: an upgrade may have replaced the files before the first request."""


def _answer(core: Core, template: Template, headers: dict[str, str], scope: Scope) -> Response:
    if scope["method"] not in READING:
        return wrong_method(*READING)
    kind, health, detail = _health(core, is_local(scope))
    url = _url(scope).translate(_ESCAPES)
    text = template.substitute(kind=kind, health=health, detail=detail.translate(_ESCAPES), url=url)
    return Response(text, 200, headers, media_type="text/html")


def _health(core: Core, local: bool) -> tuple[str, str, str]:
    """Kind, headline and detail. As for `/readyz`, a client that is not local gets only yes or no."""
    if core.phase not in (Phase.RUNNING, Phase.DEFERRED):
        return "bad", "Not ready", f"It is {core.phase.value}." if local else "Try again in a moment."
    if local and core.degraded:
        return "warn", "Degraded", f"It serves, but look at: {', '.join(core.degraded)}. See openclaw-gateway status."
    return "good", "Ready", "It serves."


def _url(scope: Scope) -> str:
    """The WebSocket address for the host that the client has used. A page must not repeat any text that it is sent, so
    a host that is not well-formed is replaced."""
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    host = given[0] if len(given) == 1 and _HOST.fullmatch(given[0]) else "127.0.0.1:18789"
    return f"{_SCHEMES.get(scope['scheme'], 'ws')}://{host}"
