import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection

from gateway import client as package
from gateway.client import client as module
from gateway.client import handshake
from gateway.client.client import GatewayClient, GatewayEvent
from gateway.client.errors import CallFailed, ConnectRefused, Disconnected
from gateway.client.identity import Identity
from gateway.errors import GatewayError, NotRunning, TimedOut
from gateway.exits import ExitCode
from gateway.lifecycle import peer
from gateway.protocol.admission.proof import DeviceProof, Signed, verify
from tests.fakes.gateway import CHALLENGE, FakeGateway, scripted
from tests.slack import LIMIT_S

Behaviour = Callable[[ServerConnection], Awaitable[None]]


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await test()

    asyncio.run(limited())


def test_calls_and_events() -> None:
    seen: list[dict[str, Any]] = []

    async def script(peer: FakeGateway) -> None:
        seen.append(await peer.greet())
        request = await peer.request()
        await peer.send({"type": "event", "event": "tick", "payload": {"ts": 1}, "seq": 1})
        await peer.answer(request, {"asked": request["method"], "with": request["params"]})

    async def test() -> None:
        secrets = {"token": "t", "password": "p"}
        async with scripted(script) as url, GatewayClient(url, **secrets, scopes=["a"], caps=["c"]) as client:
            assert client.hello["protocol"] == 4
            assert await client.call("health") == {"asked": "health", "with": {}}
            events = client.events()
            assert await anext(events) == GatewayEvent("tick", {"ts": 1}, 1)

    run(test)
    assert seen[0]["auth"] == {"token": "t", "password": "p"}
    assert (seen[0]["minProtocol"], seen[0]["maxProtocol"]) == (4, 4)
    assert (seen[0]["scopes"], seen[0]["caps"]) == (["a"], ["c"])


def test_without_a_secret_none_is_sent() -> None:
    seen: list[dict[str, Any]] = []

    async def script(peer: FakeGateway) -> None:
        seen.append(await peer.greet())

    async def test() -> None:
        async with scripted(script) as url, GatewayClient(url, protocols=(3,)):
            pass

    run(test)
    assert "auth" not in seen[0] and seen[0]["maxProtocol"] == 3


def state_with_token(state: Path, url: str) -> Identity:
    identity = Identity(state)
    identity.store_token(url, "operator", "old", ["operator.admin"])
    return identity


def test_the_device_is_shown_where_it_is_asked_for(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    async def script(peer: FakeGateway) -> None:
        await peer.send(CHALLENGE)
        request = await peer.request()
        seen.append(request["params"])
        if len(seen) == 1:
            await peer.refuse(request, code="NOT_PAIRED", message="device identity required")
        else:
            auth = {"role": "operator", "scopes": ["operator.admin"], "deviceToken": "new"}
            await peer.answer(request, {"type": "hello-ok", "auth": auth})

    async def test() -> None:
        async with scripted(script) as url:
            identity = state_with_token(tmp_path, url)
            async with GatewayClient(url, identity=identity, client_id="cli", mode="cli"):
                pass
            assert Identity(tmp_path).token(url, "operator") == "new"

    run(test)
    assert "device" not in seen[0] and "auth" not in seen[0]
    assert seen[1]["auth"] == {"deviceToken": "old"}
    proof = msgspec.convert(seen[1]["device"], DeviceProof)
    signed = Signed("cli", "cli", "operator", ("operator.admin",), "old", seen[1]["client"]["platform"], "")
    # Signed at the gateway's time, 1, not at ours.
    assert verify(proof, signed, protocol=4, challenge="n", now_ms=1, local=False) is None


def test_an_older_gateway_is_spoken_to_in_its_protocol() -> None:
    seen: list[int] = []

    async def script(peer: FakeGateway) -> None:
        await peer.send(CHALLENGE)
        request = await peer.request()
        seen.append(request["params"]["maxProtocol"])
        if seen == [4]:
            details = {"expectedProtocol": 3}
            await peer.refuse(request, code="INVALID_REQUEST", message="protocol mismatch", details=details)
            await peer.ws.close(1002, "protocol mismatch")
        else:
            await peer.answer(request, {"type": "hello-ok", "protocol": 3})
            await peer.answer(await peer.request(), 5)

    async def test() -> None:
        async with scripted(script) as url:
            async with GatewayClient(url) as client:
                assert (client.hello["protocol"], await client.call("health")) == (3, 5)
            seen.clear()
            with pytest.raises(ConnectRefused, match="protocol mismatch"):
                await GatewayClient(url, protocols=(4,)).connect()

    run(test)


@pytest.mark.parametrize("challenge", [{}, {"nonce": None}, []])
def test_a_challenge_that_is_none(challenge: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "is_loopback_url", lambda url: False)

    async def script(peer: FakeGateway) -> None:
        await peer.send({**CHALLENGE, "payload": challenge})

    async def test() -> None:
        async with scripted(script) as url:
            with pytest.raises(Disconnected):
                await GatewayClient(url, identity=Identity(tmp_path)).connect()

    run(test)


def test_a_refusal_names_the_way_out() -> None:
    refusal = ConnectRefused({"code": "NOT_PAIRED", "message": "pairing required", "details": {"requestId": "r-1"}})
    assert str(refusal).endswith("(NOT_PAIRED); on the gateway's machine: openclaw-gateway devices approve r-1")
    assert str(ConnectRefused({"code": "X", "message": "invalid role"})) == "invalid role (X)"


def test_answers_may_come_in_another_order() -> None:
    async def script(peer: FakeGateway) -> None:
        await peer.greet()
        first, second = await peer.request(), await peer.request()
        await peer.answer(second, second["method"])
        await peer.send({"type": "res", "id": "unknown", "ok": True})
        await peer.answer(first, first["method"])

    async def test() -> None:
        async with scripted(script) as url, GatewayClient(url) as client:
            assert list(await asyncio.gather(client.call("a"), client.call("b"))) == ["a", "b"]

    run(test)


@pytest.mark.parametrize("first", ["accepted", "in_flight"])
def test_what_came_of_a_run_is_its_second_answer(first: str) -> None:
    async def script(peer: FakeGateway) -> None:
        await peer.greet()
        plain, final = await peer.request(), await peer.request()
        for request in (plain, final):
            await peer.answer(request, {"status": first})
        await peer.answer(final, {"status": "ok"})
        await peer.refuse(await peer.request(), code="UNAVAILABLE", message="no model")
        # One that is over already is answered once.
        await peer.answer(await peer.request(), {"status": "ok"})

    async def test() -> None:
        async with scripted(script) as url, GatewayClient(url) as client:
            plain, final = client.call("agent"), client.call("agent", final=True)
            assert await asyncio.gather(plain, final) == [{"status": first}, {"status": "ok"}]
            with pytest.raises(CallFailed, match="no model"):
                await client.call("agent", final=True)
            assert await client.call("agent", final=True) == {"status": "ok"}

    run(test)


def test_a_refused_handshake() -> None:
    async def script(peer: FakeGateway) -> None:
        await peer.send(CHALLENGE)
        await peer.refuse(await peer.request(), code="NOT_PAIRED", message="device identity required", details={"a": 1})
        await peer.ws.close(1008, "device identity required")

    async def test() -> None:
        async with scripted(script) as url:
            with pytest.raises(ConnectRefused, match=r"device identity required \(NOT_PAIRED\)") as caught:
                await GatewayClient(url).connect()
        assert (caught.value.code, caught.value.details, caught.value.retryable) == ("NOT_PAIRED", {"a": 1}, False)
        assert caught.value.retry_after_s is None

    run(test)


def test_a_failed_call_leaves_the_connection_usable() -> None:
    async def script(peer: FakeGateway) -> None:
        await peer.greet()
        later = {"code": "UNAVAILABLE", "message": "later", "retryable": True, "retryAfterMs": 500}
        await peer.refuse(await peer.request(), **later)
        await peer.answer(await peer.request(), 5)

    async def test() -> None:
        async with scripted(script) as url, GatewayClient(url) as client:
            with pytest.raises(CallFailed) as caught:
                await client.call("a")
            assert (caught.value.code, caught.value.retryable) == ("UNAVAILABLE", True)
            assert caught.value.retry_after_s == 0.5
            assert await client.call("b") == 5

    run(test)


@pytest.mark.parametrize(("code", "text"), [(1012, "1012 service restart"), (None, "broke the connection off")])
def test_the_end_reaches_calls_and_events(code: int | None, text: str) -> None:
    async def script(peer: FakeGateway) -> None:
        await peer.greet()
        await peer.request()
        if code is None:
            peer.ws.transport.abort()
        else:
            await peer.ws.close(code, "service restart")

    async def test() -> None:
        async with scripted(script) as url, GatewayClient(url) as client:
            with pytest.raises(Disconnected, match=text) as caught:
                await client.call("a")
            assert caught.value.code == code
            with pytest.raises(Disconnected):
                await client.call("b")
            with pytest.raises(Disconnected):
                async for _ in client.events():
                    pass

    run(test)


@pytest.mark.parametrize("nonsense", ["{", "[]", '{"type":"res"}', "[" * 100_000])
def test_a_peer_that_talks_nonsense_is_left(nonsense: str) -> None:
    async def script(peer: FakeGateway) -> None:
        await peer.greet()
        await peer.ws.send(nonsense)

    async def test() -> None:
        async with scripted(script) as url, GatewayClient(url) as client:
            with pytest.raises(Disconnected):
                await client.call("a")

    run(test)


def test_a_call_has_its_time() -> None:
    async def script(peer: FakeGateway) -> None:
        await peer.greet()
        await peer.request()
        await peer.answer(await peer.request(), 1)

    async def test() -> None:
        async with scripted(script) as url, GatewayClient(url) as client:
            with pytest.raises(TimedOut, match=r"slow: no answer within 0\.01 s"):
                await client.call("slow", timeout_s=0.01)
            assert await client.call("quick") == 1

    run(test)


def test_a_gateway_that_never_answers_connect() -> None:
    async def script(peer: FakeGateway) -> None:
        await peer.request()

    async def test() -> None:
        async with scripted(script) as url:
            with pytest.raises(TimedOut):
                await GatewayClient(url, timeout_s=0.1).connect()

    run(test)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotRunning) as caught:
        asyncio.run(GatewayClient(f"ws://127.0.0.1:{port}").connect())
    assert caught.value.exit_code == ExitCode.NOT_RUNNING


def test_another_server_there() -> None:
    async def test() -> None:
        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(GatewayError, match="is no gateway"):
                await GatewayClient(url).connect()

    run(test)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "ws://"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(GatewayError, match="not a WebSocket address"):
        asyncio.run(GatewayClient(url).connect())


def test_a_client_that_is_not_connected() -> None:
    with pytest.raises(GatewayError, match="not connected"):
        asyncio.run(GatewayClient("ws://127.0.0.1:1").call("health"))


def test_who_iterates_loses_nothing_of_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENTS", 10)

    async def script(peer: FakeGateway) -> None:
        await peer.greet()
        for seq in range(1, 501):
            await peer.send({"type": "event", "event": "tick", "seq": seq})

    async def test() -> None:
        async with scripted(script) as url, GatewayClient(url) as client:
            events = client.events()
            assert [(await anext(events)).seq for _ in range(500)] == list(range(1, 501))

    run(test)


def test_events_are_bounded_to_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENTS", 3)

    async def script(peer: FakeGateway) -> None:
        await peer.greet()
        request = await peer.request()
        for seq in range(1, 6):
            await peer.send({"type": "event", "event": "tick", "seq": seq})
        await peer.answer(request, None)

    async def test() -> None:
        async with scripted(script) as url, GatewayClient(url) as client:
            await client.call("a")
            events = client.events()
            assert [(await anext(events)).seq for _ in range(3)] == [3, 4, 5]

    run(test)


@pytest.mark.parametrize("secrets", [{"token": "t0k"}, {"password": "pass"}, {}])
def test_to_another_users_socket_no_secret_goes(secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "owners", lambda near, far, proc: {54321})
    seen: list[dict[str, Any]] = []

    async def script(gateway: FakeGateway) -> None:
        seen.append(await gateway.greet())

    async def test() -> None:
        async with scripted(script) as url:
            if secrets:
                with pytest.raises(peer.Untrusted, match="uid 54321"):
                    await GatewayClient(url, **secrets).connect()
                assert seen == []
            async with GatewayClient(url, plaintext=True, **secrets):
                assert seen[0].get("auth", {}) == secrets
            # What is no secret may go anywhere.
            async with GatewayClient(url):
                assert "auth" not in seen[1]

    run(test)


def test_to_another_users_socket_no_device_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "is_loopback_url", lambda url: False)
    monkeypatch.setattr(peer, "owners", lambda near, far, proc: {54321})
    seen: list[str] = []

    async def script(gateway: FakeGateway) -> None:
        await gateway.send(CHALLENGE)
        seen.extend([str(message) async for message in gateway.ws])

    async def test() -> None:
        async with scripted(script) as url:
            with pytest.raises(peer.Untrusted):
                await GatewayClient(url, identity=state_with_token(tmp_path, url)).connect()
        assert seen == []

    run(test)


def test_a_redirect_is_not_followed() -> None:
    """Whoever listens where the gateway should could send the secret anywhere, by TLS too."""
    asked: list[str] = []

    async def elsewhere(gateway: FakeGateway) -> None:
        asked.append("elsewhere")

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 307 T\r\nLocation: {target[0]}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    target: list[str] = []

    async def test() -> None:
        async with scripted(elsewhere) as url, await asyncio.start_server(redirect, "127.0.0.1", 0) as server:
            target.append(url)
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(GatewayError, match="is no gateway.*307"):
                await GatewayClient(f"ws://127.0.0.1:{port}", token="t").connect()

    run(test)
    assert asked == []


def test_a_password_in_the_address_is_not_sent_in_clear() -> None:
    with pytest.raises(peer.Untrusted):
        asyncio.run(GatewayClient("ws://u:p@127.0.0.1:1").connect())


def test_the_example_of_the_page_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
    example: dict[str, Any] = {"__name__": "example"}

    async def script(peer: FakeGateway) -> None:
        await peer.greet()
        request = await peer.request()
        await peer.answer(request, {"ok": True})
        await peer.send({"type": "event", "event": "tick", "payload": {"ts": 1}, "seq": 1})

    async def test() -> None:
        async with scripted(script) as url:
            monkeypatch.setenv("OPENCLAW_GATEWAY_URL", url)
            exec(page.partition("```python\n")[2].partition("```")[0], example)
            await example["main"]()

    run(test)
    assert capsys.readouterr().out == "4\nTrue\n1 tick {'ts': 1}\n"


def test_the_package_offers_what_the_page_names() -> None:
    page = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
    assert [name for name in package.__all__ if getattr(package, name) is None or name not in page] == []
    with pytest.raises(AttributeError):
        package.__getattr__("nothing")
