"""MCP servers at an address: streamable HTTP, SSE, and whichever of them is spoken there."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.responses import PlainTextResponse, RedirectResponse

from gateway.agent.mcp import remote
from gateway.agent.mcp.explanations import Explained
from gateway.link.spec import Server
from tests.slack import LIMIT_S

TOKEN = "Bearer token-1"


class Web:
    """Both transports at their usual paths, and some that are none."""

    def __init__(self) -> None:
        server = MCPServer("web")

        @server.tool()
        def double(number: int) -> int:
            return 2 * number

        self._streamable, self._sse = server.streamable_http_app(), server.sse_app()
        self.seen: list[tuple[str, str, str]] = []
        """Methods, paths, and who came."""
        self.url = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._streamable(scope, receive, send)
            return
        path = scope["path"]
        self.seen.append((scope["method"], path, dict(scope["headers"]).get(b"authorization", b"").decode()))
        if path.startswith("/mcp"):
            await self._streamable(scope, receive, send)
        elif path.startswith(("/sse", "/messages")):
            await self._sse(scope, receive, send)
        elif path == "/moved":
            await RedirectResponse("https://other.example/mcp?token=x")(scope, receive, send)
        else:
            await PlainTextResponse("no", 401 if path == "/closed" else 404)(scope, receive, send)


@asynccontextmanager
async def serving() -> AsyncIterator[Web]:
    app = Web()
    web = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on", timeout_graceful_shutdown=1))
    task = asyncio.create_task(web.serve())
    while not web.started:
        await asyncio.sleep(0.005)
    app.url = f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield app
    finally:
        web.should_exit = True
        await task


def run(test: Callable[[Web], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S), serving() as web:
            await test(web)

    asyncio.run(bounded())


def test_each_transport_by_its_name_and_without_one_whichever_is_spoken() -> None:
    async def test(web: Web) -> None:
        for path, transport in (("/mcp", ""), ("/mcp", "streamable-http"), ("/sse", ""), ("/sse", "sse")):
            server = Server("web", url=web.url + path, headers={"Authorization": TOKEN}, transport=transport)  # type: ignore[arg-type]
            async with AsyncExitStack() as stack:
                client = await remote.connect(stack, server)
                assert [tool.name for tool in (await client.list_tools()).tools] == ["double"]
                given = await client.call_tool("double", {"number": 21})
                assert "42" in str(given.content)
        assert {who for _, _, who in web.seen} == {TOKEN}

    run(test)


def test_why_none_is_spoken() -> None:
    async def test(web: Web) -> None:
        words: dict[tuple[str, str], str] = {}
        for path, transport in (
            ("/none", ""),
            ("/closed", ""),
            ("/mcp", "sse"),
            ("/sse", "streamable-http"),
            ("/moved", ""),
        ):
            async with AsyncExitStack() as stack:
                with pytest.raises(Explained) as error:
                    await remote.connect(stack, Server("web", url=web.url + path, transport=transport))  # type: ignore[arg-type]
            words[path, transport] = str(error.value)
        assert words["/none", ""].startswith("streamable HTTP: Not Found (HTTP 404); SSE: ")
        assert words["/closed", ""].endswith("(HTTP 401: it wants a token in headers.Authorization)")
        assert "SSE" not in words["/closed", ""], "who does not want to be asked is not asked another way"
        assert "(HTTP 4" in words["/mcp", "sse"] and "(HTTP 405)" in words["/sse", "streamable-http"]
        assert words["/moved", ""] == "it sends on to https://other.example/mcp; set the url to that"

    run(test)


def test_certificates_are_verified_unless_the_config_says_otherwise(tmp_path: Path) -> None:
    assert remote._trust(Server("s", url="https://h")) is True
    context = remote._trust(Server("s", url="https://h", verify=False))
    assert isinstance(context, ssl.SSLContext) and context.verify_mode is ssl.CERT_NONE and not context.check_hostname
    with pytest.raises(Explained, match="mcp.servers.s.clientCert cannot be used: No such file"):
        remote._trust(Server("s", url="https://h", client_cert=str(tmp_path / "gone.pem")))
    (tmp_path / "c.pem").write_text("nothing")
    with pytest.raises(Explained, match="mcp.servers.s.clientCert cannot be used"):
        remote._trust(Server("s", url="https://h", client_cert=str(tmp_path / "c.pem")))
