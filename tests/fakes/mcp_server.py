"""An MCP server without a process: what its tools are, and what it does not answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from gateway.agent.mcp import stdio
from gateway.agent.mcp.tool_lists import MendedStream
from gateway.link.spec import Server

OBJECT = {"type": "object", "properties": {"word": {"type": "string"}}}


class Unstarted:
    """Takes the place of `stdio.connect`; the server's name chooses among several."""

    def __init__(self, tools: Sequence[Any] = ("query", "admin_drop")) -> None:
        self.tools = [{"name": each, "inputSchema": OBJECT} if isinstance(each, str) else each for each in tools]
        self.mute: set[str] = set()
        """Methods that get no answer."""
        self.wait = asyncio.Event()
        """With `slow`, nothing is answered before."""
        self.slow = False
        self.called: list[str] = []
        self.began = 0

    @asynccontextmanager
    async def connect(self, server: Server, workspace: str | None, said: stdio.ServerOutput) -> AsyncIterator[Any]:
        self.began += 1
        received, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](16)
        outgoing, sent = anyio.create_memory_object_stream[SessionMessage](16)
        answering = asyncio.create_task(self._answer(received, sent))
        try:
            yield MendedStream(incoming), outgoing
        finally:
            answering.cancel()
            for stream in (received, incoming, outgoing, sent):
                stream.close()

    async def _answer(self, received: Any, sent: Any) -> None:
        async for message in sent:
            request = message.message.model_dump(by_alias=True, exclude_unset=True)
            if self.slow:
                await self.wait.wait()
            if "id" in request and request["method"] not in self.mute:
                reply = {"jsonrpc": "2.0", "id": request["id"], **self._reply(request)}
                await received.send(SessionMessage(jsonrpc_message_adapter.validate_python(reply, by_name=False)))

    def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["method"]:
            case "initialize":
                version, info = request["params"]["protocolVersion"], {"name": "inside", "version": "1"}
                return {"result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}}
            case "tools/list":
                return {"result": {"tools": self.tools}}
            case "tools/call":
                self.called.append(request["params"]["name"])
                return {"result": {"content": [{"type": "text", "text": "done"}]}}
            case method:
                return {"error": {"code": -32601, "message": f"there is no {method}"}}


def put_inside(monkeypatch: pytest.MonkeyPatch, **servers: Unstarted) -> None:
    """Each server of a name is one of these."""

    def connect(server: Server, workspace: str | None, said: stdio.ServerOutput) -> Any:
        return servers[server.name].connect(server, workspace, said)

    monkeypatch.setattr(stdio, "connect", connect)
