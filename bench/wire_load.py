"""The client of bench/wire.py: connects many, asks, counts events, or holds them; prints one line of JSON.

Light on purpose: frames are made beforehand, and of what comes only the length and a few bytes are looked at.
"""

import argparse
import asyncio
import json
import os
import struct
import sys
import time
from typing import Any, NoReturn, TypeVar, cast

import uvloop

TOGETHER = 50
"""Connects under way at once."""
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
UNMASKED = b"\0\0\0\0"
"""A mask of zeros: masked as the RFC asks, and free to make."""


def frame(text: str, opcode: int = 1) -> bytes:
    body, first = text.encode(), 0x80 | opcode
    if len(body) < 126:
        return struct.pack("!BB", first, 0x80 | len(body)) + UNMASKED + body
    return struct.pack("!BBH", first, 0x80 | 126, len(body)) + UNMASKED + body


def request(method: str, params: dict[str, Any], id: str = "1") -> bytes:
    return frame(json.dumps({"type": "req", "id": id, "method": method, "params": params}))


def give_up(why: str) -> NoReturn:
    """End the program from inside a protocol, where uvloop only prints a SystemExit."""
    print(why, file=sys.stderr, flush=True)
    os._exit(1)


HELLO = request(
    "connect",
    {
        "minProtocol": 4,
        "maxProtocol": 4,
        "client": {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"},
        "role": "operator",
        "scopes": ["operator.admin"],
        "caps": [],
        "auth": {"token": "bench"},
    },
)


class Client(asyncio.Protocol):
    seen = 160
    """Bytes of a message that are looked at."""

    def __init__(self, echo: bool) -> None:
        self.answers = self.events = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.again: bytes | None = None
        """The request, sent again with every answer."""
        self._echo = echo
        self._open = False
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self.transport.write(UPGRADE)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed before it was ready"))
        elif self.again is not None:
            give_up("the server closed a connection")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            del self._buffer[: head + 4]
            self._open = True
            if self._echo:
                self.ready.set_result(None)
            else:
                self.transport.write(HELLO)
        while (length := self._whole()) is not None:
            start, size = length
            self._take(self._buffer[0] & 15, bytes(self._buffer[start : min(start + self.seen, start + size)]))
            del self._buffer[: start + size]

    def _whole(self) -> tuple[int, int] | None:
        """Where the body of the first frame begins, and its size; None until all of it is here."""
        if len(self._buffer) < 2:
            return None
        start, size = 2, self._buffer[1] & 127
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(self._buffer) < start:
                return None
            size = int.from_bytes(self._buffer[2:start], "big")
        return (start, size) if len(self._buffer) >= start + size else None

    def _take(self, opcode: int, body: bytes) -> None:
        if opcode == 9:
            self.transport.write(frame("", 10))
        elif body.startswith(b'{"type":"event"'):
            self.events += 1
        elif not self.ready.done():
            self.ready.set_result(None) if b'"ok":true' in body else give_up(f"refused: {body!r}")
        elif opcode == 1:
            if not self._echo and b'"ok":true' not in body:
                give_up(f"refused: {body!r}")
            self.answers += 1
            if self.again is not None:
                self.transport.write(self.again)


Kind = TypeVar("Kind", bound=Client)


async def connect(port: int, count: int, echo: bool, kind: type[Kind] = Client, together: int = TOGETHER) -> list[Kind]:
    loop = asyncio.get_running_loop()
    clients: list[Kind] = []
    numbers = iter(range(count))

    async def one_after_the_other() -> None:
        for _ in numbers:
            _, client = await loop.create_connection(lambda: kind(echo), "127.0.0.1", port)
            await client.ready
            clients.append(client)

    await asyncio.gather(*(one_after_the_other() for _ in range(min(together, count))))
    return clients


async def ask(clients: list[Client], message: bytes, seconds: float) -> float:
    for client in clients:
        client.again = message
        client.transport.write(message)
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    answers, took = sum(client.answers for client in clients), time.perf_counter() - began
    for client in clients:
        client.again = None
    return answers / took


async def hear(clients: list[Client], message: bytes, count: int) -> float:
    """Events per second over all clients, from the request until everybody has the last one."""
    await asyncio.sleep(1)  # what follows the connects: presence and health
    for client in clients:
        client.events = 0
    began = time.perf_counter()
    clients[0].transport.write(message)
    while min(client.events for client in clients) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    return count * len(clients) / (time.perf_counter() - began)


async def main(options: argparse.Namespace) -> None:
    began = time.perf_counter()
    clients = await connect(options.port, options.clients, options.echo)
    found = {"connects": options.clients / (time.perf_counter() - began)}
    if options.events:
        everybody = frame(f"all {options.events}") if options.echo else request("bench.all", {"count": options.events})
        found["events"] = await hear(clients, everybody, options.events)
    elif options.seconds:
        found["answers"] = await ask(clients, request(options.method, {}), options.seconds)
    print(json.dumps(found), flush=True)
    if options.hold:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0, help="ask for so long")
    parser.add_argument("--method", default="last-heartbeat")
    parser.add_argument("--events", type=int, default=0, help="have so many sent to everybody, and wait for them")
    parser.add_argument("--echo", action="store_true", help="the server is a bare echo")
    parser.add_argument("--hold", action="store_true", help="stay connected until stdin ends")
    uvloop.run(main(parser.parse_args()))
