"""One question for a script, by a scripted gateway."""

import asyncio
from typing import Any

import pytest

from gateway.cli.conversation import once as module
from gateway.cli.conversation.events import Begun, Over, Piece, Words
from gateway.cli.conversation.once import abort, say, watched
from gateway.client.client import CallFailed
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
    told: list[Piece] = []

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            line = ReconnectingClient(make)
            await line.open()
            over = await say(line, "main", "Why?", None, told.append)
            assert told == [Begun(over.run), Words(over.run, "So"), Words(over.run, "."), over]
            assert (over.state, over.text) == ("final", "So.")
            await line.close()

    run(test)
    assert session.asked[-1][1]["sessionKey"] == session.key


def test_whoever_is_cancelled_ends_the_answer() -> None:
    session = TalkingSession()

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            line = ReconnectingClient(make)
            await line.open()
            saying = asyncio.ensure_future(say(line, "main", "Why?", "low", lambda piece: None))
            while "chat.send" not in dict(session.asked):
                await asyncio.sleep(0)
            saying.cancel()
            with pytest.raises(asyncio.CancelledError):
                await saying
            await line.close()

    run(test)
    asked = dict(session.asked)
    assert asked["chat.abort"]["runId"] == asked["chat.send"]["idempotencyKey"]


def test_nobody_waits_for_a_gateway_that_does_not_take_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ABORT_S", 0.01)
    session = Session()
    session.answers["chat.abort"] = [None, refuse()]

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            line = ReconnectingClient(make)
            await line.open()
            await abort(line, "main", "r")
            await abort(line, "main", "r")
            await line.close()

    run(test)


def test_what_was_not_told_is_told_at_the_end() -> None:
    session = Session()
    told: list[Piece] = []

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            line = ReconnectingClient(make)
            await line.open()

            async def ask() -> str:
                return "So."

            assert await watched(line, "main", "r", ask(), str, told.append) == "So."
            await line.close()

    run(test)
    assert told == [Begun("r"), Words("r", "So."), Over("r", "final", "So.")]


def test_what_fails_has_told_what_there_was() -> None:
    session = Session()
    session.answers["ask"] = [{"payload": {}, "events": [session.event("delta", "So", deltaText="So")]}]
    told: list[Piece] = []
    heard = asyncio.Event()

    def tell(piece: Piece) -> None:
        told.append(piece)
        if isinstance(piece, Words):
            heard.set()

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            line = ReconnectingClient(make)
            await line.open()

            async def ask() -> str:
                await line.call("ask")
                await heard.wait()
                raise CallFailed({"message": "no model"})

            with pytest.raises(CallFailed, match="no model"):
                await watched(line, "main", "r", ask(), str, tell)
            session.answers["chat.history"] = [refuse()]
            with pytest.raises(CallFailed):
                await watched(line, "main", "r", ask(), str, tell)
            await line.close()

    run(test)
    assert told == [Begun("r"), Words("r", "So")]
