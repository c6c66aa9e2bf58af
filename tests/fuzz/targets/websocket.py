"""A WebSocket client's frames, right and wrong, from the upgrade on: the server's connection, the endpoint, the hub.

The bytes are a list of acts. Each puts frames on the wire; what was put goes in one read until an act ends it.
"""

import json
from typing import Any
from unittest.mock import patch

import msgspec

from gateway.config.schema import Limits
from gateway.protocol.admission.auth import AuthPolicy
from gateway.rpc.registry import Call, Method, Registry, method
from gateway.serving import bounded_websocket, http
from gateway.serving.server import GatewayServer
from gateway.web.socket import websocket_endpoint
from tests.fakes.core import FakeCore
from tests.fuzz.source import Source, compact
from tests.fuzz.stage import Stage, Transcript, turns
from tests.wire.raw import CLOSE, HEAD, PING, PONG, SECRET, TEXT, Frame, close, connect_request, frame, request, text

CODES = {None, 1000, 1002, 1003, 1007, 1008, 1009}
"""With which a connection ends that is the client's fault or wish; those of its own close frame come back."""
MAX_MESSAGE, MAX_FRAGMENTS, MAX_PONGS = 2048, 8, 4096
"""Instead of the server's bounds, so that small inputs reach them."""
HEAD_BYTES = HEAD + b"\r\n"
NAMES = ("now", "later", "bulk", "connect", "nothing")
WAITS_S = (0.5, 6.0, 16.0, 26.0)


def one(data: bytes) -> None:
    source = Source(data)
    bounds = {"MAX_HANDSHAKE_FRAME": MAX_MESSAGE, "MAX_FRAGMENTS": MAX_FRAGMENTS, "MAX_UNREAD_PONGS": MAX_PONGS}
    with patch.multiple(bounded_websocket, **bounds), Stage() as stage:
        stage.play(Show(stage, source).play())


class Show:
    def __init__(self, stage: Stage, source: Source) -> None:
        self.stage = stage
        self.source = source
        self.core = FakeCore(auth=AuthPolicy("token", token=SECRET, generation=1))
        self.server = GatewayServer(self.app, Limits)
        self.server.config.load()
        self.transport = Transcript()
        self.pending = b""
        self.asked: dict[str, int] = {}
        self.codes = set(CODES)
        self.endpoint: Any = None
        self.ours = False
        """The gateway ends it by itself."""

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        await self.endpoint(scope, receive, send)

    async def play(self) -> None:
        self.endpoint = websocket_endpoint(self.core, Registry(methods()))
        first = http.HttpProtocol(self.server.config, self.server.server_state, {}, _loop=self.stage.loop)
        self.transport.protocol = first
        first.connection_made(self.transport)
        first.data_received(HEAD_BYTES)
        await turns()
        head, _, _ = self.transport.written.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        while self.source.more and not self.transport.closed:
            await self.act()
        await self.flush()
        self.transport.take()
        await turns()
        self.check()
        self.transport.protocol.connection_lost(None)
        await turns(40)
        state = self.server.server_state
        assert not state.connections and not state.tasks and self.core.hub.count == 0, "something is left"
        assert len(state.unauthenticated) == state.unauthenticated.bytes == 0, "a place is not given back"

    async def act(self) -> None:
        source = self.source
        match source.byte() % 12:
            case 0:
                opcode, payload = source.pick((TEXT, 2, 0, PING, PONG, CLOSE, 3, 11)), source.bytes(160)
                if opcode == CLOSE:
                    self.codes.add(int.from_bytes(payload[:2], "big"))
                fin, rsv, mask = not source.chance(4), source.byte() % 8 * source.chance(8), not source.chance(8)
                self.pending += frame(opcode, payload, fin, rsv, mask)
            case 1 | 2:
                asked = request(source.pick(("a", "b", "c", "d")), source.pick(NAMES), source.json(2))
                self.ask(asked)
            case 3:
                self.pending += text(connect_request(3 if source.chance() else 4, "no" if source.chance(4) else SECRET))
            case 4:
                self.pending += source.bytes(40)
            case 5:
                whole = json.dumps(request("f", "now")).encode()
                self.asked["f"] = self.asked.get("f", 0) + 1
                parts = source.byte() % 12 + 1
                for number in range(parts):
                    cut = (
                        whole[number::parts]
                        if source.chance(8)
                        else whole[len(whole) * number // parts :][: -(-len(whole) // parts)]
                    )
                    self.pending += frame(0 if number else TEXT, cut, fin=number == parts - 1)
                    self.pending += frame(PING, b"!") if source.chance(4) else b""
            case 6:
                code = source.pick((1000, 1001, 1012, 3000, 4999, 999, 1005, 5000))
                self.codes.add(code)
                self.pending += close(code, source.bytes(8))
            case 7:
                self.core.hub.broadcast("health", {"n": 1, "x": "y" * (source.byte() * 64)})
            case 8:
                await self.flush()
                self.stage.wait(source.pick(WAITS_S))
                self.codes |= {1011}  # a ping was not answered
            case 9:
                self.transport.reads = source.chance()
                if self.transport.reads:
                    self.transport.take()
            case 10:
                self.pending += text(b'"' + b"x" * (MAX_MESSAGE - 3 + source.byte() % 4) + b'"')
            case _:
                await self.flush()

    def ask(self, what: dict[str, Any]) -> None:
        self.asked[what["id"]] = self.asked.get(what["id"], 0) + 1
        self.pending += text(compact(what))

    async def flush(self) -> None:
        data, self.pending = self.pending, b""
        if data and not self.transport.closed:
            self.transport.protocol.data_received(data)
        await turns()

    def check(self) -> None:
        """What the client has read is frames of a server, and answers to what it asked."""
        frames = list(read(self.transport.written.partition(b"\r\n\r\n")[2]))
        answered: dict[str, int] = {}
        closes = [number for number, each in enumerate(frames) if each.opcode == CLOSE]
        after = frames[closes[0] + 1 :] if closes else []
        assert all(each.opcode == PONG for each in after), "something after the close frame"
        for each in frames:
            if each.opcode == CLOSE:
                assert each.code in self.codes, each
            elif each.opcode == TEXT:
                said = msgspec.json.decode(each.payload)
                assert said["type"] in ("event", "res"), said
                if said["type"] == "res":
                    answered[said["id"]] = answered.get(said["id"], 0) + 1
            else:
                assert each.opcode in (PING, PONG), each
        for id, count in answered.items():
            assert count <= self.asked.get(id, 0) or id in ("hello", "invalid"), "an answer that nobody asked for"


def read(data: bytes) -> list[Frame]:
    frames = []
    while data:
        assert data[0] & 0x70 == 0 and data[0] & 0x80 and not data[1] & 0x80, "a server's frame: whole, not masked"
        size, head = data[1] & 0x7F, 2
        if size >= 126:
            head = 4 if size == 126 else 10
            size = int.from_bytes(data[2:head], "big")
        assert len(data) >= head + size, "half a frame"
        frames.append(Frame(data[0] & 15, data[head : head + size], data[0]))
        data = data[head + size :]
    return frames


def methods() -> tuple[Method, ...]:
    @method("now", msgspec.Struct, str, scope=None)
    def now(call: Call, params: Any) -> str:
        """Answer at once."""
        return "now"

    @method("bulk", msgspec.Struct, str, scope=None)
    def bulk(call: Call, params: Any) -> str:
        """Answer more than is taken at once."""
        return "x" * 70_000

    @method("later", msgspec.Struct, str, scope=None)
    async def later(call: Call, params: Any) -> str:
        """Answer a few turns later."""
        await turns(3)
        return "later"

    return now, bulk, later
