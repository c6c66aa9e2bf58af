"""A server that answers each request with the bytes that a test gives, in the pieces that it gives."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Self


class Got(NamedTuple):
    path: str
    headers: dict[str, str]
    body: Any


class Canned:
    """An HTTP server of fixed answers, on a port of its own. The last answer is repeated."""

    def __init__(self, *answers: Sequence[bytes], pause_s: float = 0) -> None:
        self._answers = list(answers)
        self._pause_s = pause_s
        """After each piece."""
        self.got: list[Got] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.got.append(await _read(reader))
            for piece in self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(self._pause_s)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Got:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Got(first.split(" ")[1], headers, json.loads(body) if body else None)


def answer(body: Sequence[bytes], kind: str = "text/event-stream", status: int = 200, **headers: str) -> list[bytes]:
    """The pieces of one whose end is the connection's."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return [f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nConnection: close\r\n{more}\r\n".encode(), *body]
