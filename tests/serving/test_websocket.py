"""The doors of a WebSocket connection, against a real server and the websockets library's client."""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
import websockets.frames
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.protocols.utils import ClientDisconnected
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateway.config.schema import Limits
from gateway.handover.counters import count
from gateway.handover.ledger import Ledger
from gateway.handover.verdict import Adopt, Counters, Point, Refuse, judge
from gateway.lifecycle.phases import Budgets
from gateway.protocol.limits import MAX_FRAME, MAX_HANDSHAKE_FRAME
from gateway.serving import websocket
from gateway.serving.scopes import CONNECTION
from gateway.serving.server import GatewayServer
from gateway.serving.websocket import Adopted, WebSocketProtocol
from tests import tcp


class Accepting:
    """Accepts, then does what it is told with the connection; tells the size of what it receives."""

    def __init__(self) -> None:
        self.connection: WebSocketProtocol | None = None
        self.open = asyncio.Event()
        self.ended = asyncio.Event()
        self.received: asyncio.Queue[int] = asyncio.Queue()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.connection = scope["extensions"][CONNECTION]["connection"]
        self.open.set()
        while (message := await receive())["type"] == "websocket.receive":
            self.received.put_nowait(len(message["text"]))
        await self.connection.wait_closed()
        self.ended.set()

    async def never(self, scope: Any, receive: Any, send: Any) -> None:
        """Take nothing, and wait for the end."""
        await scope["extensions"][CONNECTION]["connection"].wait_closed()


class Accepted:
    def __init__(self) -> None:
        self.app = Accepting()
        self.server = GatewayServer(self.app, Limits)
        self.listener = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        host, port = self.listener.getsockname()
        return f"ws://{host}:{port}/any/path"

    @property
    def unauthenticated(self) -> int:
        return self.server.server_state.unauthenticated.at("127.0.0.1")


async def nothing(grace: float) -> None: ...


def run(play: Callable[[Accepted], Awaitable[None]]) -> None:
    async def scene() -> None:
        it = Accepted()
        await it.server.start([it.listener])
        try:
            async with asyncio.timeout(10):
                await play(it)
        finally:
            await it.server.leave(Budgets(0, 0, 0, 0, 0), lambda: None, nothing)
            it.listener.close()
            for _ in range(5):  # transports report their end in the next turns of the loop
                await asyncio.sleep(0)

    asyncio.run(scene())


def test_a_client_is_a_stranger_until_it_has_said_who_it_is() -> None:
    async def play(it: Accepted) -> None:
        async with connect(it.url):
            await it.app.open.wait()
            assert it.unauthenticated == 1 and it.app.connection is not None
            it.app.connection.authenticated(MAX_FRAME)
            it.app.connection.authenticated(MAX_FRAME)
            assert it.unauthenticated == 0
        await it.app.ended.wait()
        assert it.unauthenticated == 0

    run(play)


def test_a_stranger_that_goes_gives_its_place_back() -> None:
    async def play(it: Accepted) -> None:
        async with connect(it.url):
            await it.app.open.wait()
        await it.app.ended.wait()
        assert it.unauthenticated == 0

    run(play)


def test_what_a_stranger_can_make_us_buffer_has_a_bound() -> None:
    async def play(it: Accepted) -> None:
        async with connect(it.url) as client:
            await client.send("x" * MAX_HANDSHAKE_FRAME)
            assert await it.app.received.get() == MAX_HANDSHAKE_FRAME
            with pytest.raises(ConnectionClosedError) as closed:
                await client.send("x" * (MAX_HANDSHAKE_FRAME + 1))
                await client.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009

    run(play)


def test_a_known_client_may_send_what_its_protocol_allows() -> None:
    async def play(it: Accepted) -> None:
        async with connect(it.url) as client:
            await it.app.open.wait()
            assert it.app.connection is not None
            it.app.connection.authenticated(MAX_FRAME)
            await client.send("x" * (MAX_HANDSHAKE_FRAME + 1))
            assert await it.app.received.get() == MAX_HANDSHAKE_FRAME + 1

    run(play)


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


def test_a_client_that_does_not_answer_pings_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "ABORT_S", 0.01)

    async def play(it: Accepted) -> None:
        it.server.config.ws_ping_interval = it.server.config.ws_ping_timeout = 0.05
        client = await connect(it.url)
        client.transport.pause_reading()  # frozen: neither pongs nor an answer to the close frame
        await it.app.open.wait()
        await it.app.ended.wait()
        assert it.unauthenticated == 0 and not it.server.server_state.connections
        client.transport.abort()
        await client.wait_closed()

    run(play)


@pytest.mark.parametrize("version", ["7", "13, 8", "x"])
def test_another_version_of_the_protocol_is_refused_and_counts_no_more(version: str) -> None:
    async def play(it: Accepted) -> None:
        reader, writer = await asyncio.open_connection(*it.listener.getsockname())
        writer.write(
            b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: " + version.encode() + b"\r\n\r\n"
        )
        answer = await reader.read()
        assert answer.split()[1] in (b"400", b"426")
        writer.close()
        while it.unauthenticated:
            await asyncio.sleep(0)
        assert not it.app.open.is_set()

    run(play)


def test_nothing_is_compressed() -> None:
    async def play(it: Accepted) -> None:
        async with connect(it.url) as client:
            assert client.response is not None and "Sec-WebSocket-Extensions" not in client.response.headers

    run(play)


def test_an_upgrade_without_a_key_is_refused() -> None:
    async def play(it: Accepted) -> None:
        with pytest.raises(InvalidStatus) as refused:
            await connect(it.url, additional_headers={"Sec-WebSocket-Key": "second"})
        assert refused.value.response.status_code == 400

    run(play)


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
)


@pytest.mark.parametrize(
    "more",
    [
        b"content-length: 5\r\n\r\nhello",
        b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"cookie: " + b"c" * 9000 + b"\r\n\r\n",
    ],
    ids=["body", "chunked body", "long cookie"],
)
def test_a_handshake_that_cannot_be_is_answered(more: bytes) -> None:
    async def play(it: Accepted) -> None:
        reader, writer = await asyncio.open_connection(*it.listener.getsockname())
        writer.write(HANDSHAKE + more)
        assert (await reader.read()).split()[1] == b"400"
        writer.close()
        while it.unauthenticated:
            await asyncio.sleep(0)

    run(play)


def masked(opcode: int, payload: bytes = b"", fin: bool = True) -> bytes:
    return bytes([(0x80 if fin else 0) | opcode, 0x80 | len(payload)]) + b"\0\0\0\0" + payload


def test_a_client_that_floods_pings_and_reads_nothing_is_dropped() -> None:
    async def play(it: Accepted) -> None:
        _, writer = await asyncio.open_connection(*it.listener.getsockname())
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(HANDSHAKE + b"\r\n")
        await it.app.open.wait()
        flood = masked(9, b"p" * 125) * 1000
        while not it.app.ended.is_set():
            writer.write(flood)
            await asyncio.sleep(0)
        assert not it.server.server_state.connections
        writer.close()

    run(play)


def test_fragments_at_the_bound_are_a_message_and_one_more_is_not() -> None:
    async def play(it: Accepted) -> None:
        for fragments in (websocket.MAX_FRAGMENTS + 1, websocket.MAX_FRAGMENTS + 2):  # the last one ends the message
            reader, writer = await asyncio.open_connection(*it.listener.getsockname())
            writer.write(HANDSHAKE + b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(masked(1, b"x", fin=False) + masked(0, fin=False) * (fragments - 2) + masked(0))
            if fragments == websocket.MAX_FRAGMENTS + 1:
                assert await it.app.received.get() == 1
            else:
                head = await reader.readexactly(4)
                assert head[0] == 0x88 and int.from_bytes(head[2:4], "big") == 1009
            writer.close()

    run(play)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_a_message_of_any_length_arrives_as_it_is(length: int) -> None:
    async def play(it: Accepted) -> None:
        async with connect(it.url) as client:
            await it.app.open.wait()
            assert it.app.connection is not None
            it.app.connection.write(["x" * length, "ü€😀"])
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
                connection.write(["x" * 1_000_000])
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
        connection.write(["too late"])

    run(play)


class Wire:
    """A transport that keeps what is written, and takes all of it unless it is told how much."""

    def __init__(self, ours: socket.socket) -> None:
        self.ours = ours
        self.written = b""
        self.room: int | None = None
        self.reading = True
        self.closing = False

    def get_extra_info(self, name: str) -> Any:
        return self.ours if name == "socket" else None

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 0

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0 if self.room is None else max(0, len(self.written) - self.room)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close


class Kept:
    """A connection that goes on from a predecessor's, with an application that takes nothing by itself."""

    def __init__(self, ours: socket.socket, book: Ledger, tail: bytes = b"", seq: int = 7) -> None:
        server = GatewayServer(self.never, Limits)
        server.config.load()
        self.wire = Wire(ours)
        self.forgotten = 0
        self.under_way = False
        self.protocol = WebSocketProtocol(
            config=server.config,
            server_state=server.server_state,
            app_state={},
            _loop=asyncio.get_running_loop(),
            adopted=Adopted(Adopt(seq, tail), {}),
        )
        self.protocol.connection_made(self.wire)  # type: ignore[arg-type]
        self.entry = book.enter(b"{}")
        assert self.entry is not None
        self.protocol.authenticated(MAX_FRAME)
        self.protocol.keep(self.entry, lambda: None if self.under_way else seq, self.forget)

    def forget(self) -> None:
        self.forgotten += 1

    async def never(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    @property
    def inbox(self) -> list[str | bytes]:
        server = ServerProtocol(state=State.OPEN, max_size=None)
        server.receive_data(b"".join(self.protocol.queue.unread()))  # type: ignore[attr-defined]
        frames = [each for each in server.events_received() if isinstance(each, websockets.frames.Frame)]
        return [bytes(each.data).decode() if each.opcode is Opcode.TEXT else bytes(each.data) for each in frames]

    def at_rest(self) -> bool:
        return not self.protocol._points._partial

    @property
    def noted(self) -> list[Point]:
        return [
            point for found in self.entry._ledger.found() if found.entry.id == self.entry.id for point in found.points
        ]

    @property
    def points(self) -> list[Point]:
        """Those at which it was at rest."""
        return [point for point in self.noted if point.seq]


@pytest.fixture(scope="module")
def ours() -> Iterator[socket.socket]:
    with tcp.pair() as (sock, _):
        yield sock


@pytest.fixture(scope="module")
def book() -> Iterator[Ledger]:
    ledger = Ledger()
    yield ledger
    ledger.close()


SIZES = st.sampled_from([0, 1, 5, 125, 126, 127, 300, 65_535, 65_536, 65_537])
CONTROL = st.sampled_from([websockets.frames.Frame(Opcode.PING, b"p"), websockets.frames.Frame(Opcode.PONG, b"")])


@st.composite
def message(draw: st.DrawFn) -> list[websockets.frames.Frame]:
    """One message as frames, perhaps with control frames between them."""
    opcode = draw(st.sampled_from([Opcode.TEXT, Opcode.TEXT, Opcode.BINARY]))
    sizes = draw(st.lists(SIZES, min_size=1, max_size=4))
    frames: list[websockets.frames.Frame] = []
    for number, size in enumerate(sizes):
        if number:
            frames += draw(st.lists(CONTROL, max_size=1))
        letter = bytes([draw(st.integers(97, 122))])
        frame = websockets.frames.Frame(Opcode.CONT if number else opcode, letter * size, fin=number == len(sizes) - 1)
        frames.append(frame)
    return frames + draw(st.lists(CONTROL, max_size=1))


def payload_of(frames: list[websockets.frames.Frame]) -> str | bytes:
    data = b"".join(frame.data for frame in frames if frame.opcode not in (Opcode.PING, Opcode.PONG))
    return data if frames[0].opcode is Opcode.BINARY else data.decode()


def boundaries(messages: list[list[websockets.frames.Frame]]) -> tuple[bytes, set[int]]:
    """All as a client sends it, and the places where no message is under way."""
    stream, ends = b"", {0}
    for frames in messages:
        whole = False
        for frame in frames:
            stream += frame.serialize(mask=True)
            whole |= frame.fin and frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
            if whole:
                ends.add(len(stream))
    return stream, ends


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


def cut(stream: bytes, places: set[int]) -> list[bytes]:
    ends = [*sorted(place for place in places if place < len(stream)), len(stream)]
    return [stream[before:end] for before, end in zip([0, *ends[:-1]], ends, strict=True)]


@given(pieces=st.lists(st.binary(max_size=3), min_size=1, max_size=14), places=st.sets(st.integers(1, 150), max_size=6))
@settings(deadline=None)
def test_fragments_beyond_the_bound_are_taken_as_long_as_they_carry_bytes(
    ours: socket.socket, book: Ledger, pieces: list[bytes], places: set[int]
) -> None:
    bound = 4
    last = len(pieces) - 1
    stream = b"".join(
        websockets.frames.Frame(Opcode.CONT if n else Opcode.BINARY, piece, fin=n == last).serialize(mask=True)
        for n, piece in enumerate(pieces)
    )
    welcome = all(pieces[bound:last])

    async def play() -> None:
        it = Kept(ours, book)
        for part in cut(stream, places):
            it.protocol.data_received(part)
            assert len(it.protocol.frames) <= bound + 1
        if welcome:
            assert it.inbox == [b"".join(pieces)] and not it.wire.closing
            it.entry.remove()
        else:
            assert it.inbox == [] and it.wire.closing and it.wire.written[2:4] == (1009).to_bytes(2, "big")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(websocket, "MAX_FRAGMENTS", bound)
        asyncio.run(play())


@pytest.mark.parametrize("more", [0, 1, 900])
def test_a_large_text_in_small_fragments_arrives(ours: socket.socket, book: Ledger, more: int) -> None:
    """4 MB in pieces of 1 KB, as a client streams a file; the last one is empty, as Node's `ws` ends a stream."""
    pieces = [b"x" * 1023] * (websocket.MAX_FRAGMENTS + more)

    async def play() -> None:
        it = Kept(ours, book)
        frames = [
            websockets.frames.Frame(Opcode.CONT if n else Opcode.TEXT, each, False) for n, each in enumerate(pieces)
        ]
        frames.append(websockets.frames.Frame(Opcode.CONT, b"", True))
        it.protocol.data_received(b"".join(frame.serialize(mask=True) for frame in frames))
        assert [len(text) for text in it.inbox] == [1023 * len(pieces)]
        it.entry.remove()

    asyncio.run(play())


@given(
    begun=st.lists(st.binary(max_size=3), max_size=3),
    close=st.sampled_from([b"", (1000).to_bytes(2, "big") + b"changed my mind", (4001).to_bytes(2, "big")]),
    places=st.sets(st.integers(1, 60), max_size=4),
)
@settings(deadline=None)
def test_a_close_in_the_middle_of_a_message_is_answered_as_any_other(
    ours: socket.socket, book: Ledger, begun: list[bytes], close: bytes, places: set[int]
) -> None:
    """RFC 6455, 5.4 and 5.5.1: with its own code, as Node's `ws` does it; what was begun never was."""
    stream = b"".join(
        websockets.frames.Frame(Opcode.CONT if n else Opcode.BINARY, piece, fin=False).serialize(mask=True)
        for n, piece in enumerate(begun)
    ) + websockets.frames.Frame(Opcode.CLOSE, close).serialize(mask=True)

    async def play() -> None:
        it = Kept(ours, book)
        for part in cut(stream, places):
            it.protocol.data_received(part)
        assert it.wire.written == bytes([0x88, len(close)]) + close and it.wire.closing
        assert it.inbox == [] and it.forgotten == 1

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
            held = it.protocol.part(9, [])
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
            it.protocol.write([payload.hex()])
        held = it.protocol.part(9, ["queued"])
        assert held is not None
        assert it.wire.written[:taken] + held.unsent == it.wire.written + b"\x81\x06queued"
        assert held.written - count(ours.fileno()).written == min(taken, len(it.wire.written))
        assert (held.seq, held.tail) == (9, b"")
        it.entry.remove()

    asyncio.run(play())


def asked(text: str) -> bytes:
    return websockets.frames.Frame(Opcode.TEXT, text.encode()).serialize(mask=True)


def test_a_message_is_under_way_from_the_moment_it_arrives(ours: socket.socket, book: Ledger) -> None:
    """Before the application has had its turn: a process that dies here has not answered."""

    async def play() -> None:
        it = Kept(ours, book)
        reader = asyncio.ensure_future(it.protocol.receive())
        await asyncio.sleep(0)  # it waits: the connection is at rest
        (rest,) = set(it.points)
        it.protocol.data_received(asked("question") + masked(9, b"ping"))
        it.protocol.write(["an event"])
        assert set(it.points) <= {rest}
        assert (await reader)["text"] == b"question"
        it.under_way = True
        waiting = asyncio.ensure_future(it.protocol.receive())
        await asyncio.sleep(0)
        assert set(it.points) <= {rest}
        it.under_way = False
        it.protocol.write(["answer"])
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
            it.protocol.write(["event"])
        assert sorted(point.written - begun for point in it.noted) == [14, 21]
        counted = Counters(5, begun + 21, established=True)
        assert judge(counted, it.noted, None) == Refuse("unanswered", closable=True)
        assert judge(counted._replace(written=begun + 20), it.noted, None) == Refuse("half-sent", closable=False)
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
        it.protocol.write(["one"])
        it.protocol.write(["two"])
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
        it.protocol.write(["one"])
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
        held = it.protocol.part(9, [])
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
        assert it.protocol.part(9, []) is None
        assert max(it.points).read == count(ours.fileno()).read + len(asked("one"))

    asyncio.run(play())


def test_bytes_that_trickle_in_cost_no_more_than_bytes(ours: socket.socket, book: Ledger) -> None:
    async def play() -> None:
        it = Kept(ours, book)
        frame = asked("x" * 60_000)
        for at in range(len(frame) - 1):
            it.protocol.data_received(frame[at : at + 1])
        assert it.protocol._behind() == frame[:-1]
        it.protocol.data_received(frame[-1:])
        assert it.protocol._behind() == b""

    asyncio.run(asyncio.wait_for(play(), 30))


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
        entry = self.book.enter(b"{}")
        assert entry is not None

        def forget() -> None:
            self.forgotten += 1
            entry.remove()

        self.copy = os.dup(connection.fd)
        connection.keep(entry, lambda: 0, forget)
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
    monkeypatch.setattr(websocket, "ABORT_S", 0.01)

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
        assert len(list(book.found())) == 1 and app.connection is not None
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
        assert app.forgotten == 1 and not list(book.found())
        assert not count(app.copy).established
        os.close(app.copy)
        await server.leave(Budgets(0, 0, 0, 0, 0), lambda: None, nothing)
        listener.close()
        await asyncio.sleep(0.01)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(play(), 10))
    book.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_at_its_end_the_descriptor_is_still_ours(
    loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `connection_lost` would shut down what another one has opened under that number."""
    seen: list[tuple[int, bool]] = []
    shut = WebSocketProtocol._shut

    def looked_at(self: WebSocketProtocol) -> None:
        if self.fd >= 0:
            seen.append((self.fd, os.readlink(f"/proc/self/fd/{self.fd}").startswith("socket:")))
        shut(self)

    monkeypatch.setattr(WebSocketProtocol, "_shut", looked_at)

    async def play() -> None:
        for how in ("close", "abort"):
            ours, theirs = tcp.connected()
            number = ours.fileno()
            server = GatewayServer(Accepting(), Limits)
            server.config.load()
            made: list[WebSocketProtocol] = []

            def protocol(made: list[WebSocketProtocol] = made, **kwargs: Any) -> WebSocketProtocol:
                made.append(WebSocketProtocol(adopted=Adopted(Adopt(0), {}), **kwargs))
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
        runner.run(asyncio.wait_for(play(), 10))


def test_what_is_passed_on_holds_up_reading_as_what_is_read() -> None:
    """uvloop begins to read after `connection_made`, even if that has asked it not to."""

    async def play() -> None:
        ours, theirs = tcp.connected()
        server = GatewayServer(Accepting(), Limits)
        server.config.load()
        made: list[WebSocketProtocol] = []

        def protocol(**kwargs: Any) -> WebSocketProtocol:
            made.append(WebSocketProtocol(adopted=Adopted(Adopt(0, asked("from before")), {}), **kwargs))
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
        runner.run(asyncio.wait_for(play(), 10))


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
        await server.leave(Budgets(0, 0, 0, 0, 0), lambda: None, nothing)
        listener.close()
        await asyncio.sleep(0.01)

    uvloop.run(asyncio.wait_for(play(), 10))


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
