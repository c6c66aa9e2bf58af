"""Asks the application over ASGI, with a core that is only looked at."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from starlette.types import ASGIApp

from gateway.config.files import Snapshot
from gateway.config.schema import Config
from gateway.devices import Devices
from gateway.lifecycle.phases import Phase
from gateway.protocol.auth import AuthPolicy
from gateway.report import ConfigReport, ReloadResult, Restarts, RestartTicket, StatusReport
from gateway.web.app import create_app
from tests.core_fake import PATHS

LOCAL, REMOTE = ("127.0.0.1", 5), ("203.0.113.9", 5)


class Core:
    def __init__(self) -> None:
        self.phase = Phase.RUNNING
        self.version = "1.2.3"
        self.started = 0.0
        self.boot_id = "boot"
        self.config = Config()
        self.snapshot = Snapshot(PATHS.config, False, ())
        self.auth = AuthPolicy("token", token="t0k")
        self.devices = Devices(Path("/dev/null"))
        self.degraded: tuple[str, ...] = ()
        self.result = ReloadResult("hot", "applied")
        self.reasons: list[str] = []

    def report(self) -> StatusReport:
        config = ConfigReport("/c", "good", "file")
        return StatusReport(
            1,
            "boot",
            "1.2.3",
            "running",
            True,
            self.degraded,
            0,
            0,
            (),
            "systemd",
            None,
            "",
            "",
            0,
            0,
            config,
            Restarts(),
        )

    async def reload(self, trigger: str) -> ReloadResult:
        self.reasons.append(trigger)
        return self.result

    def request_restart(self, reason: str) -> RestartTicket:
        self.reasons.append(reason)
        return RestartTicket("scheduled", "boot")


def ask(
    core: Core,
    path: str,
    method: str = "GET",
    *,
    client: tuple[str, int] | None = LOCAL,
    server: tuple[str, int | None] = ("127.0.0.1", 18789),
    headers: list[tuple[bytes, bytes]] | None = None,
    body: bytes = b"",
    query: bytes = b"",
    app: ASGIApp | None = None,
) -> SimpleNamespace:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": headers or [],
        "client": client,
        "server": server,
        "scheme": "http",
        "http_version": "1.1",
    }
    asyncio.run((app or create_app(core))(scope, receive, send))  # type: ignore[arg-type]
    start = sent[0]
    return SimpleNamespace(
        status=start["status"],
        headers=dict(start["headers"]),
        body=b"".join(message.get("body", b"") for message in sent[1:]),
    )


def bearer(secret: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + secret.encode())]


UNIX: dict[str, Any] = {"client": None, "server": ("/run/control.sock", None)}
