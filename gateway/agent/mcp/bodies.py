"""Bodies of answers over HTTP on their way to a library that reads JSON strictly: half a character would be no answer,
for which a call waits until its time is over."""

from collections.abc import AsyncIterator

import httpx2

from gateway.text.unicode import well_formed_json

MAX_LINE = 32 * 1024 * 1024
"""Bytes without a newline."""


async def mend_body(response: httpx2.Response) -> None:
    """A hook for responses of JSON, or of events that are JSON. One that is compressed stays as it is: where its lines
    end cannot be seen, and an event that waits for more bytes would not be heard."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _MendedBody(response.stream)


class _MendedBody(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Cut at newlines, which no string of JSON has."""
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
