"""Leaving: what had begun is finished, what is idle is closed, and nobody holds the others up.

These tests are also the contract with uvicorn, whose internals the server uses.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from gateway.config.schema import Limits
from gateway.lifecycle.phases import Budgets
from gateway.serving.http import HttpProtocol
from gateway.serving.server import ACCEPT_TURNS, GatewayServer, for_at_most, while_it_moves
from tests.serving.leaving import leave
from tests.slack import LIMIT_S

Scope = dict[str, Any]


class LetGo:
    """Answers when it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.size = 2

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        self.begun.set()
        await self.go.wait()
        head = [(b"content-length", b"%d" % self.size)]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"o" * self.size})


@asynccontextmanager
async def command(folder: Path) -> AsyncIterator[tuple["Leaving", asyncio.StreamReader, asyncio.StreamWriter]]:
    """A server on a control socket, which answers at once, and a client that has connected there."""
    path = str(folder / "control")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        control = Leaving()
        control.listener.close()
        control.app.go.set()
        await control.server.start([listener])
        yield control, *await asyncio.open_unix_connection(path)


class Leaving:
    def __init__(self) -> None:
        self.app = LetGo()
        self.server = GatewayServer(self.app, Limits)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.stopped = asyncio.Event()
        self.closed_with: float | None = None
        self.writers: list[asyncio.StreamWriter] = []

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.listener.getsockname())
        self.writers.append(writer)
        return reader, writer

    async def answered_client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client between two requests."""
        self.app.go.set()
        reader, writer = await self.client()
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
        return reader, writer

    async def close_websockets(self, grace: float) -> None:
        self.closed_with = grace

    def leave(self, budgets: Budgets | None = None) -> "asyncio.Future[None]":
        return asyncio.ensure_future(self._leave(budgets or Budgets()))

    async def _leave(self, budgets: Budgets) -> None:
        await self.server.drain(budgets)
        await leave(self.server, budgets, self.stopped.set, self.close_websockets)


def run(play: Callable[[Leaving], Awaitable[None]]) -> None:
    async def scene() -> None:
        it = Leaving()
        await it.server.start([it.listener])
        try:
            async with asyncio.timeout(LIMIT_S):
                await play(it)
        finally:
            it.app.go.set()
            for writer in it.writers:
                writer.close()
            await leave(it.server)
            it.listener.close()
            for _ in range(5):  # transports report their end in the next turns of the loop
                await asyncio.sleep(0)

    asyncio.run(scene())


FOREVER = 900.0
"""Who waits for this is cut off by the limit of `run`."""
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


def test_nobody_there_means_gone_in_a_breath() -> None:
    async def play(it: Leaving) -> None:
        await it.leave(Budgets(accept_grace=0.0))
        assert it.stopped.is_set() and it.closed_with == Budgets().close

    run(play)


def test_a_request_that_had_begun_is_answered_while_newcomers_are_served() -> None:
    async def play(it: Leaving) -> None:
        reader, writer = await it.client()
        writer.write(GET)
        await it.app.begun.wait()
        leaving = it.leave()
        it.app.begun.clear()
        _, late = await it.client()
        late.write(GET)
        await it.app.begun.wait()  # accepted and begun although we are about to leave
        assert not it.stopped.is_set() and not leaving.done()
        it.app.go.set()
        assert b"200 OK" in await reader.read()
        await leaving

    run(play)


def test_after_the_last_accept_newcomers_wait_in_the_kernels_queue() -> None:
    async def play(it: Leaving) -> None:
        it.app.go.set()
        await it.leave()
        reader, writer = await it.client()  # not refused: the listener itself is still open
        writer.write(GET)
        successor = GatewayServer(it.app, Limits)
        await successor.start([it.listener])
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        assert successor.server_state.waits.queued in (0, 1)
        await leave(successor)

    run(play)


def test_the_last_answer_says_that_the_connection_closes() -> None:
    async def play(it: Leaving) -> None:
        it.app.go.set()
        reader, writer = await it.client()
        writer.write(GET)
        assert b"close" not in await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
        it.server.stop_accepting()
        writer.write(GET)
        assert b"connection: close" in await reader.readuntil(b"\r\n\r\n")

    run(play)


def test_a_request_that_is_here_but_unread_is_answered() -> None:
    async def play(it: Leaving) -> None:
        reader, writer = await it.answered_client()
        [connection] = it.server.http
        writer.transport.write(GET)  # in the kernel at once; the server's loop has not turned since
        assert connection.leave() is True
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")

    run(play)


def test_an_idle_connection_is_closed_at_once() -> None:
    async def play(it: Leaving) -> None:
        reader, writer = await it.answered_client()
        await it.leave(Budgets(accept_grace=0.0))
        assert await reader.read() == b""

    run(play)


def test_a_client_that_never_ends_its_request_is_waited_for_no_longer_than_it_stands_still() -> None:
    async def play(it: Leaving) -> None:
        _, writer = await it.client()
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf")
        await it.app.begun.wait()
        await it.leave(Budgets(drain=FOREVER, stall_timeout=0.05, finish=FOREVER))

    run(play)


def test_a_client_that_never_reads_is_waited_for_no_longer_than_it_stands_still() -> None:
    async def play(it: Leaving) -> None:
        it.app.size = 20_000_000
        it.app.go.set()
        reader, writer = await it.client()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET)
        await it.app.begun.wait()
        await it.leave(Budgets(drain=FOREVER, stall_timeout=0.05, finish=FOREVER))

    run(play)


def test_work_of_ours_is_waited_for_until_the_budget_is_spent() -> None:
    async def play(it: Leaving) -> None:
        reader, writer = await it.client()
        writer.write(GET)
        await it.app.begun.wait()
        await it.leave(Budgets(drain=0.05, stall_timeout=0.01, accept_grace=0.0, finish=0.05))
        assert it.stopped.is_set()
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 503 " in head and b"retry-after" in head

    run(play)


class Still:
    progress = (1, 0)


def test_a_client_that_moves_is_told_from_one_that_stands_still() -> None:
    worth, connection = while_it_moves(1.0), Still()
    assert worth(connection, 100.0)  # type: ignore[arg-type]
    assert worth(connection, 100.9)  # type: ignore[arg-type]
    assert not worth(connection, 101.1)  # type: ignore[arg-type]
    connection.progress = (2, 0)
    assert worth(connection, 101.2)  # type: ignore[arg-type]


def test_in_the_gap_a_client_gets_its_time_and_no_more() -> None:
    worth, connection = for_at_most(0.3, since=100.0), Still()
    assert worth(connection, 100.29)  # type: ignore[arg-type]
    connection.progress = (2, 0)
    assert not worth(connection, 100.31)  # type: ignore[arg-type]


@pytest.mark.parametrize("trickle", [b"X-Slow: aaaa", b"x"])
def test_a_client_that_trickles_a_head_holds_nobody_up(trickle: bytes) -> None:
    async def play(it: Leaving) -> None:
        _, writer = await it.client()
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")

        async def forever() -> None:
            while True:
                writer.write(trickle)
                await asyncio.sleep(0.005)

        trickling = asyncio.ensure_future(forever())
        while not it.server.http or not it.server.http[0].received:
            await asyncio.sleep(0)
        await it.leave(Budgets(drain=FOREVER, stall_timeout=FOREVER, finish=FOREVER, client_turn=0.05))
        trickling.cancel()

    run(play)


# -- carried over a restart --------------------------------------------------------------------------------------------


QUICK = Budgets(drain=0.0, stall_timeout=0.0, accept_grace=0.0, finish=0.3, client_turn=0.05, close=0.0)


async def leave_carrying(it: Leaving) -> dict[str, int]:
    """Duplicates of what the successor gets; ours are closed, as the end of the process does it."""
    await leave(it.server, QUICK, it.stopped.set, it.close_websockets, carry=True)
    carried = {name: os.dup(fd) for name, fd in it.server.carried()[0].items()}
    for connection in it.server.http:
        connection.transport.abort()
    return carried


async def go_on(carried: dict[str, int], limits: Limits | None = None) -> GatewayServer:
    """A successor that answers at once."""
    app = LetGo()
    app.go.set()
    app.size = 9
    server = GatewayServer(app, lambda: limits or Limits())
    server.config.load()
    for fd in carried.values():
        await server.adopt(fd, partial(HttpProtocol, adopted=True))
    return server


async def end(server: GatewayServer) -> None:
    for connection in server.http:
        connection.transport.abort()
    while server.server_state.connections:
        await asyncio.sleep(0)


NINE = b"content-length: 9"


def test_an_idle_connection_goes_on_in_the_successor() -> None:
    async def play(it: Leaving) -> None:
        reader, writer = await it.answered_client()
        carried = await leave_carrying(it)
        assert list(carried) == ["http-0"]
        server = await go_on(carried)
        assert server.server_state.waits.queued == 0, "it has not waited for this process"
        writer.write(GET)
        assert NINE in await reader.readuntil(b"\r\n\r\n")
        await end(server)

    run(play)


def test_a_request_that_comes_meanwhile_is_answered_by_the_successor() -> None:
    async def play(it: Leaving) -> None:
        reader, writer = await it.answered_client()
        leaving = asyncio.ensure_future(leave_carrying(it))
        await it.stopped.wait()
        while any(each.transport.is_reading() for each in it.server.http):
            await asyncio.sleep(0)
        writer.write(GET)
        server = await go_on(await leaving)
        assert NINE in await reader.readuntil(b"\r\n\r\n")
        await end(server)

    run(play)


def test_a_request_under_way_is_answered_and_its_connection_goes_on() -> None:
    async def play(it: Leaving) -> None:
        reader, writer = await it.client()
        writer.write(GET)
        await it.app.begun.wait()
        leaving = asyncio.ensure_future(leave_carrying(it))
        await it.stopped.wait()
        it.app.go.set()
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head and b"connection: close" not in head
        await reader.readexactly(2)
        server = await go_on(await leaving)
        writer.write(GET)
        assert NINE in await reader.readuntil(b"\r\n\r\n")
        await end(server)

    run(play)


@pytest.mark.parametrize(
    "sent", [b"GET / HT", GET + GET + b"GE", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhal"]
)
def test_half_a_request_is_not_carried_but_refused(sent: bytes) -> None:
    async def play(it: Leaving) -> None:
        it.app.go.set()
        reader, writer = await it.client()
        writer.write(sent)
        while not it.server.http or not it.server.http[0].received:
            await asyncio.sleep(0)
        assert await leave_carrying(it) == {}
        assert b"503 Service Unavailable" in await reader.read()

    run(play)


def test_a_carried_connection_is_not_ended_for_what_its_process_could_not_see() -> None:
    async def play(it: Leaving) -> None:
        it.server.server_state.limits = lambda: Limits(keep_alive_ms=20)
        reader, writer = await it.answered_client()
        await leave(it.server, QUICK, it.stopped.set, it.close_websockets, carry=True)
        writer.write(GET)
        await asyncio.sleep(0.05)
        assert len(it.server.carried()[0]) == 1
        server = await go_on({name: os.dup(fd) for name, fd in it.server.carried()[0].items()})
        assert NINE in await reader.readuntil(b"\r\n\r\n")
        await end(server)

    run(play)


def test_an_adopted_connection_has_its_place_and_its_time() -> None:
    async def play(it: Leaving) -> None:
        reader, _ = await it.answered_client()
        second, _ = await it.answered_client()
        carried = await leave_carrying(it)
        server = await go_on(carried, Limits(max_connections_per_address=1, head_timeout_ms=20))
        assert server.server_state.unauthenticated.at("127.0.0.1") == 1
        answers = await asyncio.gather(reader.read(), second.read())
        assert answers == [b"", b""]  # one has given way to the other, which has said nothing in time
        await end(server)
        assert server.server_state.unauthenticated.at("127.0.0.1") == 0

    run(play)


def test_a_command_that_has_connected_and_said_nothing_yet_is_waited_for(tmp_path: Path) -> None:
    async def play(it: Leaving) -> None:
        async with command(tmp_path) as (control, reader, writer):
            while not control.server.http:
                await asyncio.sleep(0)
            control.server.server_state.carry = True
            control.server.stop_accepting()
            newest = asyncio.ensure_future(control.server.read_newest(FOREVER))
            for _ in range(2 * ACCEPT_TURNS):
                await asyncio.sleep(0)
            assert not newest.done()
            writer.write(GET)
            await newest
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await leave(control.server)

    run(play)


def test_the_control_sockets_clients_are_not_carried(tmp_path: Path) -> None:
    async def play(it: Leaving) -> None:
        async with command(tmp_path) as (control, reader, writer):
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            assert await leave_carrying(control) == {}
            assert await reader.read() == b"oo"
            writer.close()

    run(play)


def test_what_we_use_of_uvicorn_is_there() -> None:
    server = uvicorn.Server(uvicorn.Config(lambda: None, log_config=None))
    for name in ("startup", "on_tick", "server_state", "config"):
        assert hasattr(server, name)
    assert server.server_state.connections == set()
