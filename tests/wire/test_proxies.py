"""Behind a real HAProxy and a real Caddy: whom they name, and what a client can make them pass on."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.config.schema import ChatCompletions, Endpoints, Gateway, Http
from gateway.files.paths import Paths
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.admission.proxy import Rules
from tests.proxies import PROXIES, proxying
from tests.slack import LIMIT_S
from tests.wire.raw import SECRET, RawClient, RawScene, connect_request, run, text

pytestmark = pytest.mark.process

RULES = Rules(
    user_header="x-forwarded-user",
    allow_loopback=True,
    proxies=("127.0.0.1",),
    identity_scopes={"reader": ("operator.read",), "writer": ("operator.write",)},
)
BY_PROXY, BY_TOKEN = AuthPolicy("trusted-proxy", proxy=RULES), AuthPolicy("token", token=SECRET)
MODELS, COMPLETIONS = "GET /v1/models", "POST /v1/chat/completions"
CHUNKED = b"transfer-encoding: chunked\r\ncontent-type: application/json\r\n"


def behind(name: str, folder: Path, policy: AuthPolicy, play: Callable[["Behind"], Awaitable[None]]) -> None:
    async def scene(raw: RawScene) -> None:
        raw.core.paths = Paths(folder / "c", folder, folder)
        raw.core.begin()
        raw.core.auth = policy
        http = Http(endpoints=Endpoints(ChatCompletions(True)))
        raw.core.config = replace(raw.core.config, gateway=Gateway(trusted_proxies=RULES.proxies, http=http))
        with proxying(name, raw.listener.getsockname()[1], folder) as port:
            await play(Behind(raw, port))
        await raw.empty()
        await raw.core.conversations.close()

    run(scene, limit=30)


class Behind:
    def __init__(self, raw: RawScene, port: int) -> None:
        self.raw = raw
        self._port = port

    async def client(self) -> RawClient:
        client = RawClient(*await asyncio.open_connection("127.0.0.1", self._port))
        self.raw.clients.append(client)
        return client

    async def status(self, request: str, *headers: str, body: bytes = b"", chunked: bool = False) -> int:
        client = await self.client()
        lines = [f"{request} HTTP/1.1", "host: claw.example", "connection: close", *headers]
        length = CHUNKED if chunked else f"content-length: {len(body)}\r\n".encode()
        client.send("".join(f"{line}\r\n" for line in lines).encode() + length + b"\r\n" + body)
        return int((await client.reader.readuntil(b"\r\n")).split()[1])

    async def scopes(self, protocol: int, *headers: str) -> Any:
        """What a client without a device, with the secret if there is one, is told that it may."""
        client = await self.client()
        await client.upgrade("".join(f"{line}\r\n" for line in headers).encode())
        client.send(text(connect_request(protocol)))
        answer = await client.answer("hello")
        if not answer["ok"]:
            return answer["error"]["message"]
        connected = [each.peer for each in self.raw.core.hub.clients if each.peer][-1]
        client.leave()
        return connected.scopes


@pytest.mark.parametrize("name", PROXIES)
def test_a_trailer_names_nobody(name: str, tmp_path: Path) -> None:
    """The proxy cleans the head; what it passes on behind the body is the client's."""
    trailer = b"1\r\n?\r\n0\r\nx-forwarded-user: writer\r\nx-forwarded-for: 198.51.100.7\r\n\r\n"

    async def play(scene: Behind) -> None:
        assert await scene.status(COMPLETIONS, "x-login: writer", chunked=True, body=b"1\r\n?\r\n0\r\n\r\n") == 400
        assert await scene.status(COMPLETIONS, chunked=True, body=trailer) == 401
        assert await scene.status(COMPLETIONS, "x-login: reader", chunked=True, body=trailer) == 403
        assert await scene.status(COMPLETIONS, "x-forwarded-user: writer", body=b"?") == 401

    behind(name, tmp_path, BY_PROXY, play)


def test_haproxy_passes_trailers_on(tmp_path: Path) -> None:
    """So that the test above tests us and not the proxy."""
    seen = bytearray()

    async def scene() -> None:
        done, gone = asyncio.Event(), asyncio.Event()

        async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                seen.extend(data)
                if seen.endswith(b"0\r\nx-forwarded-user: writer\r\n\r\n"):
                    done.set()
            writer.close()
            gone.set()

        server = await asyncio.start_server(record, "127.0.0.1", 0)
        with proxying("haproxy", server.sockets[0].getsockname()[1], tmp_path) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"POST / HTTP/1.1\r\nhost: h\r\n" + CHUNKED + b"\r\n1\r\n?\r\n0\r\nx-forwarded-user: writer\r\n\r\n"
            )
            async with asyncio.timeout(LIMIT_S):
                await done.wait()
            writer.transport.abort()
        await gone.wait()
        server.close()

    asyncio.run(scene())


@pytest.mark.parametrize("name", PROXIES)
def test_what_a_user_may_is_asked_for_at_both_faces(name: str, tmp_path: Path) -> None:
    async def play(scene: Behind) -> None:
        for login, read, write, scopes in (
            ("reader", 200, 403, ("operator.read",)),
            ("writer", 200, 400, ("operator.write",)),
            ("nobody", 403, 403, ()),
        ):
            said = f"x-login: {login}"
            assert await scene.status(MODELS, said) == read
            assert await scene.status(COMPLETIONS, said, body=b"?") == write
            assert await scene.scopes(4, said) == await scene.scopes(3, said) == scopes

    behind(name, tmp_path, BY_PROXY, play)


@pytest.mark.parametrize("name", PROXIES)
def test_the_secret_from_elsewhere_is_no_admin_in_any_protocol(name: str, tmp_path: Path) -> None:
    async def play(scene: Behind) -> None:
        assert await scene.scopes(4) == await scene.scopes(3) == ()

    behind(name, tmp_path, BY_TOKEN, play)


@pytest.mark.parametrize("name", PROXIES)
def test_without_a_secret_a_proxy_makes_nobody_local(name: str, tmp_path: Path) -> None:
    async def play(scene: Behind) -> None:
        assert await scene.status(MODELS) == await scene.status(COMPLETIONS, body=b"?") == 401
        assert await scene.status(MODELS, "x-forwarded-for: 127.0.0.1") == 401
        assert await scene.scopes(4) == ()
        assert await scene.scopes(3) == "device identity required"

    behind(name, tmp_path, AuthPolicy("none"), play)


@pytest.mark.parametrize("name", PROXIES)
def test_a_guesser_behind_it_is_locked_out_whatever_address_it_claims(name: str, tmp_path: Path) -> None:
    async def play(scene: Behind) -> None:
        for number in range(10):
            claimed = f"x-forwarded-for: 198.51.100.{number}"
            assert await scene.status(MODELS, "authorization: Bearer no", claimed) == 401
        trailer = b"1\r\n?\r\n0\r\nx-forwarded-for: 198.51.100.99\r\n\r\n"
        right = f"authorization: Bearer {SECRET}"
        assert await scene.status(COMPLETIONS, right, chunked=True, body=trailer) == 429

    behind(name, tmp_path, BY_TOKEN, play)
