"""A session is followed over broken connections, by a scripted gateway."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.cli.conversation import session_feed as module
from gateway.cli.conversation.events import ChatEvent, Question, RunBegun, RunEnded, TextDelta
from gateway.cli.conversation.session_feed import SessionFeed
from gateway.cli.conversation.view import View
from gateway.client.errors import CallFailed
from gateway.client.reconnecting import ReconnectingClient
from tests.cli.conversation.scripted import ScriptedGateway, Session, refuse, run, serving


async def some(events: AsyncIterator[ChatEvent], count: int) -> list[ChatEvent]:
    return [await anext(events) for _ in range(count)]


async def opened(make: Any, session: Session) -> tuple[ReconnectingClient, SessionFeed]:
    client = ReconnectingClient(make, pauses_s=(0.0,))
    await client.connect()
    return client, SessionFeed(client, View(session.key))


def test_somebody_elses_question_and_its_answer() -> None:
    session = Session()
    session.say("user", "Why?", "r")
    told = [session.event("delta", "So", deltaText="So"), session.event("final", "So.")]
    session.answers["ask"] = [{"payload": {}, "events": told}]

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            client, feed = await opened(make, session)
            await client.call("ask")
            assert await some(feed.events(), 5) == [
                *(Question("r", "Why?"), RunBegun("r"), TextDelta("r", "So"), TextDelta("r", ".")),
                RunEnded("r", "final", "So."),
            ]
            await client.close()

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
            client, feed = await opened(make, session)
            await client.call("ask")
            assert await some(feed.events(), 3) == [RunBegun("r"), TextDelta("r", "So."), RunEnded("r", "final", "So.")]
            await client.close()

    run(test)


@pytest.mark.parametrize(
    ("ended", "last"),
    [
        ({"status": "ok"}, RunEnded("r", "final", "So it is.")),
        ({"status": "error", "error": "lost"}, RunEnded("r", "error", "So it is.", "lost")),
        ({"status": "error"}, RunEnded("r", "error", "So it is.", "it failed")),
    ],
)
def test_what_was_missed_is_read_again(monkeypatch: pytest.MonkeyPatch, ended: dict[str, Any], last: RunEnded) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0)
    session = Session()
    session.say("user", "Why?", "r")
    session.answers = {
        "ask": [{"payload": {}, "events": [session.event("delta", "So", deltaText="So")]}],
        "break": ["break"],
        "chat.history": [refuse(retryable=True)],  # the database is not there yet
    }

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            client, feed = await opened(make, session)
            feed.view.expect("r")
            events = feed.events()
            await client.call("ask")
            assert await some(events, 2) == [RunBegun("r"), TextDelta("r", "So")]
            session.say("assistant", "So it is.", "r", stopReason="stop")
            session.ended["r"] = ended
            await client.call("break")
            assert await some(events, 2) == [TextDelta("r", " it is."), last]
            await client.close()

    run(test)


def test_a_gateway_that_will_never_tell() -> None:
    session = Session()
    session.answers = {"break": ["break"], "chat.history": [refuse()]}

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            client, feed = await opened(make, session)
            await client.call("break")
            with pytest.raises(CallFailed):
                await anext(feed.events())
            await client.close()

    run(test)


def test_a_run_that_goes_on_is_not_ended() -> None:
    session = Session()
    session.say("user", "Why?", "r")
    session.say("assistant", "Let me look.", "r", stopReason="toolUse")

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            client, feed = await opened(make, session)
            rows, events = await feed.catch_up(2)
            assert [row.role for row in rows] == ["user", "assistant"]
            assert events == [Question("r", "Why?"), RunBegun("r"), TextDelta("r", "Let me look.")]
            assert feed.view.open == ["r"]
            await client.close()

    run(test)
    assert [method for method, _ in session.asked] == ["chat.history", "agent.wait"]
