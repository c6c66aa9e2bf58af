"""What a WebSocket client may send, against a real server and on a played transport."""

import asyncio
import socket

import pytest
import websockets.frames
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Opcode

from gateway.handover.ledger import Ledger
from gateway.protocol.limits import MAX_FRAME, MAX_HANDSHAKE_FRAME
from gateway.serving import bounded_websocket
from tests.serving.carriers import (
    HANDSHAKE,
    Accepted,
    Kept,
    asked,
    cut,
    masked,
    run,
)
from tests.slack import LIMIT_S


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


def test_a_client_that_does_not_answer_pings_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_websocket, "ABORT_S", 0.01)

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
        for fragments in (
            bounded_websocket.MAX_FRAGMENTS + 1,
            bounded_websocket.MAX_FRAGMENTS + 2,
        ):  # the last one ends the message
            reader, writer = await asyncio.open_connection(*it.listener.getsockname())
            writer.write(HANDSHAKE + b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(masked(1, b"x", fin=False) + masked(0, fin=False) * (fragments - 2) + masked(0))
            if fragments == bounded_websocket.MAX_FRAGMENTS + 1:
                assert await it.app.received.get() == 1
            else:
                head = await reader.readexactly(4)
                assert head[0] == 0x88 and int.from_bytes(head[2:4], "big") == 1009
            writer.close()

    run(play)


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
        patch.setattr(bounded_websocket, "MAX_FRAGMENTS", bound)
        asyncio.run(play())


@pytest.mark.parametrize("more", [0, 1, 900])
def test_a_large_text_in_small_fragments_arrives(ours: socket.socket, book: Ledger, more: int) -> None:
    """4 MB in pieces of 1 KB, as a client streams a file; the last one is empty, as Node's `ws` ends a stream."""
    pieces = [b"x" * 1023] * (bounded_websocket.MAX_FRAGMENTS + more)

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


def test_bytes_that_trickle_in_cost_no_more_than_bytes(ours: socket.socket, book: Ledger) -> None:
    async def play() -> None:
        it = Kept(ours, book)
        frame = asked("x" * 60_000)
        for at in range(len(frame) - 1):
            it.protocol.data_received(frame[at : at + 1])
        assert it.protocol._unparsed() == frame[:-1]
        it.protocol.data_received(frame[-1:])
        assert it.protocol._unparsed() == b""

    asyncio.run(asyncio.wait_for(play(), LIMIT_S))
