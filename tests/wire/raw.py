"""A WebSocket client that writes its frames by hand, right or wrong, and the whole gateway on a loopback socket."""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.config.schema import Config, Limits
from gateway.protocol.admission.auth import AuthPolicy
from gateway.serving.server import GatewayServer
from gateway.web.app import create_app
from gateway.web.openai.paths import MAX_BODY
from tests.fakes.core import FakeCore
from tests.serving.leaving import leave

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"
SECRET = "t0k"
HEAD = (
    b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
)


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes
    first: int
    """The byte with FIN, the reserved bits and the opcode."""

    @property
    def code(self) -> int | None:
        """The code of a close frame; None if it has none."""
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2], "big") if self.payload else None


def frame(opcode: int, payload: bytes = b"", fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    size = len(payload)
    if size < 126:
        length, more = size, b""
    elif size < 65536:
        length, more = 126, size.to_bytes(2, "big")
    else:
        length, more = 127, size.to_bytes(8, "big")
    head = bytes([first, (0x80 if mask else 0) | length]) + more
    return head + MASK + masked(payload) if mask else head + payload


def masked(payload: bytes) -> bytes:
    key = (MASK * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def text(value: str | bytes | dict[str, Any]) -> bytes:
    if isinstance(value, dict):
        value = json.dumps(value)
    return frame(TEXT, value.encode() if isinstance(value, str) else value)


def request(id: str = "1", method: str = "last-heartbeat", params: object = None) -> dict[str, Any]:
    return {"type": "req", "id": id, "method": method, "params": params or {}}


def connect_request(protocol: int = 4, secret: str = SECRET) -> dict[str, Any]:
    client = {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"}
    params = {
        "minProtocol": protocol,
        "maxProtocol": protocol,
        "client": client,
        "role": "operator",
        "scopes": ["operator.admin"],
        "auth": {"token": secret},
    }
    return request("hello", "connect", params)


@dataclass
class RawClient:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    shut: bool = False

    def shut_half(self) -> None:
        """Nothing more will be said; what comes can still be read."""
        self.shut = True
        self.writer.write_eof()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def upgrade(self, more: bytes = b"") -> bytes:
        self.send(HEAD + more + b"\r\n")
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return head

    async def next(self) -> Frame | None:
        """The next frame; None when the server has ended the connection."""
        try:
            first, second = await self.reader.readexactly(2)
            assert not second & 0x80, "a server does not mask"
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            return Frame(first & 0x0F, await self.reader.readexactly(size), first)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def answer(self, id: str = "1") -> dict[str, Any]:
        """The response with this id; what comes before it is skipped."""
        while (got := await self.next()) is not None:
            if got.opcode == TEXT and (found := json.loads(got.payload)).get("id") == id:
                assert isinstance(found, dict)
                return found
            assert got.opcode in (TEXT, PONG, PING), got
        raise AssertionError("the server ended the connection")

    async def hello(self, protocol: int = 4) -> dict[str, Any]:
        self.send(text(connect_request(protocol)))
        return await self.answer("hello")

    async def end(self) -> int | None:
        """Read to the close frame, answer it, and read to the end of the connection; return the code."""
        code = None
        while (got := await self.next()) is not None:
            if got.opcode == CLOSE:
                code = got.code
                if not self.shut:
                    self.send(frame(CLOSE, got.payload))
        return code

    def leave(self) -> None:
        self.writer.transport.abort()


@dataclass
class RawScene:
    core: FakeCore = field(default_factory=lambda: FakeCore(auth=AuthPolicy("token", token=SECRET, generation=1)))

    def __post_init__(self) -> None:
        self.core.config = Config()
        self.server = GatewayServer(create_app(self.core), lambda: Limits(max_connections_per_address=5000), MAX_BODY)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.clients: list[RawClient] = []

    async def client(self, receive_buffer: int | None = None) -> RawClient:
        """A small buffer lets the server feel soon that nothing is read."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, self.listener.getsockname())
        self.clients.append(RawClient(*await asyncio.open_connection(sock=sock)))
        return self.clients[-1]

    async def greeted(self, protocol: int = 4, receive_buffer: int | None = None) -> RawClient:
        client = await self.client(receive_buffer)
        await client.upgrade()
        await client.hello(protocol)
        return client

    async def empty(self) -> None:
        """Until nothing is left of anyone."""
        while self.server.server_state.connections or self.server.server_state.tasks:
            await asyncio.sleep(0)


def run(play: Callable[[RawScene], Awaitable[None]], limit: float = 10) -> None:
    async def scene() -> None:
        it = RawScene()
        await it.server.start([it.listener])
        try:
            async with asyncio.timeout(limit):
                await play(it)
        finally:
            for client in it.clients:
                client.leave()
            await leave(it.server)
            it.listener.close()
            for _ in range(5):  # transports report their end in the next turns of the loop
                await asyncio.sleep(0)

    asyncio.run(scene())


def faults(records: list[logging.LogRecord]) -> list[str]:
    """The lines of a log that would alarm or burden its reader."""
    return [
        f"{record.levelname} {record.getMessage()[:500]}"
        for record in records
        if record.exc_info or record.levelno >= logging.ERROR or not tidy(record.getMessage())
    ]


def tidy(line: str) -> bool:
    return len(line) <= 300 and line.isprintable()


def many_files() -> int:
    """How many clients fit into this process, each with two ends."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    return (min(hard, 8192) - len(os.listdir("/proc/self/fd")) - 64) // 2
