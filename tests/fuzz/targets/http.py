"""Bytes of an HTTP client, in any pieces and at any pace, to the server's own connection on a transport of ours.

0xff begins a stage direction: `|` is where one read ends and another begins, `w` a wait, `.` the client's end of
taking answers, `,` its taking them again, `x` its end; before anything else it is a byte like others.
"""

import contextlib
from dataclasses import dataclass, field
from typing import Any

import httptools

from gateway.config.schema import Limits
from gateway.serving import bounded_http, http
from gateway.serving.scopes import CONNECTION
from gateway.serving.server import GatewayServer
from tests.fuzz.stage import Stage, Transcript, turns

LIMITS = Limits(max_head_bytes=512, max_headers=12, max_body_bytes=256, head_timeout_ms=10_000, body_timeout_ms=30_000)
APIS = {"/api": 600}
MOST_READS = 120
"""In which an input comes when it comes slowly: byte by byte, if it is not longer."""
STATUSES = {200, 400, 408, 413, 431, 503, 101, 426}
TOKENS = [b"\xff|", b"\xffw", b"\xff.", b"\xff,", b"\xffx", b"\r\n\r\n", b"GET / HTTP/1.1\r\nhost: x\r\n", b"0\r\n\r\n"]
TOKENS += [b"transfer-encoding: chunked\r\n", b"content-length: 5\r\n", b"POST /api HTTP/1.1\r\nhost: x\r\n"]
TOKENS += [b"connection: upgrade\r\nupgrade: websocket\r\n", b"expect: 100-continue\r\n", b"connection: close\r\n"]


@dataclass(frozen=True)
class Whole:
    """A request that the application got whole."""

    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass
class Counting:
    """Answers each request with its number."""

    asked: list[Whole] = field(default_factory=list)
    begun: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.accept"})
            await scope["extensions"][CONNECTION]["connection"].wait_closed()
            return
        self.begun += 1
        number, body, more, headers = self.begun, b"", True, tuple(scope["headers"])
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        assert len(body) <= APIS.get(scope["path"], LIMITS.max_body_bytes), "a body over the bound"
        assert headers == tuple(scope["headers"]), "headers that come after the head"
        assert len(headers) <= LIMITS.max_headers, "headers over the bound"
        self.asked.append(Whole(scope["method"], scope["path"], headers, body))
        answer = b"%d" % number
        head = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": answer})


@dataclass
class Answers:
    """The server's answers, in order: status and body. Raises for anything that is no answer."""

    said: list[tuple[int, bytes]] = field(default_factory=list)
    _body: bytes = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.said.append((self.parser.get_status_code(), self._body))
        self._body = b""

    def read(self, data: bytes) -> "Answers":
        self.parser = httptools.HttpResponseParser(self)
        with contextlib.suppress(httptools.HttpParserUpgrade):  # what follows is another protocol's
            self.parser.feed_data(data)
        return self


def one(data: bytes) -> None:
    pieces = split(data)
    app, sent = play(pieces)
    answers = [each for each in Answers().read(sent).said if each[0] != 100]
    assert all(status in STATUSES for status, _ in answers), answers
    good = [body for status, body in answers if status == 200]
    assert good == sorted(good, key=int) and len(good) <= len(app.asked), "an answer that nobody asked for"
    assert all(status == 200 for status, _ in answers[:-1]), "something after a refusal"
    if all(kind in "|" for kind, _ in pieces):
        # Where a read ends must not decide what a request is.
        whole = b"".join(piece for _, piece in pieces)
        if len(whole) <= 2048:
            once, _ = play([("|", whole)])
            size = len(whole) // MOST_READS + 1
            slowly, _ = play([("|", whole[at : at + size]) for at in range(0, len(whole), size)], pace=1)
            same(once.asked, slowly.asked)
            same(once.asked, app.asked)


def same(one: list[Whole], other: list[Whole]) -> None:
    """A refusal may come before or after an earlier answer; it never changes a request."""
    common = min(len(one), len(other))
    assert one[:common] == other[:common], (one[:common], other[:common])


def split(data: bytes) -> list[tuple[str, bytes]]:
    first, *rest = data.split(b"\xff")
    pieces = [("|", first)]
    for each in rest:
        if each[:1] in (b"|", b"w", b".", b",", b"x"):
            pieces.append((each[:1].decode(), each[1:]))
        else:
            pieces[-1] = (pieces[-1][0], pieces[-1][1] + b"\xff" + each)
    return pieces


def play(pieces: list[tuple[str, bytes]], pace: int = 8) -> tuple[Counting, bytes]:
    """`pace`: turns of the loop between two reads."""
    app = Counting()
    with Stage() as stage:
        server = GatewayServer(app, lambda: LIMITS, APIS)
        server.config.load()
        transport = Transcript()

        async def talk() -> None:
            protocol = http.HttpProtocol(server.config, server.server_state, {}, _loop=stage.loop)
            transport.protocol = protocol
            protocol.connection_made(transport)
            for kind, piece in pieces:
                direct(stage, transport, kind)
                if transport.closed or kind == "x":
                    break
                if piece:
                    transport.protocol.data_received(piece)
                assert (
                    len(protocol._held) <= bounded_http.MAX_HELD and len(protocol.pipeline) <= bounded_http.SLICE // 16
                )
                await turns(pace)
            transport.take()
            await turns()
            transport.protocol.connection_lost(None)
            await turns()
            assert not server.server_state.connections and not server.server_state.tasks, "something is left"
            assert len(server.server_state.unauthenticated) == server.server_state.unauthenticated.bytes == 0, (
                "a place is not given back"
            )

        stage.play(talk())
    return app, transport.written


def direct(stage: Stage, transport: Transcript, kind: str) -> None:
    if kind == "w":
        stage.wait(11)
    elif kind in ".,":
        transport.reads = kind == ","
        if transport.reads:
            transport.take()
