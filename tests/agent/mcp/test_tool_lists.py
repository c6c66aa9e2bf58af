"""Streams on which lists of tools come in the form that the SDK takes."""

import asyncio
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse

from gateway.agent.mcp.tool_lists import MendedStream


def listing(*tools: Any) -> SessionMessage:
    return SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=1, result={"tools": list(tools)}))


def test_whichever_way_it_is_read_and_what_is_an_error_stays_one() -> None:
    async def test() -> None:
        sent, received = anyio.create_memory_object_stream[SessionMessage | Exception](3)
        wrong = ValueError("x")
        for message in (listing({"name": "a"}), listing({"name": "b"}), wrong):
            await sent.send(message)
        sent.close()
        async with MendedStream(received) as stream:
            first = await stream.receive()
            assert isinstance(first, SessionMessage) and isinstance(first.message, JSONRPCResponse)
            assert first.message.result["tools"][0]["inputSchema"] == {"type": "object", "properties": {}}
            second, third = [message async for message in stream]
            assert "inputSchema" in str(second) and third is wrong

    asyncio.run(test())
