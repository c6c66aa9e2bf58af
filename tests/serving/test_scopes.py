"""The scopes that are made here are such as uvicorn makes."""

import asyncio
import socket
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.config.schema import Limits
from gateway.serving import scopes
from gateway.serving.server import GatewayServer
from tests.serving.leaving import leave
from tests.slack import LIMIT_S


class Endpoint:
    asgi_version = "3.0"
    server, client = ("127.0.0.1", 1), ("127.0.0.1", 2)
    root_path = ""
    app_state: dict[str, Any] = {}


def test_they_have_what_uvicorns_have_and_no_head() -> None:
    made: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        made[scope["type"]] = scope
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await receive()
            await send({"type": "websocket.close"})

    async def play() -> None:
        server = GatewayServer(app, Limits, {"/v1/x": 100})
        listener = socket.create_server(("127.0.0.1", 0))
        await server.start([listener])
        host, port = listener.getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        with pytest.raises(InvalidStatus):
            await connect(f"ws://{host}:{port}/")
        await leave(server)
        listener.close()
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(play(), LIMIT_S))
    at = Endpoint()
    ours: list[Any] = [scopes.request(at, "/v1/x"), scopes.websocket(at, "ws", {scopes.CONNECTION: {"connection": at}})]
    for scope in ours:
        theirs = made[scope["type"]]
        assert scope.keys() == theirs.keys()
        same = {"type", "asgi", "http_version", "scheme", "root_path", "path", "raw_path", "query_string", "method"}
        assert {key: scope[key] for key in same & scope.keys()} == {key: theirs[key] for key in same & theirs.keys()}
        assert scope["headers"] == [] and theirs["headers"]
        assert {type(scope[key]) for key in ("server", "client")} == {tuple}
    assert made["http"]["extensions"].keys() == {scopes.ANSWERING}
    assert scopes.CONNECTION in made["websocket"]["extensions"]
