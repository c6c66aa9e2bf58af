"""Answers to tools/list, brought into the form that the MCP SDK takes, on their way into its streams."""

from typing import Any

from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse

from gateway.agent.mcp.schemas import mend_listing


def mend_message(message: SessionMessage | Exception) -> SessionMessage | Exception:
    if isinstance(message, SessionMessage) and isinstance(answer := message.message, JSONRPCResponse):
        mend_listing(answer.result)
    return message


class MendedStream:
    """Wraps a stream of the SDK: what is received is mended, everything else is delegated to the stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def receive(self) -> SessionMessage | Exception:
        return mend_message(await self._stream.receive())

    def __aiter__(self) -> "MendedStream":
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        return mend_message(await self._stream.__anext__())

    async def __aenter__(self) -> "MendedStream":
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._stream.__aexit__(*error)
