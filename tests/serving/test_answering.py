"""Answers that are written piece by piece, over real connections and from one process to the next."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import pytest
import uvloop

from gateway.config.schema import Limits
from gateway.handover.handoff import PendingAnswer
from gateway.lifecycle.phases import Budgets
from gateway.serving.answering import Answering
from gateway.serving.http import HttpProtocol
from gateway.serving.scopes import ANSWERING
from gateway.serving.server import GatewayServer
from tests.serving.leaving import leave
from tests.slack import LIMIT_S

APIS = {"/v1/x": 1000}
QUICK = Budgets(drain=0.0, stall_timeout=0.0, accept_grace=0.0, finish=0.3, client_turn=0.05, close=0.0)
ASK = b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
BYE = b"bye"


@dataclass
class Writing:
    """Writes what it is given, and says of itself how many pieces that were."""

    streams: bool = True
    pieces: "asyncio.Queue[bytes]" = field(default_factory=asyncio.Queue)
    resumed: list[bytes | None] = field(default_factory=list)
    answering: Answering | None = None
    offers: bool = True
    written: int = 0
    looks: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.looks.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/v1/x":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        self.answering = answering = scope["extensions"][ANSWERING]["answering"]
        self.resumed.append(answering.resumed)
        self.written = int(answering.resumed or 0)
        await self.looks.wait()
        if self.streams and not answering.begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        if self.offers:
            answering.offer(lambda: b"%d" % self.written, BYE)
            await answering.taken()
        while piece := await self.pieces.get():
            self.written += 1
            if self.streams:
                await answering.write(piece)
        answering.withdraw()
        if not self.streams:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d pieces" % self.written, "more_body": False})


@dataclass
class Conversing:
    """A client, and the process that it talks to."""

    server: GatewayServer
    app: Writing
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sock: socket.socket

    async def ask(self, data: bytes = ASK) -> None:
        self.writer.write(data)
        while self.app.answering is None:
            await asyncio.sleep(0)

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def chunk(self) -> bytes:
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def say(self, *pieces: bytes) -> None:
        """And let it be written."""
        for piece in pieces:
            self.app.pieces.put_nowait(piece)
        while not self.app.pieces.empty():
            await asyncio.sleep(0)

    async def part(self) -> tuple[dict[str, int], dict[str, PendingAnswer]]:
        """What the next process gets; this one ends."""
        await leave(self.server, QUICK, carry=True)
        fds, answers = self.server.carried()
        fds = {name: os.dup(fd) for name, fd in fds.items()}
        for connection in self.server.http:
            connection.transport.abort()
        for task in self.server.server_state.tasks:
            task.cancel()
        while self.server.server_state.connections:
            await asyncio.sleep(0)
        return fds, answers

    async def succeed(self, app: Writing, limits: Limits | None = None) -> dict[str, PendingAnswer]:
        fds, answers = await self.part()
        self.app = app
        self.server = GatewayServer(app, lambda: limits or Limits(), APIS)
        await self.server.start([])
        for name, fd in fds.items():
            await self.server.adopt(fd, partial(HttpProtocol, adopted=True, pending=answers.get(name)))
        return answers


Scene = Callable[[Conversing], Awaitable[None]]


class Play(Protocol):
    def __call__(self, scene: Scene, buffer: int | None = None, **app: Any) -> None: ...


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Play:
    def run(scene: Scene, buffer: int | None = None, **app: Any) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(whole(scene, buffer, Writing(**app)))

    return run


async def whole(scene: Scene, buffer: int | None, application: Writing) -> None:
    server = GatewayServer(application, lambda: Limits(), APIS)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as sock:
        if buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        await server.start([listener])
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, listener.getsockname())
        reader, writer = await asyncio.open_connection(sock=sock)
        world = Conversing(server, application, reader, writer, sock)
        try:
            async with asyncio.timeout(LIMIT_S):
                await scene(world)
        finally:
            for task in world.server.server_state.tasks:
                task.cancel()
            writer.close()
            while world.server.server_state.connections:
                await asyncio.sleep(0)
            for each in (server, world.server):
                await leave(each)
            for _ in range(5):
                await asyncio.sleep(0)


def test_an_answer_is_written_and_the_next_request_served(play: Play) -> None:
    async def scene(it: Conversing) -> None:
        await it.ask()
        assert b"transfer-encoding: chunked" in await it.head()
        await it.say(b"one", b"two", b"")
        assert [await it.chunk() for _ in range(4)] == [b"one", b"two", b"2 pieces", b""]
        it.writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200 OK" in await it.head()

    play(scene)


def test_it_goes_on_in_the_next_process_and_in_the_one_after_that(play: Play) -> None:
    async def scene(it: Conversing) -> None:
        await it.ask()
        await it.head()
        await it.say(b"one")
        for number in range(2, 5):
            answers = await it.succeed(Writing())
            assert answers == {"http-0": PendingAnswer("/v1/x", b"%d" % (number - 1), True, True, b"")}
            await it.say(b"next")
            assert it.app.resumed == [b"%d" % (number - 1)]
        await it.say(b"")
        assert [await it.chunk() for _ in range(6)] == [b"one", b"next", b"next", b"next", b"4 pieces", b""]
        it.writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200 OK" in await it.head()

    play(scene)


def test_one_that_has_not_begun_is_answered_by_the_next_process(play: Play) -> None:
    async def scene(it: Conversing) -> None:
        await it.ask(ASK.replace(b"host: x", b"host: x\r\nconnection: close"))
        await it.say(b"one")
        answers = await it.succeed(Writing(streams=False))
        assert answers == {"http-0": PendingAnswer("/v1/x", b"1", False, False, b"")}
        await it.say(b"two", b"")
        assert b"connection: close" in await it.head()
        assert [await it.chunk() for _ in range(2)] == [b"2 pieces", b""]
        assert await it.reader.read() == b""

    play(scene, streams=False)


def test_a_process_that_leaves_before_its_application_has_looked_passes_on_what_it_got(play: Play) -> None:
    async def scene(it: Conversing) -> None:
        await it.ask()
        await it.say(b"one")
        await it.succeed(Writing(offers=False))
        await it.succeed(Writing())
        await it.say(b"")
        await it.head()
        assert it.app.resumed == [b"1"]
        assert [await it.chunk() for _ in range(3)] == [b"one", b"1 pieces", b""]

    play(scene)


def piece(number: int) -> bytes:
    """More than the kernel ever takes for a client whose buffers are small."""
    return b"%06d" % number * 20_000


def test_what_a_slow_client_has_not_taken_goes_along_and_no_more_is_written_before_it_has(play: Play) -> None:
    async def scene(it: Conversing) -> None:
        it.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await it.ask()
        count = 0
        while not it.server.http[0].transport.get_write_buffer_size():
            it.app.pieces.put_nowait(piece(count))
            count += 1
            await asyncio.sleep(0)
        it.app.pieces.put_nowait(b"too early")
        for _ in range(20):
            await asyncio.sleep(0)
        assert it.app.written == count and it.app.pieces.qsize() == 1
        unsent = it.server.http[0].transport.get_write_buffer_size()
        for _ in range(2):
            (answer,) = (await it.succeed(Writing())).values()
            # A busy kernel may still take some of it; that nothing is lost shows in the end.
            assert 0 < len(answer.unsent) <= unsent and answer.unsent.endswith(b"\r\n")
            unsent = len(answer.unsent)
        it.app.pieces.put_nowait(b"")
        it.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await it.head()
        for number in range(count):
            assert await it.chunk() == piece(number)
        assert await it.chunk() == b"%d pieces" % count

    play(scene, buffer=4096)


def test_leaving_does_not_wait_for_what_the_next_process_can_finish(play: Play) -> None:
    async def scene(it: Conversing) -> None:
        await it.ask()
        draining = asyncio.ensure_future(it.server.drain(Budgets()))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not draining.done(), "as long as it is not known that there is one"
        it.server.server_state.carry = True
        async with asyncio.timeout(8):
            await draining
            await it.succeed(Writing())
        await it.say(b"")
        await it.head()
        assert await it.chunk() == b"0 pieces"

    play(scene)


def test_where_nobody_comes_after_us_the_client_is_told(play: Play) -> None:
    async def scene(it: Conversing) -> None:
        await it.ask()
        await it.say(b"one")
        await leave(it.server, QUICK)
        await it.head()
        assert [await it.chunk() for _ in range(3)] == [b"one", BYE, b""]
        assert await it.reader.read() == b""
        assert it.app.answering is not None and it.app.answering.given_up

    play(scene)


def test_a_stop_that_comes_when_all_is_put_away_tells_the_client(play: Play) -> None:
    async def scene(it: Conversing) -> None:
        await it.ask()
        await leave(it.server, QUICK, carry=True)
        it.server.server_state.carry = False
        await it.server.give_up()
        await it.head()
        assert await it.chunk() == BYE
        assert it.server.carried() == ({}, {})

    play(scene)


def test_an_answer_behind_which_another_request_has_come_ends_here(play: Play) -> None:
    async def scene(it: Conversing) -> None:
        await it.ask(ASK + b"GET / HTTP/1.1\r\n")
        await it.say(b"one")
        assert await it.part() == ({}, {})
        await it.head()
        assert [await it.chunk() for _ in range(2)] == [b"one", BYE]

    play(scene)


def test_what_is_whole_or_was_never_offered_is_not_passed_on_as_an_answer(play: Play) -> None:
    async def scene(it: Conversing) -> None:
        await it.ask()
        await it.head()
        assert await it.part() == ({}, {}), "it has not been offered"

    play(scene, offers=False)

    async def idle(it: Conversing) -> None:
        await it.ask()
        await it.head()
        await it.say(b"")
        assert [await it.chunk() for _ in range(2)] == [b"0 pieces", b""]
        fds, answers = await it.part()
        assert (list(fds), answers) == (["http-0"], {}), "it is idle"
        os.close(fds["http-0"])

    play(idle)


def test_the_next_process_does_not_refuse_it_however_many_its_address_has(play: Play) -> None:
    async def scene(it: Conversing) -> None:
        await it.ask()
        await it.succeed(Writing(), Limits(max_connections_per_address=1, head_timeout_ms=100))
        it.server.server_state.unauthenticated.admit("127.0.0.1", 9, lambda: False)
        await it.succeed(Writing(), Limits(max_connections_per_address=1, head_timeout_ms=100))
        await asyncio.sleep(0.15)
        await it.say(b"")
        await it.head()
        assert await it.chunk() == b"0 pieces"

    play(scene)


def test_a_client_may_go_before_the_next_process_has_offered_its_answer(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(it: Conversing) -> None:
        await it.ask()
        app = Writing()
        wait, app.looks = app.looks, asyncio.Event()
        await it.succeed(app)
        it.writer.close()
        while it.server.http:
            await asyncio.sleep(0)
        caplog.clear()
        app.looks.set()
        await it.say(b"to nobody", b"")
        while it.server.server_state.tasks:
            await asyncio.sleep(0)
        assert wait.is_set() and not caplog.records

    play(scene)


def test_a_client_that_has_gone_is_not_passed_on(play: Play) -> None:
    async def scene(it: Conversing) -> None:
        await it.ask()
        await it.head()
        it.writer.close()
        while it.server.http:
            await asyncio.sleep(0)
        await it.say(b"to nobody")
        assert await it.part() == ({}, {})

    play(scene)
