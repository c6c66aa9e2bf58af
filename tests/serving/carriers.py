"""WebSocket connections on a real server, and kept ones on a played transport."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import websockets.frames
from hypothesis import strategies as st
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateway.config.schema import Limits
from gateway.handover.ledger import Ledger
from gateway.handover.verdict import Adoption, Point
from gateway.protocol.limits import MAX_FRAME
from gateway.serving.scopes import CONNECTION
from gateway.serving.server import GatewayServer
from gateway.serving.websocket import Adopted, WebSocketProtocol
from tests.serving.leaving import leave
from tests.slack import LIMIT_S


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


def run(play: Callable[[Accepted], Awaitable[None]]) -> None:
    async def scene() -> None:
        it = Accepted()
        await it.server.start([it.listener])
        try:
            async with asyncio.timeout(LIMIT_S):
                await play(it)
        finally:
            await leave(it.server)
            it.listener.close()
            for _ in range(5):  # transports report their end in the next turns of the loop
                await asyncio.sleep(0)

    asyncio.run(scene())


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
)


def masked(opcode: int, payload: bytes = b"", fin: bool = True) -> bytes:
    return bytes([(0x80 if fin else 0) | opcode, 0x80 | len(payload)]) + b"\0\0\0\0" + payload


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

    def get_protocol(self) -> None: ...

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
            adopted=Adopted(Adoption(seq, tail), {}),
        )
        self.protocol.connection_made(self.wire)  # type: ignore[arg-type]
        self.entry = book.add(b"{}")
        assert self.entry is not None
        self.protocol.authenticated(MAX_FRAME)
        self.protocol.record_points(self.entry, lambda: None if self.under_way else seq, self.forget)

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
        return not self.protocol._is_partial

    @property
    def noted(self) -> list[Point]:
        return [
            point
            for found in self.entry._ledger.inherited()
            if found.entry.id == self.entry.id
            for point in found.points
        ]

    @property
    def points(self) -> list[Point]:
        """Those at which it was at rest."""
        return [point for point in self.noted if point.seq]


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


def cut(stream: bytes, places: set[int]) -> list[bytes]:
    ends = [*sorted(place for place in places if place < len(stream)), len(stream)]
    return [stream[before:end] for before, end in zip([0, *ends[:-1]], ends, strict=True)]


def asked(text: str) -> bytes:
    return websockets.frames.Frame(Opcode.TEXT, text.encode()).serialize(mask=True)
