"""Clients that load a gateway and write down what happened to each request; standard library only.

Prints `ready` once every worker has had an answer, then one JSON object when it ends: after --seconds or at SIGTERM,
and always after the answer to what is under way. Outcomes of one request:
    ok       a whole answer
    refused  the connection was refused
    reset    the connection was accepted, and ended without one byte of an answer
    short    it ended in the middle of an answer
    timeout  no whole answer in --timeout seconds
Apart from these, keepalive counts `closed_idle` (a kept connection was closed between two requests, seen before the
next was sent) and `closed_racing` (closed while the next request was on its way: no byte of an answer came); both are
asked again on a new connection; `opened` counts the connections. `ws` counts the codes of closed connections in
`closes`, 1006 for an end without one.
"""

import argparse
import asyncio
import base64
import json
import os
import random
import signal
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

FAILURES_KEPT = 500
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Failed(Exception):
    """A request without a whole answer; the first argument is the outcome."""


@dataclass
class Tally:
    """All that is known at the end. Times are CLOCK_MONOTONIC seconds, the same inside and outside."""

    outcomes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    closes: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, object]] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    met: set[int] = field(default_factory=set)
    """Workers that know what became of their first request."""

    def answered(self, worker: int, began: float, status: str) -> None:
        self.outcomes["ok"] += 1
        self.statuses[status] += 1
        self.latencies.append(time.monotonic() - began)
        self.met.add(worker)

    def failed(self, worker: int, began: float, outcome: str, detail: str = "") -> None:
        self.outcomes[outcome] += 1
        if len(self.failures) < FAILURES_KEPT:
            self.failures.append({"outcome": outcome, "began": began, "ended": time.monotonic(), "detail": detail})
        self.met.add(worker)

    def report(self) -> dict[str, object]:
        ordered = sorted(self.latencies) or [0.0]
        return {
            "outcomes": self.outcomes,
            "statuses": self.statuses,
            "closes": self.closes,
            "events": self.events,
            "failures": self.failures,
            "p50": ordered[len(ordered) // 2],
            "p99": ordered[int(len(ordered) * 0.99)],
            "slowest": ordered[-1],
        }


@dataclass
class Load:
    """What every worker shares: the target, the pace, the end."""

    options: argparse.Namespace
    tally: Tally = field(default_factory=Tally)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def connect(self) -> Stream:
        try:
            return await asyncio.open_connection(self.options.host, self.options.port)
        except ConnectionRefusedError as error:
            raise Failed("refused", str(error)) from error

    async def rest(self) -> None:
        """One pace, or less when it is over."""
        try:
            async with asyncio.timeout(self.options.pace):
                await self.over.wait()
        except TimeoutError:
            pass

    async def attempt(self, worker: int, request: Callable[[], Awaitable[str]]) -> bool:
        """Makes one request and tallies it; `request` returns its status or raises `Failed`."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.options.timeout):
                status = await request()
        except Failed as failure:
            self.tally.failed(worker, began, *failure.args)
        except TimeoutError:
            self.tally.failed(worker, began, "timeout")
        except OSError as error:
            self.tally.failed(worker, began, "reset", repr(error))
        else:
            self.tally.answered(worker, began, status)
            return True
        return False


async def read_answer(reader: asyncio.StreamReader) -> tuple[str, bool]:
    """The status of one HTTP answer and whether the connection stays."""
    head = b""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        await reader.readexactly(int(headers.get("content-length", "0")))
    except asyncio.IncompleteReadError as error:
        seen = head + error.partial
        raise Failed("short" if seen else "reset", repr(seen[:80])) from error
    except ConnectionError as error:
        raise Failed("short" if head else "reset", repr(error)) from error
    return lines[0].split(" ")[1], headers.get("connection") != "close"


def head_of(load: Load, method: str = "GET", body: int = 0) -> bytes:
    length = f"Content-Length: {body}\r\n" if body else ""
    return f"{method} {load.options.path} HTTP/1.1\r\nHost: {load.options.host}\r\n{length}\r\n".encode()


async def fresh(load: Load, worker: int) -> None:
    """A new connection for each request."""

    async def request() -> str:
        reader, writer = await load.connect()
        try:
            writer.write(head_of(load))
            return (await read_answer(reader))[0]
        finally:
            writer.close()

    while not load.over.is_set():
        await load.attempt(worker, request)
        await load.rest()


async def post(load: Load, worker: int) -> None:
    """A new connection for each request, whose body comes in two halves, one pace apart."""
    half = b"x" * 1000

    async def request() -> str:
        reader, writer = await load.connect()
        try:
            writer.write(head_of(load, "POST", 2 * len(half)) + half)
            await asyncio.sleep(load.options.pace)
            writer.write(half)
            return (await read_answer(reader))[0]
        finally:
            writer.close()

    while not load.over.is_set():
        await load.attempt(worker, request)
        await load.rest()


async def keepalive(load: Load, worker: int) -> None:
    """One connection as long as it is left open; a request that finds it closed is made again on a new one."""
    stream: Stream | None = None

    async def request() -> str:
        nonlocal stream
        if stream is not None and (stream[0].at_eof() or stream[0].exception()):
            load.tally.outcomes["closed_idle"] += 1
            stream[1].close()
            stream = None
        used = stream is not None
        while True:
            load.tally.outcomes["opened"] += stream is None
            reader, writer = stream = stream or await load.connect()
            try:
                writer.write(head_of(load))
                status, stays = await read_answer(reader)
            except BaseException as failure:
                writer.close()
                stream = None
                if not (used and isinstance(failure, Failed) and failure.args[0] == "reset"):
                    raise
                load.tally.outcomes["closed_racing"] += 1
                used = False
            else:
                stream = stream if stays else None
                return status

    while not load.over.is_set():
        await load.attempt(worker, request)
        await load.rest()
    if stream is not None:
        stream[1].close()


class WebSocket:
    """The client's half of RFC 6455, as far as a gateway's client needs it: text, ping and close."""

    def __init__(self, stream: Stream, load: Load) -> None:
        self.reader, self.writer = stream
        self.load = load

    async def open(self) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
        self.writer.write(f"GET / HTTP/1.1\r\nHost: gateway\r\n{upgrade}\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        status, _ = await read_answer(self.reader)
        if status != "101":
            raise Failed("reset", f"HTTP {status} instead of an upgrade")
        client = {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"}
        auth = {"token": self.load.options.token}
        params = {"minProtocol": 4, "maxProtocol": 4, "client": client, "role": "operator", "auth": auth}
        await self.call("connect", params | {"scopes": ["operator.admin", "operator.read", "operator.write"]})

    def send(self, text: str, opcode: int = 1) -> None:
        data = text.encode()
        length = struct.pack("!B", 0x80 | len(data)) if len(data) < 126 else struct.pack("!BH", 0xFE, len(data))
        # A mask of zeros is a mask: what RFC 6455 asks for, and free to make.
        self.writer.write(bytes([0x80 | opcode]) + length + bytes(4) + data)

    async def receive(self) -> dict[str, object]:
        while True:
            try:
                first, second = await self.reader.readexactly(2)
                length = second & 127
                if length >= 126:
                    wide = "!H" if length == 126 else "!Q"
                    (length,) = struct.unpack(wide, await self.reader.readexactly(struct.calcsize(wide)))
                data = await self.reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise Failed("closed", "1006") from error
            if first & 15 == 8:
                code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else 1005
                raise Failed("closed", str(code))
            if first & 15 == 9:
                self.send(data.decode("latin-1"), 10)
            elif first & 15 == 1:
                return dict(json.loads(data))

    async def call(self, method: str, params: dict[str, object]) -> str:
        self.send(json.dumps({"type": "req", "id": method, "method": method, "params": params}))
        while True:
            frame = await self.receive()
            if frame.get("type") == "event":
                self.load.tally.events[str(frame.get("event"))] += 1
            elif frame.get("type") == "res":
                return "ok" if frame.get("ok") else json.dumps(frame.get("error"))


async def ws(load: Load, worker: int) -> None:
    """A client that connects, asks for `health` once per pace, and comes back when it is closed."""
    link: WebSocket | None = None

    async def request() -> str:
        nonlocal link
        try:
            if link is None:
                link = WebSocket(await load.connect(), load)
                await link.open()
            return await link.call("health", {})
        except BaseException as failure:
            if link is not None:
                link.writer.close()
            link = None
            if isinstance(failure, Failed) and failure.args[0] == "closed":
                load.tally.closes[failure.args[1]] += 1
            raise

    while not load.over.is_set():
        await load.attempt(worker, request)
        await load.rest()


async def never_reads(load: Load, worker: int) -> None:
    """Sends requests as long as they are taken, and reads nothing: the gateway's answers pile up."""
    loop = asyncio.get_running_loop()
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await loop.sock_connect(raw, (load.options.host, load.options.port))
        load.tally.met.add(worker)
        unsent = b""
        while not load.over.is_set():
            unsent = unsent or head_of(load) * 1000
            try:
                unsent = unsent[raw.send(unsent) :]
            except BlockingIOError:
                load.tally.outcomes["stuffed"] += 1
                await load.rest()
            except OSError:
                load.tally.outcomes["closed"] += 1
                return


async def slowloris(load: Load, worker: int) -> None:
    """Sends one byte of a request head per pace, and tallies when the gateway loses its patience."""
    while not load.over.is_set():
        began = time.monotonic()
        reader, writer = await load.connect()
        load.tally.met.add(worker)
        for byte in f"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: {'x' * 100_000}".encode():
            writer.write(bytes([byte]))
            await load.rest()
            if load.over.is_set() or reader.at_eof() or reader.exception():
                break
        load.tally.outcomes["held" if load.over.is_set() else "closed"] += 1
        load.tally.latencies.append(time.monotonic() - began)
        writer.close()


async def garbage(load: Load, worker: int) -> None:
    """Bytes that are no HTTP; the answer is an HTTP error or a closed connection, and not silence."""
    bytes_of = random.Random(worker)

    async def request() -> str:
        reader, writer = await load.connect()
        try:
            writer.write(bytes_of.randbytes(300) + b"\r\n\r\n")
            return (await read_answer(reader))[0]
        except Failed as failure:
            if failure.args[0] == "reset":
                return "closed"
            raise
        finally:
            writer.close()

    while not load.over.is_set():
        await load.attempt(worker, request)
        await load.rest()


KINDS = {
    "fresh": fresh,
    "post": post,
    "keepalive": keepalive,
    "ws": ws,
    "never-reads": never_reads,
    "slowloris": slowloris,
    "garbage": garbage,
}


async def main(options: argparse.Namespace) -> None:
    load = Load(options)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, load.over.set)
    loop.call_later(options.seconds, load.over.set)
    async with asyncio.TaskGroup() as group:
        for worker in range(options.workers):
            group.create_task(KINDS[options.kind](load, worker))
        while len(load.tally.met) < options.workers and not load.over.is_set():
            await load.rest()
        print("ready", flush=True)
    json.dump(load.tally.report(), sys.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=18789)
    parser.add_argument("--path", default="/healthz")
    parser.add_argument("--token", default="")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--pace", type=float, default=0.01, help="seconds between the requests of one worker")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for one request")
    parser.add_argument("--seconds", type=float, default=600.0)
    asyncio.run(main(parser.parse_args()))
