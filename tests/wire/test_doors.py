"""The table of `tests.doors` through real sockets: each row knocks at both faces of the whole application.

Only the address of the peer is not the kernel's: the parser is told the row's.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.access.devices import Devices
from gateway.config.schema import ChatCompletions, Endpoints, Gateway, Http
from gateway.files.paths import Paths
from tests.doors import MATRIX, OVER_HTTP, POLICIES, PROXIES, frame, head
from tests.wire.raw import CLOSE, HEAD, RawClient, RawScene, run, text

UPGRADE = HEAD.split(b"\r\n", 2)[2]
"""What an upgrade says beside its Host."""


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Its one entry is the address from which all connections come."""
    said = [""]
    for parser in ("http.httptools_impl", "websockets.websockets_sansio_impl"):
        monkeypatch.setattr(f"uvicorn.protocols.{parser}.get_remote_addr", lambda transport: (said[0], 1))
    return said


def sent(headers: dict[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


async def over_websocket(scene: RawScene, headers: dict[str, str], protocol: int, *claim: Any, **more: Any) -> str:
    """ "<how>: <scopes>" for who is let in, else the message."""
    client = await scene.client()
    client.send(b"GET / HTTP/1.1\r\n" + sent(headers) + UPGRADE + b"\r\n")
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    challenge = await client.next()
    assert challenge is not None
    nonce = json.loads(challenge.payload)["payload"]["nonce"]
    client.send(text(frame(protocol, *claim, nonce=nonce, now_ms=int(time.time() * 1000), **more)))
    answer = await client.answer("c")
    if not answer["ok"]:
        got = await client.next()
        assert got is not None and got.opcode == CLOSE and got.code == 1008
        return str(answer["error"]["message"])
    assert answer["payload"]["type"] == "hello-ok"
    (let_in,) = [each.peer for each in scene.core.hub.clients if each.peer and each.peer.protocol == protocol]
    return f"{let_in.auth_mode}: {' '.join(let_in.scopes)}".strip()


async def over_http(client: RawClient, headers: dict[str, str], auth: dict[str, str]) -> str:
    """What may be done: "write", "read", or the status of the refusal of both."""
    bearer = next(iter(auth.values()), None)
    headers |= {} if bearer is None else {"authorization": f"Bearer {bearer}"}
    read = await status(client, b"GET /v1/models HTTP/1.1\r\n" + sent(headers) + b"\r\n")
    write = await status(
        client,
        b"POST /v1/chat/completions HTTP/1.1\r\n"
        + sent(headers)
        + b"content-type: application/json\r\ncontent-length: 1\r\n\r\n?",
    )
    if write == 400:  # it was read, and is no JSON
        assert read == 200
        return "write"
    return "read" if read == 200 else str(read) if read == write else f"{read}, {write}"


async def status(client: RawClient, request: bytes) -> int:
    client.send(request)
    answer = await client.reader.readuntil(b"\r\n\r\n")
    (size,) = [int(line[15:]) for line in answer.lower().splitlines() if line.startswith(b"content-length:")]
    await client.reader.readexactly(size)
    return int(answer.split()[1])


def wanted_over_http(*key: Any) -> str:
    (found,) = [answer for *each, answer in OVER_HTTP if tuple(each) == key]
    return str(found)


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: " ".join(str(cell) for cell in row[:7]))
def test_both_faces(row: tuple[Any, ...], peer: list[str], tmp_path: Path) -> None:
    mode, auth, place, origin, client, role, device, *answers = row
    peer[0], headers = head(place, origin)

    async def play(scene: RawScene) -> None:
        http = Http(endpoints=Endpoints(ChatCompletions(True)))
        scene.core.paths = Paths(tmp_path / "c", tmp_path, tmp_path)
        scene.core.begin()
        scene.core.auth = POLICIES[mode]
        scene.core.config = replace(scene.core.config, gateway=Gateway(trusted_proxies=PROXIES, http=http))
        for protocol, wanted in zip((3, 4), answers, strict=True):
            scene.core.devices = Devices(tmp_path / str(protocol))
            knocked = await over_websocket(scene, headers, protocol, client, auth, role=role, device=device)
            assert knocked == wanted
        found = await over_http(await scene.client(), dict(headers), auth)
        assert found == wanted_over_http(mode, auth, place, origin)
        await scene.core.conversations.close()

    run(play)
