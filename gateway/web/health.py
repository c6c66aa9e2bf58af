"""Probes: /health /healthz /ready /readyz /startup /startupz, as OpenClaw answers them.

There is no authentication, no secret, and no routing before them: a health check must cost nothing, and must work while
everything else is broken. Only a local client gets more than yes or no.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.types import Scope

from gateway.lifecycle.phases import Phase
from gateway.protocol.admission.origin import request_origin
from gateway.rpc.core import Core

Answer = tuple[int, dict[str, Any]]
"""Status and JSON body."""
Probe = Callable[[Core, Scope], Answer]

LIVE = {"ok": True, "status": "live"}


def live(core: Core, scope: Scope) -> Answer:
    return 200, LIVE


def ready(core: Core, scope: Scope) -> Answer:
    failing = _failing(core)
    answer: dict[str, Any] = {"ready": not failing}
    if is_local(scope):
        answer |= {"failing": failing, "degraded": list(core.degraded), "uptimeMs": _uptime_ms(core)}
    return (503 if failing else 200), answer


def started(core: Core, scope: Scope) -> Answer:
    status = {Phase.STARTING: "starting", Phase.LEAVING: "draining"}.get(core.phase, "started")
    ok = status == "started"
    answer: dict[str, Any] = {"ok": ok, "status": status}
    if is_local(scope):
        answer |= {"version": core.version, "uptimeMs": _uptime_ms(core)}
    return (200 if ok else 503), answer


PROBES: Mapping[str, Probe] = {
    "/health": live,
    "/healthz": live,
    "/ready": ready,
    "/readyz": ready,
    "/startup": started,
    "/startupz": started,
}


Messages = tuple[dict[str, Any], dict[str, Any]]


def _messages(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Messages:
    head = [(b"content-length", b"%d" % len(body)), *headers]
    start = {"type": "http.response.start", "status": status, "headers": head}
    return start, {"type": "http.response.body", "body": body}


def _json(status: int, answer: dict[str, Any]) -> Messages:
    return _messages(
        status,
        msgspec.json.encode(answer),
        (b"content-type", b"application/json; charset=utf-8"),
        (b"cache-control", b"no-store"),
    )


_LIVE = _json(200, LIVE)
_WRONG_METHOD = _messages(
    405, b"Method Not Allowed", (b"content-type", b"text/plain; charset=utf-8"), (b"allow", b"GET, HEAD")
)


def answer_probe(probe: Probe, core: Core, scope: Scope) -> Messages:
    """The two ASGI messages of the answer."""
    if scope["method"] not in ("GET", "HEAD"):
        return _WRONG_METHOD
    if probe is live:
        return _LIVE  # what answers at all is live, so this is the same answer every time
    return _json(*probe(core, scope))


def is_local(scope: Scope) -> bool:
    """Whether the client is on this machine, asks for it by a local name or address, and no proxy is between.

    A page whose name was rebound to this machine is not local. The control socket has no address, and is local.
    """
    client = scope.get("client")
    return client is None or request_origin(client[0], scope["headers"], ()).direct_local


def _failing(core: Core) -> list[str]:
    return [] if core.phase in (Phase.RUNNING, Phase.DEFERRED) else [core.phase.value]


def _uptime_ms(core: Core) -> int:
    return int((time.monotonic() - core.started) * 1000)
