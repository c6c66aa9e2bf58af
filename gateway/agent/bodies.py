"""Bodies of answers over HTTP on their way to a library that reads JSON strictly: half a character would be no answer,
for which a call waits until its time is over."""

from collections.abc import AsyncIterator

import httpx2

from gateway.unicode import well_formed_json


async def mend(response: httpx2.Response) -> None:
    """A hook for responses of JSON, or of events that are JSON."""
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Mended(response.stream)


class _Mended(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Cut at newlines, which no string of JSON has."""
        unfinished: list[bytes] = []
        async for chunk in self._stream:
            lines, newline, rest = chunk.rpartition(b"\n")
            if newline:
                yield well_formed_json(b"".join((*unfinished, lines, newline)))
                unfinished = []
            unfinished.append(rest)
        yield well_formed_json(b"".join(unfinished))

    async def aclose(self) -> None:
        await self._stream.aclose()
