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
from starlette.types import Receive, Scope, Send

from gateway.core import Core
from gateway.lifecycle.phases import Phase

Answer = tuple[int, dict[str, Any]]
Probe = Callable[[Core, bool], Answer]

_encode = msgspec.json.Encoder().encode


def live(core: Core, local: bool) -> Answer:
    return 200, {"ok": True, "status": "live"}


def ready(core: Core, local: bool) -> Answer:
    failing = _failing(core)
    answer: dict[str, Any] = {"ready": not failing}
    if local:
        answer |= {"failing": failing, "degraded": list(core.report().degraded), "uptimeMs": _uptime_ms(core)}
    return (503 if failing else 200), answer


def started(core: Core, local: bool) -> Answer:
    status = {Phase.STARTING: "starting", Phase.LEAVING: "draining"}.get(core.phase, "started")
    ok = status == "started"
    answer: dict[str, Any] = {"ok": ok, "status": status}
    if local:
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


async def answer_probe(probe: Probe, core: Core, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["method"] not in ("GET", "HEAD"):
        await _respond(send, 405, b"Method Not Allowed", b"text/plain; charset=utf-8", [(b"allow", b"GET, HEAD")])
        return
    status, answer = probe(core, is_local(scope))
    await _respond(send, status, _encode(answer), b"application/json; charset=utf-8", [(b"cache-control", b"no-store")])


async def _respond(
    send: Send, status: int, body: bytes, content_type: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    head = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


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
