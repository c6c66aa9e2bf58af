"""WebSocket clients that keep one connection each and write down everything that a restart could do to it.

    ours           gateway.client.client: asks, one request after the other, and hears events
    library        the websockets library's client, the same
    pings          sends pings and waits for each pong
    listens        only hears events
    speaks         sends system-event, so that everybody hears a presence event
    pipelines      sends many requests without waiting for an answer
    trickles       sends each request a byte at a time
    never-reads    sends requests as long as they are taken, and reads the answers at the very end
    comes-and-goes a new connection for each request

Prints `ready` once everybody is let in, then, after SIGTERM and the answers to what is under way, one JSON object: for
each kind a `Book`. A connection that ends is opened anew only with --return. All but `ours` and `library` speak through
the library's Sans-I/O core, so whatever the gateway sends is held against RFC 6455.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from gateway.client.client import GatewayClient
from gateway.client.errors import Disconnected, WireFailure
from gateway.errors import GatewayError, TimedOut

ANSWER_S = 100.0
"""The longest that a client waits for anything. On a machine with twenty times the work 30 seconds were too few."""
BURST = 20
"""Requests that `pipelines` sends at once; below the number that the gateway serves of one client at once."""
STUFFED = 6000
"""Requests of `never-reads`, at most. Their answers are more than the kernel takes for it, which is 4 MB."""
SMALL_BUFFER = 4096
CLIENT = {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend", "instanceId": "peers"}
"""One entry of the presence for all, so that a crowd of clients does not make each event long."""


class Ended(Exception):
    """The connection is over; the argument is the close code, 1006 for an end without one."""


class TurnedAway(Exception):
    """The connection ended before the client was let in; the argument is the close code."""


@dataclass
class Book:
    """What the clients of one kind have seen. Times are seconds."""

    kind: str
    clients: int = 0
    connects: int = 0
    asked: int = 0
    answered: int = 0
    events: Counter[str] = field(default_factory=Counter)
    closes: Counter[str] = field(default_factory=Counter)
    """By code, those that the client did not ask for."""
    ended: list[tuple[float, str]] = field(default_factory=list)
    """When the client saw each of them (monotonic), and the code."""
    turned_away: Counter[str] = field(default_factory=Counter)
    """By code, connections that ended before the client was let in."""
    goodbyes: Counter[str] = field(default_factory=Counter)
    """By code, the gateway's answers to the client's own close."""
    lost: int = 0
    """Requests on a connection that has ended, or that nobody answered in time."""
    open_losses: int = 0
    """The lost requests on a connection that was still open."""
    doubled: int = 0
    strange: int = 0
    """Answers to what nobody has asked."""
    gaps: list[str] = field(default_factory=list)
    retryable: int = 0
    """Requests that were refused, to be asked again."""
    failed: Counter[str] = field(default_factory=Counter)
    """Requests that were refused for good, and whatever no gateway should send."""
    slowest: float = 0.0
    """The longest time from a request, or a ping, to its answer."""
    slow: list[tuple[float, float]] = field(default_factory=list)
    """Requests that took over 50 ms: when they began (monotonic), and how long they took."""


SLOW_S = 0.05


class Ear:
    """What comes on one connection."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.waiting: dict[str, float] = {}
        self.done: set[str] = set()
        self.seq = 0
        self.ids = 0
        self.hello = asyncio.Event()
        self.news = asyncio.Event()

    def ask(self, method: str, params: dict[str, Any] | None = None) -> str:
        """A request, as text."""
        self.ids += 1
        self.asks(str(self.ids))
        return json.dumps({"type": "req", "id": str(self.ids), "method": method, "params": params or {}})

    def asks(self, id: str) -> None:
        self.book.asked += 1
        self.waiting[id] = time.monotonic()

    def hear(self, text: str) -> None:
        frame = json.loads(text)
        if frame["type"] == "event":
            self._event(frame)
        else:
            self._answer(frame)
        self.news.set()

    def _event(self, frame: dict[str, Any]) -> None:
        self.book.events[frame["event"]] += 1
        if (seq := frame.get("seq")) is not None:
            if seq != self.seq + 1:
                self.book.gaps.append(f"{frame['event']} {seq} after {self.seq}")
            self.seq = seq

    def _answer(self, frame: dict[str, Any]) -> None:
        id = frame["id"]
        began = self.waiting.pop(id, None)
        if began is None:
            self.book.doubled += id in self.done
            self.book.strange += id not in self.done
            return
        self.done.add(id)
        self.took(began)
        self.book.answered += 1
        if not frame.get("ok"):
            error = frame.get("error") or {}
            if error.get("retryable"):
                self.book.retryable += 1
            else:
                self.book.failed[json.dumps(error)] += 1
        elif not self.hello.is_set():
            self.hello.set()

    def took(self, began: float) -> None:
        took = time.monotonic() - began
        self.book.slowest = max(self.book.slowest, took)
        if took > SLOW_S:
            self.book.slow.append((began, took))

    def end(self, *, is_open: bool = False) -> None:
        """Whatever was not answered never will be."""
        self.book.lost += len(self.waiting)
        self.book.open_losses += len(self.waiting) if is_open else 0
        self.waiting.clear()

    async def answers(self, most: int = 0) -> None:
        """Until no more than `most` requests are unanswered."""
        async with asyncio.timeout(ANSWER_S):
            while len(self.waiting) > most:
                self.news.clear()
                await self.news.wait()


class Link:
    """A connection of a strict client: the library's Sans-I/O core, and a socket."""

    def __init__(self, crowd: "Crowd", book: Book, small: bool = False) -> None:
        self.ear = Ear(book)
        self.reads = asyncio.Event()
        self.reads.set()
        self.code: str | None = None
        self._crowd = crowd
        self._small = small
        self._pongs: dict[bytes, asyncio.Future[None]] = {}
        self._opened = asyncio.Event()
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        options = self._crowd.options
        raw = socket.socket()
        if self._small:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, (options.host, options.port))
        self._reader, self._writer = await asyncio.open_connection(
            sock=raw, limit=SMALL_BUFFER if self._small else 2**16
        )
        self._protocol = ClientProtocol(parse_uri(f"ws://{options.host}:{options.port}/"), max_size=None)
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        self._reading = asyncio.create_task(self._read())
        try:
            await self._or_over(self._opened.wait())
            await self._or_over(self._crowd.enter(self.ear, self.send))
        except Ended as end:
            self.abandon()
            raise TurnedAway(*end.args) from None

    def send(self, text: str) -> None:
        self._check()
        self._protocol.send_text(text.encode())
        self._flush()

    async def trickle(self, text: str, pause: float) -> None:
        self._check()
        self._protocol.send_text(text.encode())
        for byte in b"".join(self._protocol.data_to_send()):
            self._check()
            self._writer.write(bytes([byte]))
            await asyncio.sleep(pause)

    async def drain(self) -> None:
        await self._writer.drain()

    async def ping(self, payload: bytes) -> None:
        self._check()
        began = time.monotonic()
        self._pongs[payload] = asyncio.get_running_loop().create_future()
        self._protocol.send_ping(payload)
        self._flush()
        async with asyncio.timeout(ANSWER_S):
            await self._pongs[payload]
        self.ear.took(began)

    async def answers(self, most: int = 0) -> None:
        """As the ear's; raises `Ended` if the connection ends before."""
        self._check()
        await self._or_over(self.ear.answers(most))

    async def _or_over(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        async with asyncio.timeout(ANSWER_S):
            await asyncio.wait([task, self._over], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            raise Ended(self.code)
        await task

    async def until_over(self) -> None:
        """Until the connection ends, or it is time to go."""
        over = asyncio.ensure_future(self._crowd.over.wait())
        await asyncio.wait([over, self._over], return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        self._check()

    async def leave(self) -> None:
        """Say goodbye, and note what the gateway says to that."""
        if self.code is None:
            self._check()
            self._protocol.send_close(1000)
            self._flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    await asyncio.shield(self._over)
            self.ear.book.goodbyes[self.code or "timeout"] += 1
        self.abandon()

    def abandon(self) -> None:
        self._writer.close()
        self._reading.cancel()

    def _check(self) -> None:
        if self.code is not None or self._protocol.state is not State.OPEN:
            close = self._protocol.close_rcvd
            raise Ended(self.code or (close.code if close else 1006))

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)

    async def _read(self) -> None:
        code = 1006
        try:
            while True:
                await self.reads.wait()
                if not (data := await self._reader.read(2**16)):
                    break
                self._protocol.receive_data(data)
                for event in self._protocol.events_received():
                    self._take(event)
                self._flush()
        except OSError:
            pass
        if (close := self._protocol.close_rcvd) is not None:
            code = close.code
        elif (fault := self._protocol.parser_exc) is not None:
            self.ear.book.failed[f"not RFC 6455: {fault!r}"] += 1
        self.code = str(code)
        for pong in self._pongs.values():
            if not pong.done():
                pong.set_exception(Ended(self.code))
        self._over.set_result(None)

    def _take(self, event: Frame | Response) -> None:
        if isinstance(event, Response):
            if self._protocol.handshake_exc is not None:
                self.ear.book.failed[repr(self._protocol.handshake_exc)] += 1
            self._opened.set()
        elif event.opcode is Opcode.TEXT:
            self.ear.hear(bytes(event.data).decode())
        elif event.opcode is Opcode.PONG:
            if (pong := self._pongs.pop(bytes(event.data), None)) is None:
                self.ear.book.strange += 1
            elif not pong.done():
                pong.set_result(None)
        elif event.opcode is Opcode.CLOSE:
            Close.parse(event.data)
        elif event.opcode is not Opcode.PING:  # which the core has answered
            self.ear.book.failed[f"a frame that the gateway never sends: {event.opcode.name}"] += 1


class Watched(GatewayClient):
    """The gateway's own client, with an ear on what it gets."""

    def __init__(self, crowd: "Crowd", ear: Ear) -> None:
        options = crowd.options
        super().__init__(f"ws://{options.host}:{options.port}", token=options.token, timeout_s=ANSWER_S)
        self._ear = ear

    async def _request(self, method: str, params: object, final: bool = False) -> dict[str, Any]:
        self._ear.asks(str(self._last_id + 1))
        return await super()._request(method, params, final)

    def _receive(self, text: str | bytes) -> None:
        self._ear.hear(str(text))
        super()._receive(text)


@dataclass
class Crowd:
    options: argparse.Namespace
    over: asyncio.Event = field(default_factory=asyncio.Event)
    missing: int = 0
    """Clients that have not been let in yet."""

    async def rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.options.pace):
                await self.over.wait()

    async def enter(self, ear: Ear, send: Callable[[str], Any]) -> None:
        auth = {"token": self.options.token}
        params = {"minProtocol": 4, "maxProtocol": 4, "client": CLIENT, "role": "operator", "auth": auth}
        if isinstance(done := send(ear.ask("connect", params | {"scopes": ["operator.admin"]})), Awaitable):
            await done
        async with asyncio.timeout(ANSWER_S):
            await ear.hello.wait()
        ear.book.connects += 1

    async def live(self, kind: str, book: Book) -> None:
        book.clients += 1
        first = True
        while first or (self.options.come_back and not self.over.is_set()):
            try:
                await KINDS[kind](self, book, self._entered if first else lambda: None)
            except Ended as ended:
                book.closes[str(ended.args[0])] += 1
                book.ended.append((time.monotonic(), str(ended.args[0])))
                await self.rest()
            except TurnedAway as ended:
                book.turned_away[str(ended.args[0])] += 1
                await self.rest()
            first = False

    def _entered(self) -> None:
        self.missing -= 1
        if not self.missing:
            print("ready", flush=True)


Entered = Callable[[], None]


def with_link(life: Callable[[Crowd, Link], Awaitable[None]], small: bool = False) -> Callable[..., Awaitable[None]]:
    async def live(crowd: Crowd, book: Book, entered: Entered) -> None:
        link = Link(crowd, book, small)
        await link.open()
        entered()
        try:
            await life(crowd, link)
            await link.answers()
            await link.leave()
        except TimeoutError:
            link.ear.end(is_open=True)
        finally:
            link.ear.end()
            link.abandon()

    return live


async def ours(crowd: Crowd, book: Book, entered: Entered) -> None:
    ear = Ear(book)
    client = Watched(crowd, ear)
    try:
        await client.connect()
    except GatewayError as error:
        raise TurnedAway(getattr(error, "code", None) or 1006) from None
    book.connects += 1
    entered()
    try:
        while not crowd.over.is_set():
            with contextlib.suppress(WireFailure):  # the ear has it
                await client.call("health")
            await crowd.rest()
            if client._disconnected is not None:
                raise client._disconnected
    except Disconnected as end:
        raise Ended(end.code or 1006) from None
    except TimedOut:
        ear.end(is_open=True)
    finally:
        ear.end()
        await client.close()
    book.goodbyes[str(client._disconnected.code if client._disconnected else None)] += 1


async def library(crowd: Crowd, book: Book, entered: Entered) -> None:
    options = crowd.options
    ear = Ear(book)
    try:
        connection = await connect(f"ws://{options.host}:{options.port}", proxy=None, max_size=None)
        reading = asyncio.create_task(_hear(connection, ear))
        await _or_end(crowd.enter(ear, connection.send), reading)
    except (Ended, EOFError, InvalidHandshake, OSError) as end:
        raise TurnedAway(*end.args if isinstance(end, Ended) else (1006,)) from None
    entered()
    try:
        while not crowd.over.is_set():
            await connection.send(ear.ask("health"))
            await _or_end(ear.answers(), reading)
            await crowd.rest()
        if reading.done():
            raise Ended(reading.result())
    except ConnectionClosed:
        raise Ended(await reading) from None
    except TimeoutError:
        ear.end(is_open=True)
    finally:
        ear.end()
        await connection.close()
    book.goodbyes[str(await reading)] += 1


async def _or_end(work: Coroutine[Any, Any, None], reading: "asyncio.Task[int]") -> None:
    task = asyncio.ensure_future(work)
    await asyncio.wait([task, reading], return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        raise Ended(reading.result())
    await task


async def _hear(connection: ClientConnection, ear: Ear) -> int:
    with contextlib.suppress(ConnectionClosed):
        while True:
            ear.hear(str(await connection.recv()))
    return connection.close_code or 1006


async def pings(crowd: Crowd, link: Link) -> None:
    number = 0
    while not crowd.over.is_set():
        number += 1
        await link.ping(b"%d" % number)
        await crowd.rest()


async def listens(crowd: Crowd, link: Link) -> None:
    await link.until_over()


async def speaks(crowd: Crowd, link: Link) -> None:
    while not crowd.over.is_set():
        link.send(link.ear.ask("system-event", {"text": f"event {link.ear.ids}", "deviceId": "peers"}))
        await link.answers()
        await crowd.rest()


async def pipelines(crowd: Crowd, link: Link) -> None:
    while not crowd.over.is_set():
        for _ in range(BURST):
            link.send(link.ear.ask("health"))
            await asyncio.sleep(0)
        await link.answers(most=BURST // 2)
        await crowd.rest()


async def trickles(crowd: Crowd, link: Link) -> None:
    while not crowd.over.is_set():
        await link.trickle(link.ear.ask("last-heartbeat"), crowd.options.pace / 20)
        await link.answers()


async def never_reads(crowd: Crowd, link: Link) -> None:
    """Until the gateway takes no more: then it has answers that it cannot send, and requests that it does not read."""
    link.reads.clear()
    try:
        while not crowd.over.is_set() and link.ear.ids < STUFFED:
            link.send(link.ear.ask("status"))
            sent = asyncio.ensure_future(link.drain())
            over = asyncio.ensure_future(crowd.over.wait())
            await asyncio.wait([sent, over], return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            if not sent.done():
                sent.cancel()
            elif sent.exception() is not None:
                break  # what has come before is read at the end all the same
        await crowd.over.wait()
    finally:
        link.reads.set()


async def comes_and_goes(crowd: Crowd, book: Book, entered: Entered) -> None:
    async def once(crowd: Crowd, link: Link) -> None:
        link.send(link.ear.ask("health"))
        await link.answers()

    while not crowd.over.is_set():
        await with_link(once)(crowd, book, entered)
        entered = lambda: None  # noqa: E731
        await crowd.rest()


KINDS: dict[str, Callable[..., Awaitable[None]]] = {
    "ours": ours,
    "library": library,
    "pings": with_link(pings),
    "listens": with_link(listens),
    "speaks": with_link(speaks),
    "pipelines": with_link(pipelines),
    "trickles": with_link(trickles),
    "never-reads": with_link(never_reads, small=True),
    "comes-and-goes": comes_and_goes,
}


async def main(options: argparse.Namespace) -> None:
    counts = {kind: getattr(options, kind.replace("-", "_")) for kind in KINDS}
    crowd = Crowd(options, missing=sum(counts.values()))
    books = {kind: Book(kind) for kind, count in counts.items() if count}
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, crowd.over.set)
    async with asyncio.TaskGroup() as group:
        for kind, book in books.items():
            for _ in range(counts[kind]):
                group.create_task(crowd.live(kind, book))
    await crowd.over.wait()  # also when everybody has been closed long before
    json.dump({kind: vars(book) for kind, book in books.items()}, sys.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=18789)
    parser.add_argument("--token", default="")
    parser.add_argument("--pace", type=float, default=0.1, help="seconds between the requests of one client")
    parser.add_argument("--return", dest="come_back", action="store_true", help="open a connection anew that has ended")
    for name in KINDS:
        parser.add_argument(f"--{name}", type=int, default=0, metavar="COUNT")
    asyncio.run(main(parser.parse_args()))
