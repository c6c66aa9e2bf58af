import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest

from gateway.agent.mcp import bodies
from gateway.agent.mcp.bodies import mend_body

EVENTS = [r'data: {"x":"\ud83d"}', r'data: {"x":"\ud83d\ude00 \\ud83d \ude00"}', ""]


def through(chunks: list[bytes], **headers: str) -> list[bytes]:
    async def test() -> list[bytes]:
        async def body() -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk

        transport = httpx2.MockTransport(lambda request: httpx2.Response(200, headers=headers, content=body()))
        client = httpx2.AsyncClient(transport=transport, event_hooks={"response": [mend_body]})
        async with client, client.stream("GET", "http://x") as response:
            return [chunk async for chunk in response.aiter_raw() if chunk]

    return asyncio.run(test())


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_half_a_character_is_replaced_wherever_the_body_is_cut(size: int) -> None:
    body = "\r\n".join(EVENTS).encode()
    whole = b"".join(through([body[at : at + size] for at in range(0, len(body), size)]))
    first, second, _ = whole.decode().split("\r\n")
    assert json.loads(first.removeprefix("data: ")) == {"x": "\ufffd"}
    assert json.loads(second.removeprefix("data: ")) == {"x": "\U0001f600 \\ud83d \ufffd"}


def test_an_event_comes_as_soon_as_it_is_whole() -> None:
    assert through([b"data: 1\n\nda", b"ta: 2\n\n", b"x"]) == [b"data: 1\n\n", b"data: 2\n\n", b"x"]


def test_what_is_compressed_comes_as_it_is_at_once() -> None:
    """Its bytes are no lines: an event would wait for the next newline among them, and half a character be none."""
    chunks = [b"\x1f\x8b-no-newline", rb"\ud800\ud800"]
    assert through(chunks, **{"content-encoding": "gzip"}) == chunks
    assert through([rb'"\ud800"'], **{"content-encoding": "identity"}) == [rb'"\ufffd"']


def test_a_line_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_LINE", 8)
    assert through([b"12345", b"678", b"\n12345678"]) == [b"12345678\n", b"12345678"]
    with pytest.raises(httpx2.StreamError, match="a line of more than 8 bytes"):
        through([b"12345", b"6789"])
