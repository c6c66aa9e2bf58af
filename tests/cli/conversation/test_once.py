"""One question for a script, by a scripted gateway."""

import asyncio
from typing import Any

import pytest

from gateway.cli.conversation import once as module
from gateway.cli.conversation.events import ChatEvent, RunBegun, RunEnded, TextDelta
from gateway.cli.conversation.once import abort, ask, follow_run
from gateway.client.errors import CallFailed
from gateway.client.reconnecting import ReconnectingClient
from tests.cli.conversation.scripted import ScriptedGateway, Session, refuse, run, serving


class TalkingSession(Session):
    """Answers a message with events of its run, of which it does not know the id before."""

    def __init__(self, *events: tuple[str, dict[str, Any]]) -> None:
        super().__init__()
        self.events = events

    def respond(self, number: int, request: dict[str, Any]) -> dict[str, Any] | str | None:
        answer = super().respond(number, request)
        if request["method"] not in ("chat.send", "agent") or not isinstance(answer, dict):
            return answer
        id = request["params"]["idempotencyKey"]
        events = [(name, {**payload, "runId": id}) for name, payload in self.events]
        return {"payload": {"runId": id, "status": "started"}, "events": events}


def test_pieces_and_the_end() -> None:
    session = TalkingSession()
    session.events = (session.event("delta", "So", deltaText="So"), session.event("final", "So."))
    told: list[ChatEvent] = []

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            client = ReconnectingClient(make)
            await client.connect()
            over = await ask(client, "main", "Why?", None, told.append)
            assert told == [RunBegun(over.run), TextDelta(over.run, "So"), TextDelta(over.run, "."), over]
            assert (over.state, over.text) == ("final", "So.")
            await client.close()

    run(test)
    assert session.asked[-1][1]["sessionKey"] == session.key


def test_whoever_is_cancelled_ends_the_answer() -> None:
    session = TalkingSession()

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            client = ReconnectingClient(make)
            await client.connect()
            saying = asyncio.ensure_future(ask(client, "main", "Why?", "low", lambda piece: None))
            while "chat.send" not in dict(session.asked):
                await asyncio.sleep(0)
            saying.cancel()
            with pytest.raises(asyncio.CancelledError):
                await saying
            await client.close()

    run(test)
    asked = dict(session.asked)
    assert asked["chat.abort"]["runId"] == asked["chat.send"]["idempotencyKey"]


def test_nobody_waits_for_a_gateway_that_does_not_take_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ABORT_S", 0.01)
    session = Session()
    session.answers["chat.abort"] = [None, refuse()]

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            client = ReconnectingClient(make)
            await client.connect()
            await abort(client, "main", "r")
            await abort(client, "main", "r")
            await client.close()

    run(test)


def test_what_was_not_told_is_told_at_the_end() -> None:
    session = Session()
    told: list[ChatEvent] = []

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            client = ReconnectingClient(make)
            await client.connect()

            async def ask() -> str:
                return "So."

            assert await follow_run(client, "main", "r", ask(), str, told.append) == "So."
            await client.close()

    run(test)
    assert told == [RunBegun("r"), TextDelta("r", "So."), RunEnded("r", "final", "So.")]


def test_what_fails_has_told_what_there_was() -> None:
    session = Session()
    session.answers["ask"] = [{"payload": {}, "events": [session.event("delta", "So", deltaText="So")]}]
    told: list[ChatEvent] = []
    heard = asyncio.Event()

    def tell(piece: ChatEvent) -> None:
        told.append(piece)
        if isinstance(piece, TextDelta):
            heard.set()

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            client = ReconnectingClient(make)
            await client.connect()

            async def ask() -> str:
                await client.call("ask")
                await heard.wait()
                raise CallFailed({"message": "no model"})

            with pytest.raises(CallFailed, match="no model"):
                await follow_run(client, "main", "r", ask(), str, tell)
            session.answers["chat.history"] = [refuse()]
            with pytest.raises(CallFailed):
                await follow_run(client, "main", "r", ask(), str, tell)
            await client.close()

    run(test)
    assert told == [RunBegun("r"), TextDelta("r", "So")]
