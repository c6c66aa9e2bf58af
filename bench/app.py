"""A bare ASGI function that answers the bytes of the gateway's /healthz, and echoes what comes over a WebSocket: what
uvicorn serves in the comparisons."""

from collections.abc import Awaitable, Callable
from typing import Any

BODY = b'{"ok":true,"status":"live"}'
HEAD = [
    (b"content-type", b"application/json; charset=utf-8"),
    (b"content-length", b"%d" % len(BODY)),
    (b"cache-control", b"no-store"),
]


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEAD})
    await send({"type": "http.response.body", "body": BODY})
