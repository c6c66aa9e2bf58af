"""RFC 6455 frame by frame, against the whole gateway: what is allowed works, what is not gets the RFC's close code.

In every case the connection ends, or goes on answering; and the log stays quiet.
"""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.protocol.limits import KIB
from tests.wire.raw import (
    BINARY,
    CLOSE,
    CONT,
    HEAD,
    PING,
    PONG,
    TEXT,
    Frame,
    RawClient,
    RawScene,
    close,
    connect_request,
    faults,
    frame,
    request,
    run,
    text,
)

ASK = json.dumps(request(method="Grüße 😀"), ensure_ascii=False).encode()
UNKNOWN = "unknown method: Grüße 😀"
HALF = len(ASK) // 2
HEART = ASK.index("😀".encode()) + 2
"""In the middle of a character."""
BIG = b"[" + b" " * (64 * KIB - 1) + b"]"


@pytest.fixture(autouse=True)
def quick_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was refused, and waits for the end of the connection, does not wait for a second."""
    monkeypatch.setattr("gateway.serving.bounded_http.LINGER_S", 0.05)


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG, "gateway")
    caplog.set_level(logging.ERROR, "uvicorn")  # as the gateway sets it
    yield
    assert faults(caplog.get_records("call")) == []


def pieces(data: bytes, count: int) -> bytes:
    """A message in so many fragments, the last ones empty if there are too few bytes."""
    cuts = [data[i : i + 1] for i in range(count - 1)]
    parts = [*cuts, data[count - 1 :]]
    return b"".join(frame(CONT if number else TEXT, part, fin=number == count - 1) for number, part in enumerate(parts))


ANSWERED = {
    "one frame": text(ASK),
    "two fragments": frame(TEXT, ASK[:HALF], fin=False) + frame(CONT, ASK[HALF:]),
    "fragments that halve a character": frame(TEXT, ASK[:HEART], fin=False) + frame(CONT, ASK[HEART:]),
    "a fragment for each byte": pieces(ASK, len(ASK)),
    "1000 fragments": pieces(ASK, 1000),
    "an empty first fragment": frame(TEXT, b"", fin=False) + frame(CONT, ASK),
    "an empty last fragment": frame(TEXT, ASK, fin=False) + frame(CONT),
    "empty fragments in between": frame(TEXT, ASK[:9], fin=False) + 3 * frame(CONT, fin=False) + frame(CONT, ASK[9:]),
    "a ping between fragments": frame(TEXT, ASK[:9], fin=False) + frame(PING, b"p") + frame(CONT, ASK[9:]),
    "a pong between fragments": frame(TEXT, ASK[:9], fin=False) + frame(PONG, b"p") + frame(CONT, ASK[9:]),
    "an unsolicited pong": frame(PONG, b"never asked for") + text(ASK),
    "an empty message": text(b"") + text(ASK),
    "an empty message in fragments": frame(TEXT, fin=False) + frame(CONT) + text(ASK),
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("case", ANSWERED)
def test_what_is_allowed_is_answered(case: str, bytewise: bool) -> None:
    async def play(it: RawScene) -> None:
        client = await it.greeted()
        data = ANSWERED[case]
        for start in range(0, len(data), 1) if bytewise and len(data) < 2000 else [0]:
            client.send(data[start : start + 1] if bytewise and len(data) < 2000 else data)
            if bytewise:
                await asyncio.sleep(0)
        assert (await client.answer())["error"]["message"] == UNKNOWN

    run(play)


def test_every_ping_gets_its_own_words_back() -> None:
    async def play(it: RawScene) -> None:
        client = await it.client()
        await client.upgrade()
        assert (await client.next()) is not None  # the challenge
        payloads = [bytes([size]) * size for size in range(126)]
        client.send(b"".join(frame(PING, payload) for payload in payloads))
        for payload in payloads:
            assert await client.next() == Frame(PONG, payload, 0x80 | PONG)

    run(play)


REFUSED = {
    "a ping of 126 bytes": (frame(PING, b"p" * 126), 1002),
    "a pong of 126 bytes": (frame(PONG, b"p" * 126), 1002),
    "a close of 126 bytes": (close(1000, b"r" * 124), 1002),
    "a fragmented ping": (frame(PING, b"p", fin=False), 1002),
    "a fragmented close": (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
    "a control frame that is continued": (frame(PING, b"p", fin=False) + frame(CONT, b"q"), 1002),
    **{f"reserved bits {bits:03b}": (frame(TEXT, ASK, rsv=bits), 1002) for bits in range(1, 8)},
    "a reserved bit of a ping": (frame(PING, b"p", rsv=4), 1002),
    "a reserved bit of a continuation": (frame(TEXT, ASK[:9], fin=False) + frame(CONT, ASK[9:], rsv=4), 1002),
    **{f"reserved opcode {opcode}": (frame(opcode, ASK), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "an unmasked text": (frame(TEXT, ASK, mask=False), 1002),
    "an unmasked ping": (frame(PING, mask=False), 1002),
    "an unmasked close": (frame(CLOSE, b"\x03\xe8", mask=False), 1002),
    "a continuation of nothing": (frame(CONT, ASK), 1002),
    "a first continuation that is not the last": (frame(CONT, ASK, fin=False), 1002),
    "a continuation after the last": (text(ASK) + frame(CONT, b"more"), 1002),
    "a text within a fragmented text": (frame(TEXT, ASK[:9], fin=False) + text(ASK), 1002),
    "a binary within a fragmented text": (frame(TEXT, ASK[:9], fin=False) + frame(BINARY, ASK), 1002),
    "binary": (frame(BINARY, ASK), 1003),
    "an empty binary": (frame(BINARY), 1003),
    "binary in fragments": (frame(BINARY, ASK[:9], fin=False) + frame(CONT, ASK[9:]), 1003),
    "no UTF-8": (text(b'"\xff\xfe"'), 1007),
    "an overlong character": (text(b'"\xc0\xaf"'), 1007),
    "half a surrogate pair": (text(b'"\xed\xa0\x80"'), 1007),
    "a code point beyond the last": (text(b'"\xf4\x90\x80\x80"'), 1007),
    "no UTF-8 in a later fragment": (frame(TEXT, b'"a', fin=False) + frame(CONT, b'\xff"'), 1007),
    "a character that ends too early": (text('"é'.encode()[:-1]), 1007),
    "a character that ends too early, in fragments": (
        frame(TEXT, b'"', fin=False) + frame(CONT, "😀".encode()[:3], fin=False) + frame(CONT),
        1007,
    ),
    "a close with half a code": (frame(CLOSE, b"\x03"), 1002),
    "a close whose reason is no UTF-8": (close(1000, b"\xff"), 1007),
}


@pytest.mark.parametrize("greeted", [False, True], ids=["before hello", "after hello"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_allowed_ends_the_connection(case: str, greeted: bool) -> None:
    data, code = REFUSED[case]

    async def play(it: RawScene) -> None:
        client = await it.client()
        await client.upgrade()
        if greeted:
            await client.hello()
        elif data.startswith(text(ASK)):
            return  # a request before hello is refused on its own account
        client.send(data)
        assert await client.end() == code
        await it.empty()

    run(play)


ECHOED = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
INVALID = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", ECHOED)
@pytest.mark.parametrize("reason", [b"", "grüß dich".encode(), b"r" * 123], ids=["bare", "reason", "longest"])
def test_a_close_is_answered_with_its_code(code: int, reason: bytes) -> None:
    async def play(it: RawScene) -> None:
        client = await it.greeted()
        client.send(close(code, reason))
        assert await client.end() == code
        await it.empty()

    run(play)


@pytest.mark.parametrize("code", INVALID)
def test_a_close_with_a_code_that_cannot_be_is_a_protocol_error(code: int) -> None:
    async def play(it: RawScene) -> None:
        client = await it.greeted()
        client.send(close(code))
        assert await client.end() == 1002
        await it.empty()

    run(play)


def test_a_close_without_a_code_is_answered_without_one() -> None:
    async def play(it: RawScene) -> None:
        client = await it.greeted()
        client.send(frame(CLOSE))
        while (got := await client.next()) is not None and got.opcode != CLOSE:
            pass
        assert got == Frame(CLOSE, b"", 0x80 | CLOSE)
        assert await client.next() is None
        await it.empty()

    run(play)


def test_what_follows_a_close_is_not_read() -> None:
    async def play(it: RawScene) -> None:
        client = await it.greeted()
        client.send(close(1000) + text(request(method="gateway.restart.request")) + frame(PING, b"p") + close(1002))
        assert await client.end() == 1000
        await it.empty()
        assert it.core.asked == []

    run(play)


@pytest.mark.parametrize("code", [1000, 999], ids=["right", "wrong"])
def test_our_own_close_ends_with_the_clients_answer_right_or_wrong(code: int) -> None:
    async def play(it: RawScene) -> None:
        client = await it.greeted()
        client.send(frame(BINARY, b"x"))
        while (got := await client.next()) is not None and got.opcode != CLOSE:
            pass
        assert got is not None and got.code == 1003
        client.send(text(ASK) + frame(PING) + close(code))
        while (got := await client.next()) is not None:
            assert got.opcode == PONG  # but no data, and no second close
        await it.empty()

    run(play)


@pytest.mark.parametrize("greeted", [False, True], ids=["before hello", "after hello"])
def test_a_client_that_shuts_its_half_is_gone(greeted: bool) -> None:
    async def play(it: RawScene) -> None:
        client = await it.client()
        await client.upgrade()
        if greeted:
            await client.hello()
        client.shut_half()
        await client.end()
        await it.empty()

    run(play)


@pytest.mark.parametrize("cut", [1, 2, 3, 6, 10])
def test_a_frame_that_breaks_off_leaves_nothing(cut: int) -> None:
    async def play(it: RawScene) -> None:
        client = await it.greeted()
        client.send(frame(TEXT, b"x" * 300)[:cut])
        client.shut_half()
        await client.end()
        await it.empty()

    run(play)


def padded(value: dict[str, object], size: int) -> bytes:
    data = json.dumps(value).encode()
    return data + b" " * (size - len(data))


def fragments(data: bytes, size: int) -> bytes:
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    last = len(parts) - 1
    return b"".join(frame(CONT if n else TEXT, part, fin=n == last) for n, part in enumerate(parts))


@pytest.mark.parametrize("split", [False, True], ids=["one frame", "fragments"])
@pytest.mark.parametrize("over", [0, 1])
def test_the_largest_frame_before_hello(over: int, split: bool) -> None:
    async def play(it: RawScene) -> None:
        client = await it.client()
        await client.upgrade()
        data = padded(connect_request(), 64 * KIB + over)
        client.send(fragments(data, 10_000) if split else text(data))
        if over:
            assert await client.end() == 1009
        else:
            assert (await client.answer("hello"))["ok"]

    run(play)


@pytest.mark.parametrize("split", [False, True], ids=["one frame", "fragments"])
@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize(("protocol", "size"), [(3, 512 * KIB), (4, 25 * KIB * KIB)])
def test_the_largest_frame_after_hello(protocol: int, size: int, over: int, split: bool) -> None:
    async def play(it: RawScene) -> None:
        client = await it.greeted(protocol)
        data = padded(request(), size + over)
        client.send(fragments(data, size // 7) if split else text(data))
        if over:
            assert await client.end() == 1009
        else:
            assert (await client.answer())["ok"]

    run(play)


def test_a_length_that_nobody_can_send_is_refused_by_its_head_alone() -> None:
    async def play(it: RawScene) -> None:
        for size, code in ((2**62, 1009), (2**63, 1009), (2**64 - 1, 1009)):
            client = await it.greeted()
            client.send(bytes([0x81, 0xFF]) + size.to_bytes(8, "big") + b"\0\0\0\0")
            assert await client.end() == code

    run(play)


KEY = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
V13 = b"sec-websocket-version: 13\r\n"
UPGRADE = b"upgrade: websocket\r\nconnection: upgrade\r\n"
GET = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n"
HANDSHAKES = {
    "the plain one": (GET + UPGRADE + KEY + V13, 101),
    "any case": (GET + b"UPGRADE: WebSocket\r\nCONNECTION: Keep-Alive, UPGRADE\r\n" + KEY + V13, 101),
    "any path": (b"GET /any/path?x=1 HTTP/1.1\r\nhost: 127.0.0.1\r\n" + UPGRADE + KEY + V13, 101),
    "a subprotocol": (GET + UPGRADE + KEY + V13 + b"sec-websocket-protocol: chat, other\r\n", 101),
    "compression offered": (
        GET + UPGRADE + KEY + V13 + b"sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n",
        101,
    ),
    "an unknown extension": (GET + UPGRADE + KEY + V13 + b"sec-websocket-extensions: x-nope; a=1\r\n", 101),
    "version 8": (GET + UPGRADE + KEY + b"sec-websocket-version: 8\r\n", 426),
    "no version": (GET + UPGRADE + KEY, 426),
    "two versions": (GET + UPGRADE + KEY + V13 + V13, 426),
    "no key": (GET + UPGRADE + V13, 400),
    "two keys": (GET + UPGRADE + KEY + KEY + V13, 400),
    "a short key": (GET + UPGRADE + b"sec-websocket-key: YWJj\r\n" + V13, 400),
    "a key that is no base64": (GET + UPGRADE + b"sec-websocket-key: !!!!\r\n" + V13, 400),
    "a body": (GET + UPGRADE + KEY + V13 + b"content-length: 3\r\n", 400),
    "HTTP/1.0": (b"GET / HTTP/1.0\r\nhost: 127.0.0.1\r\n" + UPGRADE + KEY + V13, 400),
    "POST": (b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\n" + UPGRADE + KEY + V13, 405),
    "no host": (b"GET / HTTP/1.1\r\n" + UPGRADE + KEY + V13, 400),
    "an extension that cannot be read": (GET + UPGRADE + KEY + V13 + b"sec-websocket-extensions: ;;=\r\n", 101),
}


@pytest.mark.parametrize("case", HANDSHAKES)
def test_a_handshake_gets_its_answer(case: str) -> None:
    head, status = HANDSHAKES[case]

    async def play(it: RawScene) -> None:
        client = await it.client()
        client.send(head + b"\r\n" + (b"abc" if case == "a body" else b""))
        answer = (await client.reader.readuntil(b"\r\n\r\n")).lower()
        assert int(answer.split()[1]) == status, answer
        if status == 101:
            assert b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in answer
            assert b"sec-websocket-protocol" not in answer and b"sec-websocket-extensions" not in answer
            assert (await client.hello())["ok"]
        else:
            await client.reader.read()
            await it.empty()
        if status == 426:
            assert b"sec-websocket-version: 13" in answer

    run(play)


@pytest.mark.parametrize("header", ["upgrade: websocket\r\n", "connection: upgrade\r\n"])
def test_half_an_upgrade_is_a_request_for_a_page(header: str) -> None:
    async def play(it: RawScene) -> None:
        client = await it.client()
        client.send(GET + header.encode() + KEY + V13 + b"\r\n")
        answer = await client.reader.readuntil(b"\r\n\r\n")
        assert answer.split()[1] not in (b"101", b"500"), answer

    run(play)


@pytest.mark.parametrize("delay", [False, True], ids=["one write", "two writes"])
@pytest.mark.parametrize("early", ["right", "wrong"])
def test_a_client_that_does_not_wait_for_the_answer_to_its_upgrade(early: str, delay: bool) -> None:
    """It may not; the connection ends or goes on all the same."""

    async def play(it: RawScene) -> None:
        client = await it.client()
        frames = text(connect_request()) if early == "right" else frame(3, b"x")
        if delay:
            client.send(HEAD + b"\r\n")
            for _ in range(3):
                await asyncio.sleep(0)
            client.send(frames)
        else:
            client.send(HEAD + b"\r\n" + frames)
        answer = await client.reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        await ended_or_answering(client)

    run(play)


async def ended_or_answering(client: RawClient) -> None:
    client.send(text(connect_request()) + frame(PING, b"alive"))
    while (got := await client.next()) is not None and got.payload != b"alive":
        pass


def test_a_wrong_frame_that_comes_before_the_upgrade_is_answered_ends_the_connection() -> None:
    async def play(it: RawScene) -> None:
        answer = it.server.config.loaded_app
        begun, go = asyncio.Event(), asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            begun.set()
            await go.wait()
            await answer(scope, receive, send)

        it.server.config.loaded_app = slow
        client = await it.client()
        client.send(HEAD + b"\r\n")
        await begun.wait()
        client.send(frame(3, b"x"))
        assert await client.reader.read() == b""
        go.set()
        await it.empty()

    run(play)
