"""The doors of a WebSocket connection, against a real server and the websockets library's client."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from gateway.config.schema import Limits
from gateway.lifecycle.phases import Budgets
from gateway.serving import websocket
from gateway.serving.server import GatewayServer
from gateway.serving.websocket import EXTENSION, STRANGER_MESSAGE_BYTES, WebSocketProtocol


class Application:
    """Accepts, then does what it is told with the connection; tells the size of what it receives."""

    def __init__(self) -> None:
        self.connection: WebSocketProtocol | None = None
        self.open = asyncio.Event()
        self.ended = asyncio.Event()
        self.received: asyncio.Queue[int] = asyncio.Queue()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.connection = scope["extensions"][EXTENSION]["connection"]
        self.open.set()
        while (message := await receive())["type"] == "websocket.receive":
            self.received.put_nowait(len(message["text"]))
        await self.connection.wait_closed()
        self.ended.set()


class Scene:
    def __init__(self) -> None:
        self.app = Application()
        self.server = GatewayServer(self.app, Limits)
        self.listener = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        host, port = self.listener.getsockname()
        return f"ws://{host}:{port}/any/path"

    @property
    def strangers(self) -> int:
        return self.server.server_state.admission.held("127.0.0.1")


async def nothing(grace: float) -> None: ...


def run(play: Callable[[Scene], Awaitable[None]]) -> None:
    async def scene() -> None:
        it = Scene()
        await it.server.start([it.listener])
        try:
            async with asyncio.timeout(10):
                await play(it)
        finally:
            await it.server.leave(Budgets(0, 0, 0, 0, 0), lambda: None, nothing)
            it.listener.close()
            await asyncio.sleep(0.01)  # transports report their end in the next turns of the loop

    asyncio.run(scene())


def test_a_client_is_a_stranger_until_it_has_said_who_it_is() -> None:
    async def play(it: Scene) -> None:
        async with connect(it.url):
            await it.app.open.wait()
            assert it.strangers == 1 and it.app.connection is not None
            it.app.connection.authenticated()
            it.app.connection.authenticated()
            assert it.strangers == 0
        await it.app.ended.wait()
        assert it.strangers == 0

    run(play)


def test_a_stranger_that_goes_gives_its_place_back() -> None:
    async def play(it: Scene) -> None:
        async with connect(it.url):
            await it.app.open.wait()
        await it.app.ended.wait()
        assert it.strangers == 0

    run(play)


def test_what_a_stranger_can_make_us_buffer_has_a_bound() -> None:
    async def play(it: Scene) -> None:
        async with connect(it.url) as client:
            await client.send("x" * STRANGER_MESSAGE_BYTES)
            assert await it.app.received.get() == STRANGER_MESSAGE_BYTES
            with pytest.raises(ConnectionClosedError) as closed:
                await client.send("x" * (STRANGER_MESSAGE_BYTES + 1))
                await client.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009

    run(play)


def test_a_known_client_may_send_what_its_protocol_allows() -> None:
    async def play(it: Scene) -> None:
        async with connect(it.url) as client:
            await it.app.open.wait()
            assert it.app.connection is not None
            it.app.connection.authenticated()
            await client.send("x" * (STRANGER_MESSAGE_BYTES + 1))
            assert await it.app.received.get() == STRANGER_MESSAGE_BYTES + 1

    run(play)


def test_abort_drops_the_client_at_once() -> None:
    async def play(it: Scene) -> None:
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

    async def play(it: Scene) -> None:
        it.server.config.ws_ping_interval = it.server.config.ws_ping_timeout = 0.05
        client = await connect(it.url)
        client.transport.pause_reading()  # frozen: neither pongs nor an answer to the close frame
        await it.app.open.wait()
        await it.app.ended.wait()
        assert it.strangers == 0 and not it.server.server_state.connections
        client.transport.abort()
        await client.wait_closed()

    run(play)


@pytest.mark.parametrize("version", ["7", "13, 8", "x"])
def test_another_version_of_the_protocol_is_refused_and_counts_no_more(version: str) -> None:
    async def play(it: Scene) -> None:
        reader, writer = await asyncio.open_connection(*it.listener.getsockname())
        writer.write(
            b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: " + version.encode() + b"\r\n\r\n"
        )
        answer = await reader.read()
        assert answer.split()[1] in (b"400", b"426")
        writer.close()
        while it.strangers:
            await asyncio.sleep(0)
        assert not it.app.open.is_set()

    run(play)


def test_nothing_is_compressed() -> None:
    async def play(it: Scene) -> None:
        async with connect(it.url) as client:
            assert client.response is not None and "Sec-WebSocket-Extensions" not in client.response.headers

    run(play)


def test_an_upgrade_without_a_key_is_refused() -> None:
    async def play(it: Scene) -> None:
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
    async def play(it: Scene) -> None:
        reader, writer = await asyncio.open_connection(*it.listener.getsockname())
        writer.write(HANDSHAKE + more)
        assert (await reader.read()).split()[1] == b"400"
        writer.close()
        while it.strangers:
            await asyncio.sleep(0)

    run(play)


def masked(opcode: int, payload: bytes = b"", fin: bool = True) -> bytes:
    return bytes([(0x80 if fin else 0) | opcode, 0x80 | len(payload)]) + b"\0\0\0\0" + payload


def test_a_client_that_floods_pings_and_reads_nothing_is_dropped() -> None:
    async def play(it: Scene) -> None:
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
    async def play(it: Scene) -> None:
        for fragments in (websocket.MAX_FRAGMENTS, websocket.MAX_FRAGMENTS + 1):
            reader, writer = await asyncio.open_connection(*it.listener.getsockname())
            writer.write(HANDSHAKE + b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(masked(1, b"x", fin=False) + masked(0, fin=False) * (fragments - 2) + masked(0))
            if fragments == websocket.MAX_FRAGMENTS:
                assert await it.app.received.get() == 1
            else:
                head = await reader.readexactly(4)
                assert head[0] == 0x88 and int.from_bytes(head[2:4], "big") == 1009
            writer.close()

    run(play)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_a_message_of_any_length_arrives_as_it_is(length: int) -> None:
    async def play(it: Scene) -> None:
        async with connect(it.url) as client:
            await it.app.open.wait()
            assert it.app.connection is not None
            it.app.connection.write(["x" * length, "ü€😀"])
            assert await client.recv() == "x" * length
            assert await client.recv() == "ü€😀"

    run(play)


def test_writing_is_paused_from_the_first_byte_that_is_not_taken() -> None:
    async def play(it: Scene) -> None:
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
    async def play(it: Scene) -> None:
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
