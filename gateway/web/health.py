"""Probes: /health /healthz /ready /readyz /startup /startupz, as OpenClaw answers them.

No auth, no secrets, and before any routing: a health check must cost nothing, and must work while everything else is
broken. Only a local client is told more than yes or no.
"""

import ipaddress
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from starlette.types import Scope

from gateway.core import Core
from gateway.lifecycle.phases import Phase

Answer = tuple[int, dict[str, Any]]
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
    """A client of this machine that no proxy speaks for. The control socket has no address and is local."""
    client = scope.get("client")
    if client is None:
        return True
    return _is_loopback(client[0]) and not any(
        name in (b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"forwarded") for name, _ in scope["headers"]
    )


@lru_cache(maxsize=1024)
def _is_loopback(host: str) -> bool:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def _failing(core: Core) -> list[str]:
    return [] if core.phase in (Phase.RUNNING, Phase.DEFERRED) else [core.phase.value]


def _uptime_ms(core: Core) -> int:
    return int((time.monotonic() - core.started) * 1000)
