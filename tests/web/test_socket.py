import asyncio
import base64
import contextlib
import gc
import hashlib
import json
import socket
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
import websockets
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from gateway.access.devices import Devices
from gateway.config.schema import Limits
from gateway.hub.leaving import close_all
from gateway.hub.outbox import BATCH, LOW_WATER
from gateway.lifecycle.phases import Phase
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.admission.proof import DeviceProof, Signed, payloads
from gateway.protocol.frames import WireError
from gateway.protocol.limits import (
    MAX_FAILURES,
    MAX_FRAME,
    MAX_HANDSHAKE_FRAME,
    MAX_IN_FLIGHT,
    MAX_PLAIN_FRAME,
    MAX_VALUES,
    limits,
)
from gateway.protocol.params import NoParams
from gateway.rpc.methods import METHODS
from gateway.rpc.registry import Call, Method, Registry, method
from gateway.serving.server import GatewayServer
from gateway.web import socket as face
from tests.fakes.core import FakeCore
from tests.serving.leaving import leave
from tests.slack import LIMIT_S

BUFFER = 16 * 1024
"""Bytes that the kernel keeps of what a client does not read. By itself it keeps up to four megabytes, and on some
days all that a test sends."""
LARGE = 1024 * 1024
"""Bytes of an answer that the kernel does not keep, with BUFFER."""


class Uvicorn:
    """A real uvicorn with the endpoint, in this loop."""

    def __init__(self, core: FakeCore, url: str) -> None:
        self.core = core
        self.url = url


@asynccontextmanager
async def serving(core: FakeCore, more: Iterable[Method] = (), buffer: int = 0) -> AsyncIterator[Uvicorn]:
    """`buffer` is about how many bytes the kernel keeps of what a client does not read; 0 leaves it to the kernel."""
    server = GatewayServer(face.websocket_endpoint(core, Registry([*METHODS, *more])), Limits)
    # It comes some time after each hello, so on a busy machine in the middle of anything that a test counts.
    core.hub.on_presence = None
    listener = socket.create_server(("127.0.0.1", 0))
    if buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    await server.start([listener])
    try:
        yield Uvicorn(core, f"ws://127.0.0.1:{listener.getsockname()[1]}/any/path")
    finally:
        await leave(server, close_websockets=lambda grace: close_all(core.hub, 1012, "bye", 0.2))
        await until(lambda: not server.server_state.connections)
        listener.close()


async def until(condition: Callable[[], bool]) -> None:
    """For what has no event to wait for; the time limit of the test is the limit."""
    while not condition():
        await asyncio.sleep(0.001)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await test()

    uvloop.run(limited())


def request(id: str, method: str, params: object = None) -> str:
    return json.dumps({"type": "req", "id": id, "method": method, "params": {} if params is None else params})


def connect_frame(protocol: int = 4, token: str | None = "t0k", **params: Any) -> str:
    client = {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"}
    scopes = ["operator.admin"]
    body = {"minProtocol": protocol, "maxProtocol": protocol, "client": client, "scopes": scopes} | params
    if token is not None:
        body["auth"] = {"token": token}
    return request("hello", "connect", body)


async def receive(ws: ClientConnection) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(await ws.recv())
    return frame


async def answer(ws: ClientConnection, id: str) -> dict[str, Any]:
    while (frame := await receive(ws)).get("id") != id:
        assert frame["type"] == "event", frame
    return frame


async def call(ws: ClientConnection, method: str, params: object = None) -> dict[str, Any]:
    await ws.send(request(method, method, params))
    return await answer(ws, method)


@asynccontextmanager
async def client(server: Uvicorn, protocol: int = 4, **params: Any) -> AsyncIterator[ClientConnection]:
    async with connect(server.url, compression=None, max_size=None) as ws:
        assert (await receive(ws))["event"] == "connect.challenge"
        await ws.send(connect_frame(protocol, **params))
        assert (await answer(ws, "hello"))["ok"] is True
        assert (await receive(ws))["event"] == "health"
        yield ws


async def closed(ws: ClientConnection) -> tuple[int | None, str | None]:
    """Read to the end; how it ended."""
    with pytest.raises(websockets.ConnectionClosed):
        while True:
            await ws.recv()
    return ws.close_code, ws.close_reason


@pytest.mark.parametrize("protocol", [3, 4])
def test_handshake(protocol: int) -> None:
    async def test() -> None:
        core = FakeCore(degraded=("config",))
        async with serving(core) as server, connect(server.url) as ws:
            challenge = await receive(ws)
            assert challenge["payload"]["capabilities"] == ["model-catalog-snapshot"]
            assert len(challenge["payload"]["nonce"]) == 36 and "seq" not in challenge
            assert core.hub.count == 0
            await ws.send(connect_frame(protocol))
            hello = (await answer(ws, "hello"))["payload"]
            assert (hello["type"], hello["protocol"]) == ("hello-ok", protocol)
            assert ("gateway.restart.request" in hello["features"]["methods"]) is (protocol == 4)
            modes = [entry["mode"] for entry in hello["snapshot"]["presence"]]
            assert modes == ["gateway", "backend"]
            health = await receive(ws)
            assert (health["event"], health["seq"]) == ("health", 1)
            assert health["payload"]["degraded"] == ["config"]
            assert health["stateVersion"]["health"] == hello["snapshot"]["stateVersion"]["health"] + 1
            assert core.hub.count == 1

    run(test)


def test_methods_over_the_wire() -> None:
    async def test() -> None:
        async with serving(FakeCore()) as server, client(server) as ws:
            assert (await call(ws, "last-heartbeat"))["payload"] is None
            assert (await call(ws, "health", {"probe": True}))["payload"]["ok"] is True
            assert (await call(ws, "gateway.reload"))["payload"]["outcome"] == "unchanged"
            assert (await call(ws, "nope"))["error"]["message"] == "unknown method: nope"
            error = (await call(ws, "health", {"bogus": 1}))["error"]
            assert error["message"] == "invalid health params: at root: unexpected property 'bogus'"
            assert (await call(ws, "connect"))["error"]["message"] == "connect is only valid as the first request"

    run(test)


REFUSALS = [
    (connect_frame(token="no"), "unauthorized: gateway token mismatch (provide gateway auth token)", 1008),
    (connect_frame(3, token=None), "device identity required", 1008),
    (connect_frame(9), "protocol mismatch", 1002),
    (request("hello", "health"), "invalid handshake: first request must be connect", 1008),
    (
        request("hello", "connect", {}),
        "invalid connect params: at root: must have required property 'minProtocol'",
        1008,
    ),
]


@pytest.mark.parametrize(("frame", "message", "code"), REFUSALS)
def test_refused_handshakes(frame: str, message: str, code: int) -> None:
    async def test() -> None:
        async with serving(FakeCore()) as server, connect(server.url) as ws:
            await receive(ws)
            await ws.send(frame)
            assert (await answer(ws, "hello"))["error"]["message"] == message
            assert await closed(ws) == (code, message)

    run(test)


@pytest.mark.parametrize(
    ("frame", "code", "reason"),
    [
        ("{,", 1000, ""),
        ("\x00\x7f\ufffd", 1000, ""),
        ("[" * 60_000, 1000, ""),
        ("[]", 1008, "invalid request frame"),
        (b'{"type":"req"}', 1003, "text frames only"),
        ("x" * MAX_HANDSHAKE_FRAME, 1000, ""),
        ("x" * (MAX_HANDSHAKE_FRAME + 1), 1009, "frame with 65537 bytes exceeds limit of 65536 bytes"),
    ],
)
def test_first_frames_that_get_no_answer(frame: str | bytes, code: int, reason: str) -> None:
    async def test() -> None:
        async with serving(FakeCore()) as server, connect(server.url, compression=None) as ws:
            await receive(ws)
            await ws.send(frame)
            assert await closed(ws) == (code, reason)

    run(test)


def test_a_client_that_says_nothing_is_closed_in_time() -> None:
    async def test() -> None:
        core = FakeCore()
        quick = msgspec.structs.replace(core.config.gateway.http.limits, handshake_timeout_ms=100)
        http = msgspec.structs.replace(core.config.gateway.http, limits=quick)
        core.config = msgspec.structs.replace(
            core.config, gateway=msgspec.structs.replace(core.config.gateway, http=http)
        )
        async with serving(core) as server, connect(server.url) as idle, client(server) as known:
            assert await closed(idle) == (1000, "")
            assert (await call(known, "last-heartbeat"))["ok"] is True

    run(test)


def test_a_version_3_client_may_send_less_at_once() -> None:
    async def test() -> None:
        async with serving(FakeCore()) as server, client(server, 3) as old, client(server, 4) as new:
            frame = request("big", "last-heartbeat")
            padded = frame + " " * (limits(3).max_payload - len(frame))
            await old.send(padded)
            assert (await answer(old, "big"))["ok"] is True
            await new.send(padded + " ")
            assert (await answer(new, "big"))["ok"] is True
            await old.send(padded + " ")
            assert await closed(old) == (1009, "frame with 524289 bytes exceeds limit of 524288 bytes")

    run(test)


@pytest.mark.parametrize(
    ("scopes", "size", "reason"),
    [
        ([], MAX_PLAIN_FRAME, "frame with 1048577 bytes exceeds limit of 1048576 bytes"),
        (["operator.read"], MAX_PLAIN_FRAME, "frame with 1048577 bytes exceeds limit of 1048576 bytes"),
        (["operator.write"], MAX_FRAME, "frame with 26214401 bytes exceeds limit of 26214400 bytes"),
    ],
)
def test_only_who_may_attach_may_send_much(scopes: list[str], size: int, reason: str) -> None:
    async def test() -> None:
        async with serving(FakeCore()) as server, client(server, scopes=scopes) as ws:
            frame = request("big", "last-heartbeat")
            await ws.send(frame + " " * (size - len(frame)))
            assert (await answer(ws, "big"))["type"] == "res"
            ws.transport.write(b"\x81\xff" + (size + 1).to_bytes(8, "big") + b"mask")  # a head tells it all
            assert await closed(ws) == (1009, reason)

    run(test)


@pytest.mark.parametrize("where", ["id", "method", "type", "params", "profileRelation", "more"])
@pytest.mark.parametrize("value", ["[]", "{}", "0", '""'])
def test_a_message_of_many_values_is_not_decoded(where: str, value: str) -> None:
    async def test() -> None:
        async with serving(FakeCore()) as server, client(server) as ws, client(server) as other:
            frame = json.loads(request("many", "sessions.list"))
            place = frame["params"] if where == "profileRelation" else frame
            place[where] = {"a": "MANY"} if where == "profileRelation" else "MANY"
            many = f"[{','.join([value] * (MAX_VALUES + 1))}]"
            await ws.send(json.dumps(frame).replace('"MANY"', many))
            assert await closed(ws) == (1009, f"more than {MAX_VALUES} values in one message")
            assert (await call(other, "last-heartbeat"))["ok"] is True

    run(test)


def test_garbage_after_hello_is_survived(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gateway.ws")

    async def test() -> None:
        async with serving(FakeCore()) as server, client(server) as ws:
            for garbage in ("{,", "\x00", "[" * 100_000, '{"id":"\\u"}'):
                await ws.send(garbage)
            await ws.send('{"type":"event","id":"e"}')
            assert (await answer(ws, "e"))["error"]["message"].startswith("invalid request frame: ")
            assert (await call(ws, "last-heartbeat"))["ok"] is True
            await ws.send(b"\x00\x01")
            assert await closed(ws) == (1003, "text frames only")

    run(test)
    assert caplog.text.count("frame ignored") == 1


def test_a_bug_closes_one_client_and_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("broken on purpose")

    async def test() -> None:
        core = FakeCore()
        monkeypatch.setattr(core.hub, "next_health", broken)
        async with serving(core) as server, connect(server.url) as ws:
            await ws.send(connect_frame())
            assert await closed(ws) == (1011, "internal error")

    run(test)
    assert "broken on purpose" in caplog.text


class Gate:
    """A method that does not answer before it may."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.running = 0
        self.most = 0
        self.cancelled = 0

    def method(self) -> Method:
        @method("wait", NoParams, None, scope=None)
        async def wait(call: Call, params: NoParams) -> None:
            """Wait."""
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await self.open.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            finally:
                self.running -= 1

        return wait

    async def until_running(self, count: int) -> None:
        await until(lambda: self.running == count)


def test_requests_overlap_and_an_id_is_used_once() -> None:
    async def test() -> None:
        gate, core = Gate(), FakeCore()
        async with serving(core, [gate.method()]) as server, client(server) as ws:
            await ws.send(request("slow", "wait"))
            await gate.until_running(1)
            assert core.hub.busy == 1
            assert (await call(ws, "last-heartbeat"))["ok"] is True
            await ws.send(request("slow", "last-heartbeat"))
            assert (await answer(ws, "slow"))["error"]["message"] == "request id is already in flight: slow"
            gate.open.set()
            assert (await answer(ws, "slow"))["ok"] is True
            assert core.hub.busy == 0

    run(test)


def test_no_more_requests_than_the_bound_run_at_once() -> None:
    async def test() -> None:
        gate = Gate()
        async with serving(FakeCore(), [gate.method()]) as server, client(server) as ws, client(server) as other:
            for number in range(MAX_IN_FLIGHT + 8):
                await ws.send(request(f"w{number}", "wait"))
            await gate.until_running(MAX_IN_FLIGHT)
            assert (await call(other, "last-heartbeat"))["ok"] is True
            assert gate.running == MAX_IN_FLIGHT
            gate.open.set()
            answered = {(await receive(ws))["id"] for _ in range(MAX_IN_FLIGHT + 8)}
            assert len(answered) == MAX_IN_FLIGHT + 8
            assert gate.most == MAX_IN_FLIGHT

    run(test)


def test_a_client_that_goes_takes_its_requests_along() -> None:
    async def test() -> None:
        gate, core = Gate(), FakeCore()
        async with serving(core, [gate.method()]) as server:
            async with client(server) as ws:
                await ws.send(request("a", "wait"))
                await gate.until_running(1)
            await gate.until_running(0)
            assert gate.cancelled == 1
            await until(lambda: not core.hub.busy and not core.hub.count)

    run(test)


def test_the_hub_closes_those_with_an_old_secret() -> None:
    async def test() -> None:
        core = FakeCore()
        async with serving(core) as server, client(server) as old:
            core.auth = AuthPolicy("token", token="new", generation=2)
            async with client(server, token="new") as new:
                assert core.hub.close_generation(1) == 1
                assert await closed(old) == (1008, "gateway auth changed")
                assert (await call(new, "last-heartbeat"))["ok"] is True

    run(test)


def test_whoever_comes_while_the_gateway_drains_is_served() -> None:
    async def test() -> None:
        async with serving(FakeCore(phase=Phase.LEAVING)) as server, client(server) as ws:
            assert (await call(ws, "health"))["ok"] is True

    run(test)


def test_whoever_comes_after_everyone_was_closed_is_closed_as_well() -> None:
    async def test() -> None:
        core = FakeCore()
        async with serving(core) as server:
            await close_all(core.hub, 1012, "service restart", 0.1)
            async with connect(server.url) as ws:
                assert await closed(ws) == (1012, "service restart")

    run(test)


def test_close_all_sends_what_is_queued_first() -> None:
    async def test() -> None:
        core = FakeCore()
        async with serving(core) as server, client(server) as ws, connect(server.url) as stranger:
            core.hub.broadcast("shutdown", {"reason": "gateway restarting", "restartExpectedMs": 1500})
            closing = asyncio.create_task(close_all(core.hub, 1012, "service restart", LIMIT_S))
            assert (await receive(ws))["event"] == "shutdown"
            assert await closed(ws) == (1012, "service restart")
            assert await closed(stranger) == (1012, "service restart")
            await closing
            core.hub.broadcast("tick", {})

    run(test)


class Deaf:
    """A client that completes its handshake and then neither reads nor answers a close."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def shake_hands(self, server: Uvicorn, protocol: int) -> None:
        head = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self.writer.write(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
        await self.reader.readuntil(b"\r\n\r\n")
        self.send(connect_frame(protocol))
        await until(lambda: server.core.hub.count > 0)
        (self.connection,) = server.core.hub.clients

    def send(self, text: str) -> None:
        data = text.encode()
        self.writer.write(b"\x81" + bytes([0x80 | 126]) + len(data).to_bytes(2, "big") + b"\0\0\0\0" + data)

    async def to_the_end(self) -> bytes:
        """All that was sent to it, up to the loss of the connection."""
        data = b""
        try:
            while part := await self.reader.read(1 << 20):
                data += part
        except ConnectionError:
            pass
        return data


@asynccontextmanager
async def deaf_client(server: Uvicorn, protocol: int) -> AsyncIterator[Deaf]:
    host, port = server.url.split("/")[2].split(":")
    deaf = Deaf(*await asyncio.open_connection(host, int(port), limit=1024))
    try:
        await deaf.shake_hands(server, protocol)
        yield deaf
    finally:
        deaf.writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await deaf.writer.wait_closed()


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_client_that_never_reads_costs_the_others_nothing(protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "CLOSE_S", 1.0)  # it must read all that is in the kernel before, on a busy machine too

    async def test() -> None:
        core = FakeCore()
        async with serving(core, (), BUFFER) as server, deaf_client(server, protocol) as deaf, client(server) as reader:
            connection = deaf.connection
            connection.outbox.max_bytes = 300_000  # reached sooner than 50 MiB, by the same code
            payload = "x" * 200_000
            for number in range(8):
                core.hub.broadcast("heavy", payload, drop_if_slow=True)
                assert (await receive(reader))["seq"] == number + 2
            assert connection.outbox.queued <= connection.outbox.max_bytes
            assert core.hub.count == 2
            assert (connection.seq == 9) is (protocol == 4)
            core.hub.broadcast("must", payload)
            assert (await receive(reader))["event"] == "must"
            assert core.hub.count == 1
            assert (await call(reader, "last-heartbeat"))["ok"] is True
            assert (await deaf.to_the_end()).endswith(b"slow consumer")

    run(test)


def test_a_client_that_answers_no_close_is_dropped_after_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "CLOSE_S", 900.0)  # the limit of `run` would come first

    async def test() -> None:
        core = FakeCore()
        async with serving(core) as server, deaf_client(server, 4) as deaf:
            for _ in range(60):
                core.hub.broadcast("heavy", "x" * 200_000)
            earlier: list[str] = []
            asyncio.get_running_loop().call_later(0.19, earlier.append, "passed")  # uvloop's clock counts milliseconds
            await close_all(core.hub, 1012, "service restart", 0.2)
            assert earlier, "it was given less than its grace"
            assert core.hub.count == 0
            assert b"service restart" not in await deaf.to_the_end()

    run(test)


def test_a_close_that_nobody_answers_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "CLOSE_S", 0.1)

    async def test() -> None:
        core = FakeCore()
        async with serving(core) as server, deaf_client(server, 4) as deaf:
            core.hub.close_generation(1)
            assert (await deaf.to_the_end()).endswith(b"gateway auth changed")

    run(test)


def test_a_client_that_asks_and_never_reads_is_not_read_further() -> None:
    asked = 0

    @method("bulky", NoParams, str, scope=None)
    def bulky(call: Call, params: NoParams) -> str:
        """Count, and answer more than was asked."""
        nonlocal asked
        asked += 1
        return "x" * 1000

    async def test() -> None:
        core = FakeCore()
        async with serving(core, [bulky], BUFFER) as server, deaf_client(server, 3) as deaf, client(server) as other:
            connection = deaf.connection
            for number in range(20_000):
                deaf.send(request(str(number), "bulky"))
            before = 0
            while not before == asked > 0:  # what is on its way to the kernel goes on for a while
                before = asked
                for _ in range(20):
                    assert (await call(other, "last-heartbeat"))["ok"] is True
                    assert connection.outbox.unread < LOW_WATER + BATCH
            assert connection.outbox.stalled_for() and connection.outbox.unread >= LOW_WATER
            assert asked < 20_000

    run(test)


def test_large_answers_are_built_one_at_a_time_and_while_there_is_room() -> None:
    begun = 0

    @method("much", NoParams, str, scope="operator.read")
    async def much(call: Call, params: NoParams) -> str:
        """Read for a while, and answer much."""
        nonlocal begun
        begun += 1
        await asyncio.sleep(0)
        return "x" * LARGE

    @method("wait", NoParams, str, scope="operator.write")
    async def wait(call: Call, params: NoParams) -> str:
        """Wait for something else."""
        await asyncio.Event().wait()
        return ""

    async def test() -> None:
        core = FakeCore()
        async with (
            serving(core, [much, wait], BUFFER) as server,
            deaf_client(server, 4) as deaf,
            client(server) as other,
        ):
            for number in range(2):
                deaf.send(request(f"w{number}", "wait"))
            for number in range(20):
                deaf.send(request(str(number), "much"))
            await until(lambda: len(deaf.connection.requests) == 2 and not deaf.connection.outbox.has_room)
            for _ in range(20):
                assert (await call(other, "last-heartbeat"))["ok"] is True
            assert begun == 1 and deaf.connection.outbox.unread < 2 * LARGE
            assert core.hub.busy == 2, "what is not read holds up no restart, and another process can go on with it"
            answers = [await call(other, "much") for _ in range(3)]
            assert all(each["ok"] for each in answers)

    run(test)


def test_a_foreign_page_is_refused_and_a_page_in_the_config_is_not() -> None:
    async def test() -> None:
        core = FakeCore()
        async with serving(core) as server:
            for allowed, ok in (((), False), (("https://ui.example",), True)):
                ui = msgspec.structs.replace(core.config.gateway.control_ui, allowed_origins=allowed)
                gateway = msgspec.structs.replace(core.config.gateway, control_ui=ui)
                core.config = msgspec.structs.replace(core.config, gateway=gateway)
                async with connect(server.url, origin=Origin("https://ui.example")) as ws:
                    await ws.send(connect_frame())
                    assert (await answer(ws, "hello"))["ok"] is ok

    run(test)


def test_guesses_of_one_page_are_counted_over_its_connections() -> None:
    async def test() -> None:
        async with serving(FakeCore()) as server, client(server):
            for number in range(MAX_FAILURES + 1):
                async with connect(server.url, origin=Origin("http://localhost:5173")) as ws:
                    await ws.send(connect_frame(token="t0k" if number == MAX_FAILURES else "no"))
                    error = (await answer(ws, "hello"))["error"]
                    assert ("too many" in error["message"]) is (number == MAX_FAILURES)
            async with client(server) as program:
                assert (await call(program, "last-heartbeat"))["ok"] is True

    run(test)


def prove(connect: dict[str, Any], nonce: str) -> dict[str, Any]:
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    bare = DeviceProof(hashlib.sha256(raw).hexdigest(), spell(raw), "", int(time.time() * 1000), nonce)
    client = connect["client"]
    scopes, token = tuple(connect["scopes"]), connect["auth"]["token"]
    signed = Signed(client["id"], client["mode"], "operator", scopes, token, client["platform"], "")
    signature = spell(key.sign(payloads(bare, signed, nonce, 4)[0].encode()))
    return msgspec.to_builtins(msgspec.structs.replace(bare, signature=signature))  # type: ignore[no-any-return]


def spell(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_device_gets_a_token_that_outlives_the_secret(tmp_path: Path, protocol: int) -> None:
    async def test() -> None:
        core = FakeCore(devices=Devices(tmp_path))

        async def come(ws: ClientConnection, token: str) -> dict[str, Any]:
            nonce = (await receive(ws))["payload"]["nonce"]
            frame = json.loads(connect_frame(protocol, token))
            frame["params"]["device"] = prove(frame["params"], nonce)
            await ws.send(json.dumps(frame))
            return await answer(ws, "hello")

        async with serving(core) as server, connect(server.url) as first, connect(server.url) as second:
            auth = (await come(first, "t0k"))["payload"]["auth"]
            assert (auth["role"], auth["scopes"]) == ("operator", ["operator.admin"])
            core.auth = AuthPolicy("token", token="new", generation=2)
            assert (await come(second, auth["deviceToken"]))["payload"]["auth"]["deviceToken"] == auth["deviceToken"]
            assert core.hub.close_generation(1) == 1
            assert await closed(first) == (1008, "gateway auth changed")
            assert (await call(second, "last-heartbeat"))["ok"] is True
            (device,) = core.devices.listing()[1]
            core.hub.close_device(device.device_id)
            assert await closed(second) == (1008, "device access changed")

    run(test)


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_request_that_is_given_up_is_answered_once(stubborn: bool) -> None:
    """Also one that is done in that moment, and one that does not let itself be cancelled."""
    started, release = asyncio.Event(), asyncio.Event()

    @method("late", NoParams, str, scope=None)
    async def late(call: Call, params: NoParams) -> str:
        """Answer late."""
        started.set()
        try:
            await release.wait()
        except asyncio.CancelledError:
            if not stubborn:
                raise
        return "late"

    async def test() -> None:
        core = FakeCore()
        async with serving(core, [late]) as server, client(server) as ws:
            await ws.send(request("a", "late"))
            await started.wait()
            (connection,) = core.hub.clients
            (task,) = connection.requests.values()
            if not stubborn:
                release.set()
                while not task.done():
                    await asyncio.sleep(0)
            connection.fail_requests(WireError("UNAVAILABLE", "ask again", retryable=True))
            await ws.send(request("b", "last-heartbeat"))
            assert (await answer(ws, "a"))["ok"] is not stubborn
            await answer(ws, "b")
            assert not connection.requests and not core.hub.busy

    run(test)


def test_a_client_that_is_gone_leaves_nothing_to_collect() -> None:
    """Thousands that go, or give way, would be collected at once, and everybody would wait."""

    async def test() -> None:
        core = FakeCore()
        async with serving(core) as server:
            gc.collect()
            gc.disable()
            try:
                async with client(server):
                    (connection,) = core.hub.clients
                    left = [weakref.ref(connection), weakref.ref(connection.carrier)]
                    del connection
                await until(lambda: not any(each() for each in left))
            finally:
                gc.enable()

    run(test)


@pytest.mark.parametrize("turns", range(4))
def test_a_client_that_goes_before_its_turn_is_no_error(turns: int, caplog: pytest.LogCaptureFixture) -> None:
    head = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    asked = f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode()

    async def test() -> None:
        async with serving(FakeCore()) as server:
            host, port = server.url.split("/")[2].split(":")
            for _ in range(20):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write(asked)
                for _ in range(turns):
                    await asyncio.sleep(0)
                writer.transport.abort()
        assert [each for each in caplog.records if each.levelname == "ERROR"] == []

    run(test)
