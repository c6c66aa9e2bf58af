"""A gateway that says what a test wants, and breaks connections when it wants."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.client.client import GatewayClient
from tests.fakes.gateway import FakeGateway, scripted
from tests.slack import LIMIT_S

Respond = Callable[[int, dict[str, Any]], dict[str, Any] | str | None]


class ScriptedGateway:
    """`respond` is given the number of the connection and a request; a response, or `break`, or None to be silent.

    A response may have `events`, which are told after it: names, or names with payloads.
    """

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.seen: list[tuple[int, str]] = []
        self.count = 0

    async def serve(self, peer: FakeGateway) -> None:
        self.count += 1
        number = self.count
        async for text in peer.ws:
            request = json.loads(text)
            self.seen.append((number, request["method"]))
            said = self.respond(number, request)
            if said == "break":
                peer.ws.transport.abort()
            elif isinstance(said, dict):
                events = said.pop("events", [])
                await peer.respond(request, said)
                for event in events:
                    await peer.tell(*((event, {}) if isinstance(event, str) else event))


@asynccontextmanager
async def serving(gateway: ScriptedGateway) -> AsyncIterator[Callable[[], GatewayClient]]:
    async with scripted(gateway.serve) as url:
        yield lambda: GatewayClient(url, token="t", timeout_s=5)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await test()

    asyncio.run(limited())


def refuse(**error: Any) -> dict[str, Any]:
    return {"ok": False, "error": {"code": "UNAVAILABLE", "message": "no", **error}}


class Session:
    """What a gateway answers of one session; a test changes it while it goes on."""

    key = "agent:main:main"

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.ended: dict[str, dict[str, Any]] = {}
        """Run -> what `agent.wait` says beside its id."""
        self.answers: dict[str, list[dict[str, Any] | str | None]] = {}
        """Method -> what is answered next, before what would be."""
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def respond(self, number: int, request: dict[str, Any]) -> dict[str, Any] | str | None:
        method, params = request["method"], request["params"]
        if method == "connect":
            return {"payload": {}}
        self.asked.append((method, params))
        if self.answers.get(method):
            return self.answers[method].pop(0)
        if method == "chat.history":
            return {"payload": {"sessionKey": self.key, "messages": self.messages[-params["limit"] :]}}
        if method == "agent.wait":
            return {"payload": self.ended.get(params["runId"], {"status": "timeout"})}
        return {"payload": {}}

    def say(self, role: str, text: str, run: str, **more: Any) -> None:
        marks = {"id": str(len(self.messages)), "runId": run}
        self.messages.append({"role": role, "content": text, "__openclaw": marks, **more})

    def event(self, state: str, text: str = "", run: str = "r", **more: Any) -> tuple[str, dict[str, Any]]:
        message = {"role": "assistant", "content": text}
        return "chat", {"runId": run, "sessionKey": self.key, "state": state, "message": message, **more}
