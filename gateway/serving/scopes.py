"""ASGI scopes: the keys of our extensions, and the scopes of connections whose requests came to another process.

Pure. The scope of an adopted connection has no headers: they are not passed on, and no application needs them.
"""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope, WebSocketScope

CONNECTION = "openclaw.connection"
"""The extension of a WebSocket: `{"connection": Carrier}`; an adopted one adds the `extra` of its `Adopted`."""
ANSWERING = "openclaw.answering"
"""The extension of a request to an API: `{"answering": Answering}`."""


class Endpoint(Protocol):
    """The attributes that a scope takes from uvicorn's protocols."""

    asgi_version: Any
    server: tuple[str, int | None] | None
    client: tuple[str, int] | None
    root_path: str
    app_state: dict[str, Any]


def websocket(at: Endpoint, scheme: Any, extensions: dict[str, Any]) -> "WebSocketScope":
    """The scope of an adopted WebSocket. `extensions` is keyed by names, each with a dictionary."""
    return {
        "type": "websocket",
        "asgi": {"version": at.asgi_version, "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": scheme,
        "server": at.server,
        "client": at.client,
        "root_path": at.root_path,
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [],
        "subprotocols": [],
        "state": at.app_state.copy(),
        "extensions": extensions,
    }


def request(at: Endpoint, path: str) -> "HTTPScope":
    """The scope of a request to the API at `path`, which another process has read."""
    return {
        "type": "http",
        "asgi": {"version": at.asgi_version, "spec_version": "2.3"},
        "http_version": "1.1",
        "server": at.server,
        "client": at.client,
        "scheme": "http",
        "method": "POST",
        "root_path": at.root_path,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "state": at.app_state.copy(),
        "extensions": {},
    }
