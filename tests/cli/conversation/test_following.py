"""A session is followed over broken connections, by a scripted gateway."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.cli.conversation import following as module
from gateway.cli.conversation.events import Begun, Over, Piece, Question, Words
from gateway.cli.conversation.following import SessionFeed
from gateway.cli.conversation.view import View
from gateway.client.client import CallFailed
from gateway.client.reconnecting import ReconnectingClient
from tests.cli.conversation.scripted import ScriptedGateway, Session, refuse, run, serving


async def some(pieces: AsyncIterator[Piece], count: int) -> list[Piece]:
    return [await anext(pieces) for _ in range(count)]


async def opened(make: Any, session: Session) -> tuple[ReconnectingClient, SessionFeed]:
    line = ReconnectingClient(make, pauses=(0.0,))
    await line.open()
    return line, SessionFeed(line, View(session.key))


def test_somebody_elses_question_and_its_answer() -> None:
    session = Session()
    session.say("user", "Why?", "r")
    told = [session.event("delta", "So", deltaText="So"), session.event("final", "So.")]
    session.answers["ask"] = [{"payload": {}, "events": told}]

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            line, following = await opened(make, session)
            await line.call("ask")
            assert await some(following.pieces(), 5) == [
                *(Question("r", "Why?"), Begun("r"), Words("r", "So"), Words("r", ".")),
                Over("r", "final", "So."),
            ]
            await line.close()

    run(test)
    assert [method for method, _ in session.asked] == ["ask", "chat.history"]


def test_an_answer_comes_without_its_question() -> None:
    session = Session()
    session.answers = {
        "ask": [{"payload": {}, "events": [session.event("final", "So.")]}],
        "chat.history": [refuse(retryable=True)],
    }

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            line, following = await opened(make, session)
            await line.call("ask")
            assert await some(following.pieces(), 3) == [Begun("r"), Words("r", "So."), Over("r", "final", "So.")]
            await line.close()

    run(test)


@pytest.mark.parametrize(
    ("ended", "last"),
    [
        ({"status": "ok"}, Over("r", "final", "So it is.")),
        ({"status": "error", "error": "lost"}, Over("r", "error", "So it is.", "lost")),
        ({"status": "error"}, Over("r", "error", "So it is.", "it failed")),
    ],
)
def test_what_was_missed_is_read_again(monkeypatch: pytest.MonkeyPatch, ended: dict[str, Any], last: Over) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0)
    session = Session()
    session.say("user", "Why?", "r")
    session.answers = {
        "ask": [{"payload": {}, "events": [session.event("delta", "So", deltaText="So")]}],
        "break": ["break"],
        "chat.history": [refuse(retryable=True)],  # the database is not there yet
    }

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            line, following = await opened(make, session)
            following.view.expect("r")
            pieces = following.pieces()
            await line.call("ask")
            assert await some(pieces, 2) == [Begun("r"), Words("r", "So")]
            session.say("assistant", "So it is.", "r", stopReason="stop")
            session.ended["r"] = ended
            await line.call("break")
            assert await some(pieces, 2) == [Words("r", " it is."), last]
            await line.close()

    run(test)


def test_a_gateway_that_will_never_tell() -> None:
    session = Session()
    session.answers = {"break": ["break"], "chat.history": [refuse()]}

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            line, following = await opened(make, session)
            await line.call("break")
            with pytest.raises(CallFailed):
                await anext(following.pieces())
            await line.close()

    run(test)


def test_a_run_that_goes_on_is_not_ended() -> None:
    session = Session()
    session.say("user", "Why?", "r")
    session.say("assistant", "Let me look.", "r", stopReason="toolUse")

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            line, following = await opened(make, session)
            rows, pieces = await following.catch_up(2)
            assert [row.role for row in rows] == ["user", "assistant"]
            assert pieces == [Question("r", "Why?"), Begun("r"), Words("r", "Let me look.")]
            assert following.view.open == ["r"]
            await line.close()

    run(test)
    assert [method for method, _ in session.asked] == ["chat.history", "agent.wait"]
