"""A gateway as its clients see it: a WebSocket that says what a test wants."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

CHALLENGE = {"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1}}


class FakeGateway:
    """Its end of one connection."""

    def __init__(self, ws: ServerConnection) -> None:
        self.ws = ws

    async def send(self, frame: dict[str, Any]) -> None:
        await self.ws.send(json.dumps(frame))

    async def request(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await self.ws.recv())
        return frame

    async def respond(self, request: dict[str, Any], response: dict[str, Any]) -> None:
        await self.send({"type": "res", "id": request["id"], "ok": True, **response})

    async def answer(self, request: dict[str, Any], payload: object) -> None:
        await self.respond(request, {"payload": payload})

    async def refuse(self, request: dict[str, Any], **error: object) -> None:
        await self.respond(request, {"ok": False, "error": error})

    async def tell(self, event: str, payload: object, **more: Any) -> None:
        await self.send({"type": "event", "event": event, "payload": payload, **more})

    async def greet(self) -> dict[str, Any]:
        """Let it in; return what it asked for."""
        await self.send(CHALLENGE)
        request = await self.request()
        await self.answer(request, {"type": "hello-ok", "protocol": 4})
        params: dict[str, Any] = request["params"]
        return params


Script = Callable[[FakeGateway], Awaitable[None]]


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[str]:
    """The address of one that plays this script to each connection."""

    async def handler(ws: ServerConnection) -> None:
        await script(FakeGateway(ws))
        await ws.wait_closed()

    async with serve(handler, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@contextmanager
def beside(script: Script) -> Iterator[str]:
    """`scripted` on a thread, for a command that has a loop of its own."""
    begun: Future[tuple[str, Callable[[], object]]] = Future()

    async def play() -> None:
        async with scripted(script) as url:
            loop, over = asyncio.get_running_loop(), asyncio.Event()
            begun.set_result((url, lambda: loop.call_soon_threadsafe(over.set)))
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(play(),))
    thread.start()
    url, end = begun.result(10)
    try:
        yield url
    finally:
        end()
        thread.join()


@contextmanager
def answering(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """One that lets everyone in and answers one request of each; and what it was sent."""
    seen: list[dict[str, Any]] = []

    async def script(gateway: FakeGateway) -> None:
        for respond in (lambda request: {"payload": {"protocol": 4}}, answer):
            seen.append(await gateway.request())
            await gateway.respond(seen[-1], respond(seen[-1]))

    with beside(script) as url:
        yield url, seen
