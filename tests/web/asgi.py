"""Asks the application over ASGI, with a core that is only looked at."""

import asyncio
from types import SimpleNamespace
from typing import Any

from starlette.types import ASGIApp

from gateway.web.app import create_app
from tests.fakes.core import FakeCore

HOST = (b"host", b"localhost:18789")
LOCAL, REMOTE = ("127.0.0.1", 5), ("203.0.113.9", 5)


def ask(
    core: FakeCore,
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
        "headers": [*([] if b"host" in dict(headers or []) else [HOST]), *(headers or [])],
        "client": client,
        "server": server,
        "scheme": "http",
        "http_version": "1.1",
    }
    asyncio.run((app or create_app(core))(scope, receive, send))
    start = sent[0]
    return SimpleNamespace(
        status=start["status"],
        headers=dict(start["headers"]),
        body=b"".join(message.get("body", b"") for message in sent[1:]),
    )


def bearer(secret: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + secret.encode())]


UNIX: dict[str, Any] = {"client": None, "server": ("/run/control.sock", None)}
