"""What the application has of a WebSocket connection, and its points, against a real server and a played transport."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
import websockets.frames
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.protocols.utils import ClientDisconnected
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import ConnectionClosedError

from gateway.config.schema import Limits
from gateway.handover.counters import count
from gateway.handover.ledger import Ledger
from gateway.handover.verdict import Adoption, Counters, Rejection, judge
from gateway.serving import bounded_websocket
from gateway.serving.scopes import CONNECTION
from gateway.serving.server import GatewayServer
from gateway.serving.websocket import Adopted, WebSocketProtocol
from tests import tcp
from tests.serving.carriers import (
    HANDSHAKE,
    Accepted,
    Accepting,
    Kept,
    asked,
    boundaries,
    masked,
    message,
    payload_of,
    run,
)
from tests.serving.leaving import leave
from tests.slack import LIMIT_S


def test_abort_drops_the_client_at_once() -> None:
    async def play(it: Accepted) -> None:
        async with connect(it.url) as client:
            await it.app.open.wait()
            assert it.app.connection is not None
            it.app.connection.abort()
            with pytest.raises(ConnectionClosedError):
                await client.recv()
            await it.app.ended.wait()

    run(play)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_a_message_of_any_length_arrives_as_it_is(length: int) -> None:
    async def play(it: Accepted) -> None:
        async with connect(it.url) as client:
            await it.app.open.wait()
            assert it.app.connection is not None
            it.app.connection.write([b"x" * length, "ü€😀".encode()])
            assert await client.recv() == "x" * length
            assert await client.recv() == "ü€😀"

    run(play)


def test_writing_is_paused_from_the_first_byte_that_is_not_taken() -> None:
    async def play(it: Accepted) -> None:
        resumed = asyncio.Event()
        async with connect(it.url, max_size=None) as client:
            await it.app.open.wait()
            connection = it.app.connection
            assert connection is not None
            connection.on_write_resumed = resumed.set
            count = 0
            while not connection.write_paused:
                connection.write([b"x" * 1_000_000])
                count += 1
            assert not resumed.is_set()
            for _ in range(count):
                assert len(await client.recv()) == 1_000_000
            await resumed.wait()
            assert not connection.write_paused

    run(play)


def test_nothing_is_written_after_the_end_and_the_end_resumes() -> None:
    async def play(it: Accepted) -> None:
        async with connect(it.url):
            await it.app.open.wait()
            connection = it.app.connection
            assert connection is not None
            resumed = asyncio.Event()
            connection.on_write_resumed = resumed.set
        await it.app.ended.wait()
        assert resumed.is_set() and not connection.write_paused
        connection.write([b"too late"])

    run(play)


@given(messages=st.lists(message(), max_size=5), data=st.data())
@settings(deadline=None)
def test_a_connection_is_at_rest_exactly_between_messages(
    ours: socket.socket, book: Ledger, messages: list[list[websockets.frames.Frame]], data: st.DataObject
) -> None:
    stream, ends = boundaries(messages)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)) | {len(stream)})

    async def play() -> None:
        it = Kept(ours, book)
        before = 0
        for cut in cuts:
            if cut > before:
                it.protocol.data_received(stream[before:cut])
                before = cut
            assert it.at_rest() is (cut in ends)
        assert it.inbox == [payload_of(frames) for frames in messages]
        it.entry.remove()

    asyncio.run(play())


@given(messages=st.lists(message(), min_size=1, max_size=4), data=st.data())
@settings(deadline=None)
def test_a_successor_receives_what_was_not_taken_and_nothing_twice(
    ours: socket.socket, book: Ledger, messages: list[list[websockets.frames.Frame]], data: st.DataObject
) -> None:
    stream, _ = boundaries(messages)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream)), max_size=4)))
    takes = data.draw(st.integers(0, len(messages)))

    async def play() -> None:
        it = Kept(ours, book)
        before = taken = 0
        for cut in [*cuts, None]:
            it.protocol.data_received(stream[before:cut]) if cut is None or cut > before else None
            while it.inbox and taken < takes:
                assert (await it.protocol.receive())["type"] == "websocket.receive"
                taken += 1
            if cut is None:
                break
            before = cut
            it.protocol.stop_reading()
            held = it.protocol.in_flight(9, [])
            it.entry.remove()
            it = Kept(ours, book, held.tail if held else b"")
        assert it.inbox == [payload_of(frames) for frames in messages][taken:]
        assert not it.wire.closing
        it.entry.remove()

    asyncio.run(play())


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(0, 2_000))
@settings(deadline=None)
def test_what_the_transport_has_not_taken_is_passed_on_to_the_byte(
    ours: socket.socket, book: Ledger, payloads: list[bytes], taken: int
) -> None:
    async def play() -> None:
        it = Kept(ours, book)
        it.wire.room = taken
        for payload in payloads:
            it.protocol.write([payload.hex().encode()])
        held = it.protocol.in_flight(9, [b"queued"])
        assert held is not None
        assert it.wire.written[:taken] + held.unsent == it.wire.written + b"\x81\x06queued"
        assert held.written - count(ours.fileno()).written == min(taken, len(it.wire.written))
        assert (held.seq, held.tail) == (9, b"")
        it.entry.remove()

    asyncio.run(play())


def test_a_message_is_under_way_from_the_moment_it_arrives(ours: socket.socket, book: Ledger) -> None:
    """Before the application has had its turn: a process that dies here has not answered."""

    async def play() -> None:
        it = Kept(ours, book)
        reader = asyncio.ensure_future(it.protocol.receive())
        await asyncio.sleep(0)  # it waits: the connection is at rest
        (rest,) = set(it.points)
        it.protocol.data_received(asked("question") + masked(9, b"ping"))
        it.protocol.write([b"an event"])
        assert set(it.points) <= {rest}
        assert (await reader)["text"] == b"question"
        it.under_way = True
        waiting = asyncio.ensure_future(it.protocol.receive())
        await asyncio.sleep(0)
        assert set(it.points) <= {rest}
        it.under_way = False
        it.protocol.write([b"answer"])
        assert max(it.points).read == rest.read + len(asked("question") + masked(9, b"ping"))
        waiting.cancel()

    asyncio.run(play())


def test_what_is_written_in_the_middle_of_something_may_be_followed_by_a_close_frame(
    ours: socket.socket, book: Ledger
) -> None:
    """The last two writes are known: the kernel has one of them, or both."""

    async def play() -> None:
        it = Kept(ours, book)
        reader = asyncio.ensure_future(it.protocol.receive())
        await asyncio.sleep(0)
        begun = it.points[0].written
        it.protocol.data_received(asked("question")[:5])
        for _ in range(3):
            it.protocol.write([b"event"])
        assert sorted(point.written - begun for point in it.noted) == [14, 21]
        counted = Counters(5, begun + 21, established=True)
        assert judge(counted, it.noted, None) == Rejection("unanswered", closable=True)
        assert judge(counted._replace(written=begun + 20), it.noted, None) == Rejection("half-sent", closable=False)
        reader.cancel()

    asyncio.run(play())


def test_a_point_is_written_before_the_bytes_that_lead_to_it(ours: socket.socket, book: Ledger) -> None:
    async def play() -> None:
        it = Kept(ours, book)
        reader = asyncio.ensure_future(it.protocol.receive())
        await asyncio.sleep(0)
        write, seen = it.wire.write, []

        def late(data: bytes) -> None:
            seen.append(max(it.points).written - count(ours.fileno()).written)
            write(data)

        it.wire.write = late  # type: ignore[method-assign]
        it.protocol.write([b"one"])
        it.protocol.write([b"two"])
        assert seen == [5, 10]
        reader.cancel()

    asyncio.run(play())


def test_while_something_is_unsent_nothing_is_at_rest(ours: socket.socket, book: Ledger) -> None:
    async def play() -> None:
        it = Kept(ours, book)
        reader = asyncio.ensure_future(it.protocol.receive())
        await asyncio.sleep(0)
        it.protocol.pause_writing()
        before = it.points
        it.protocol.write([b"one"])
        assert it.points == before
        it.protocol.resume_writing()
        assert max(it.points).written == max(before).written + 5
        reader.cancel()

    asyncio.run(play())


def test_once_held_nothing_more_is_given_out_but_the_end(ours: socket.socket, book: Ledger) -> None:
    async def play() -> None:
        it = Kept(ours, book)
        reader = asyncio.ensure_future(it.protocol.receive())
        await asyncio.sleep(0)
        it.protocol.data_received(asked("one") + asked("two"))
        it.protocol.stop_reading()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not reader.done() and it.inbox == ["one", "two"] and not it.wire.reading
        held = it.protocol.in_flight(9, [])
        assert held is not None and held.read == max(it.points).read + len(asked("one") + asked("two"))
        it.protocol.connections.discard(it.protocol)
        it.protocol.queue.put_nowait({"type": "websocket.disconnect", "code": 1005})
        assert (await reader)["type"] == "websocket.disconnect"

    asyncio.run(play())


def test_parting_at_rest_is_a_point_even_if_the_application_is_elsewhere(ours: socket.socket, book: Ledger) -> None:
    async def play() -> None:
        it = Kept(ours, book)
        it.protocol.data_received(asked("one"))
        assert (await it.protocol.receive())["text"] == b"one"
        it.protocol.stop_reading()
        assert it.protocol.in_flight(9, []) is None
        assert max(it.points).read == count(ours.fileno()).read + len(asked("one"))

    asyncio.run(play())


class Keeping(Accepting):
    """Keeps its connection as soon as it is open; somebody else has a duplicate of the descriptor, as systemd has."""

    def __init__(self, book: Ledger) -> None:
        super().__init__()
        self.book = book
        self.forgotten = 0
        self.copy = -1
        self.fault: Exception | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        connection = scope["extensions"][CONNECTION]["connection"]
        await receive()
        await send({"type": "websocket.accept"})
        entry = self.book.add(b"{}")
        assert entry is not None

        def forget() -> None:
            self.forgotten += 1
            entry.remove()

        self.copy = os.dup(connection.fd)
        connection.record_points(entry, lambda: 0, forget)
        self.connection = connection
        self.open.set()
        try:
            while (message := await receive())["type"] == "websocket.receive":
                if message.get("text") == b"end":
                    await send({"type": "websocket.close", "code": 1000})
                if message.get("text") == b"fail":
                    raise RuntimeError("on purpose")
        finally:
            asyncio.get_running_loop().call_soon(self.ended.set)


def ends(sock: socket.socket) -> bool:
    """Whether the peer sees the end of the connection, and soon."""
    sock.settimeout(5)
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


ENDS: dict[str, bytes | None] = {
    "a close frame": masked(8, b"\x03\xe8"),
    "our close frame": asked("end") + masked(8, b"\x03\xe8"),
    "a wrong frame": b"\x83\x80\0\0\0\0",
    "a frame too large": b"\x81\xff\x00\x00\x00\x00\x7f\xff\xff\xff\0\0\0\0",
    "no UTF-8": masked(1, b"\xff"),
    "a failing application": asked("fail"),
    "the client's half": None,
    "the client's reset": None,
    "our drop": None,
    "no pong": None,
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.filterwarnings("ignore:.*:ResourceWarning")
def test_however_it_ends_it_is_forgotten_and_the_peer_sees_the_end(
    how: str, loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Ledger()
    monkeypatch.setattr(bounded_websocket, "ABORT_S", 0.01)

    async def play() -> None:
        app = Keeping(book)
        server = GatewayServer(app, Limits)
        if how == "no pong":
            server.config.ws_ping_interval = server.config.ws_ping_timeout = 0.05
        listener = socket.create_server(("127.0.0.1", 0))
        await server.start([listener])
        client = socket.create_connection(listener.getsockname())
        client.sendall(HANDSHAKE + b"\r\n")
        await app.open.wait()
        assert len(list(book.inherited())) == 1 and app.connection is not None
        if how == "our drop":
            app.connection.abort()
        elif how == "the client's half":
            client.shutdown(socket.SHUT_WR)
        elif how == "the client's reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        elif message := ENDS[how]:
            client.sendall(message)
        await app.ended.wait()
        if client.fileno() >= 0:
            assert await asyncio.to_thread(ends, client)
            client.close()
        while server.server_state.connections:
            await asyncio.sleep(0.001)
        assert app.forgotten == 1 and not list(book.inherited())
        assert not count(app.copy).established
        os.close(app.copy)
        await leave(server)
        listener.close()
        await asyncio.sleep(0.01)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(play(), LIMIT_S))
    book.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_at_its_end_the_descriptor_is_still_ours(
    loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `connection_lost` would shut down what another one has opened under that number."""
    seen: list[tuple[int, bool]] = []
    shut = WebSocketProtocol._shut_down

    def looked_at(self: WebSocketProtocol) -> None:
        if self.fd >= 0:
            seen.append((self.fd, os.readlink(f"/proc/self/fd/{self.fd}").startswith("socket:")))
        shut(self)

    monkeypatch.setattr(WebSocketProtocol, "_shut_down", looked_at)

    async def play() -> None:
        for how in ("close", "abort"):
            ours, theirs = tcp.connected()
            number = ours.fileno()
            server = GatewayServer(Accepting(), Limits)
            server.config.load()
            made: list[WebSocketProtocol] = []

            def protocol(made: list[WebSocketProtocol] = made, **kwargs: Any) -> WebSocketProtocol:
                made.append(WebSocketProtocol(adopted=Adopted(Adoption(0), {}), **kwargs))
                return made[0]

            await server.adopt(ours.detach(), protocol)
            made[0].abort() if how == "abort" else theirs.close()
            await made[0].wait_closed()
            while server.server_state.connections or made[0].fd >= 0:
                await asyncio.sleep(0.001)
            assert seen == [(number, True)]
            made[0].drop()  # after its end it does nothing
            seen.clear()
            theirs.close()

    monkeypatch.setattr(Accepting, "__call__", Accepting.never, raising=False)
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(play(), LIMIT_S))


def test_what_is_passed_on_holds_up_reading_as_what_is_read() -> None:
    """uvloop begins to read after `connection_made`, even if that has asked it not to."""

    async def play() -> None:
        ours, theirs = tcp.connected()
        server = GatewayServer(Accepting(), Limits)
        server.config.load()
        made: list[WebSocketProtocol] = []

        def protocol(**kwargs: Any) -> WebSocketProtocol:
            made.append(WebSocketProtocol(adopted=Adopted(Adoption(0, asked("from before")), {}), **kwargs))
            return made[0]

        await server.adopt(ours.detach(), protocol)
        for _ in range(3):
            await asyncio.sleep(0)
        before = made[0]._points.read
        theirs.sendall(asked("from now"))
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert made[0]._points.read == before, "nobody has taken the first one"
        made[0].abort()
        await made[0].wait_closed()
        theirs.close()

    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        patch.setattr(Accepting, "__call__", Accepting.never, raising=False)
        runner.run(asyncio.wait_for(play(), LIMIT_S))


def test_the_control_sockets_clients_cannot_be_kept(tmp_path: Path) -> None:
    async def play() -> None:
        app = Accepting()
        server = GatewayServer(app, Limits)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "control"))
        listener.listen()
        await server.start([listener])
        async with unix_connect(str(tmp_path / "control")) as client:
            await app.open.wait()
            assert app.connection is not None and not app.connection.keepable
            await client.send("still served")
            assert await app.received.get() == 12
        await leave(server)
        listener.close()
        await asyncio.sleep(0.01)

    uvloop.run(asyncio.wait_for(play(), LIMIT_S))


def test_who_is_gone_before_the_accept_is_told_so_to_the_application(ours: socket.socket, book: Ledger) -> None:
    """uvicorn would log that the application had not completed the handshake."""

    async def play() -> None:
        it = Kept(ours, book)
        it.wire.closing = True
        with pytest.raises(ClientDisconnected):
            await it.protocol.send({"type": "websocket.accept"})

    asyncio.run(play())


def test_a_pong_says_nothing_of_what_came_with_its_ping(ours: socket.socket, book: Ledger) -> None:
    """The ping is answered before what was read with it is handed to the application."""

    async def play() -> None:
        for more in (asked("question"), masked(1, b"half", fin=False)):
            it = Kept(ours, book)
            reader = asyncio.ensure_future(it.protocol.receive())
            await asyncio.sleep(0)
            (rest,) = set(it.points)
            it.protocol.data_received(masked(9, b"ping") + more)
            assert set(it.points) <= {rest} and it.wire.written
            reader.cancel()

    asyncio.run(play())
