"""Bodies of HTTP answers on their way to the MCP SDK, which reads JSON strictly.

The SDK drops an answer with half a surrogate pair, and its call then waits until it times out.
"""

from collections.abc import AsyncIterator

import httpx2

from gateway.text.unicode import well_formed_json

MAX_LINE = 32 * 1024 * 1024
"""Bytes of one line."""


async def mend_body(response: httpx2.Response) -> None:
    """Response hook of httpx2: mend a body of JSON, or of server-sent events that are JSON.

    A compressed body stays as it is: the ends of its lines cannot be seen, and an event would wait for more bytes.
    """
    if response.headers.get("content-encoding", "identity") != "identity":
        return
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _MendedBody(response.stream)


class _MendedBody(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield whole lines: no string of JSON contains a newline. Raises httpx2.StreamError for a longer one."""
        unfinished: list[bytes] = []
        size = 0
        async for chunk in self._stream:
            lines, newline, rest = chunk.rpartition(b"\n")
            if newline:
                yield well_formed_json(b"".join((*unfinished, lines, newline)))
                unfinished, size = [], 0
            unfinished.append(rest)
            if (size := size + len(rest)) > MAX_LINE:
                raise httpx2.StreamError(f"an answer has a line of more than {MAX_LINE} bytes")
        yield well_formed_json(b"".join(unfinished))

    async def aclose(self) -> None:
        await self._stream.aclose()
