"""A server on a real socket, with clients that send it bytes."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.config.schema import Limits
from gateway.serving.server import GatewayServer
from tests.serving.leaving import leave
from tests.slack import LIMIT_S

Scope = dict[str, Any]


async def echo(scope: Scope, receive: Callable[[], Awaitable[Scope]], send: Callable[[Scope], Awaitable[None]]) -> None:
    """Answers with the number of body bytes it was given."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message["more_body"]
    body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def status(self) -> int:
        return int((await self.head()).split()[1])

    async def rest(self) -> bytes:
        return await self.reader.read()

    def close(self) -> None:
        self.writer.close()


@dataclass
class HttpScene:
    server: GatewayServer
    address: tuple[str, int]
    clients: list[Client]

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection(*self.address))
        self.clients.append(client)
        return client


@asynccontextmanager
async def serving(app: Any = echo, **limits: int) -> AsyncIterator[HttpScene]:
    bounds = msgspec.structs.replace(Limits(), **limits)
    server = GatewayServer(app, lambda: bounds)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await server.start([listener])
        scene = HttpScene(server, listener.getsockname(), [])
        try:
            async with asyncio.timeout(LIMIT_S):
                yield scene
        finally:
            for client in scene.clients:
                client.close()
            await leave(server)
            await asyncio.sleep(0)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scene())  # type: ignore[arg-type]


def request(*headers: str, body: bytes = b"", path: str = "/") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
