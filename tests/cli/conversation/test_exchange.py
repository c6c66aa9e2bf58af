"""One message and its end, by a scripted gateway."""

import asyncio
from typing import Any

import pytest

from gateway.cli.conversation.exchange import Exchange
from gateway.client.errors import CallFailed
from gateway.client.reconnecting import ReconnectingClient
from tests.cli.conversation.scripted import ScriptedGateway, Session, refuse, run, serving

ACCEPTED: dict[str, Any] = {"payload": {"runId": "r", "status": "started"}}


def held(session: Session, *steps: str) -> str | None:
    """What `ask` says, when these things happen: once the gateway has been asked as the step begins with."""
    said: list[str | None] = []
    aborts: list[asyncio.Future[Any]] = []

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            client = ReconnectingClient(make)
            await client.connect()
            exchange = Exchange(client, session.key)
            holding = asyncio.ensure_future(exchange.ask("Why?", "high"))
            for step in steps:
                method, _, what = step.partition(" ")
                while method not in [asked for asked, _ in session.asked]:
                    await asyncio.sleep(0)
                if method == "chat.send":
                    await client.call("settle")  # its answer has come, too
                    for _ in range(10):
                        await asyncio.sleep(0)
                if (abort := getattr(exchange, what)()) is not None:
                    aborts.append(abort)
            try:
                said.append(await holding)
                await asyncio.gather(*aborts)
            finally:
                await client.close()

    run(test)
    return said[0]


def test_an_answer() -> None:
    session = Session()
    session.answers["chat.send"] = [ACCEPTED]
    assert held(session, "chat.send complete") is None
    params = session.asked[0][1]
    assert params.pop("idempotencyKey")
    assert params == {"sessionKey": session.key, "message": "Why?", "thinking": "high"}


def test_an_interrupt_waits_for_the_end_of_the_answer() -> None:
    session = Session()
    session.answers["chat.send"] = [ACCEPTED]
    assert held(session, "chat.send interrupt", "chat.abort complete") is None
    asked = dict(session.asked)
    assert asked["chat.abort"] == {"sessionKey": session.key, "runId": asked["chat.send"]["idempotencyKey"]}


def test_a_second_interrupt_does_not() -> None:
    session = Session()
    session.answers["chat.send"] = [ACCEPTED]
    assert held(session, "chat.send interrupt", "chat.abort interrupt") == "not waited for any more"
    assert [method for method, _ in session.asked].count("chat.abort") == 1


def test_an_interrupt_before_the_gateway_has_answered() -> None:
    session = Session()
    session.answers["chat.send"] = [None]
    assert held(session, "chat.send interrupt") == "not sent"


@pytest.mark.parametrize(("aborted", "remark"), [(True, "stopped"), (False, "nothing is going on")])
def test_a_command_that_stops_something(aborted: bool, remark: str) -> None:
    session = Session()
    session.answers["chat.send"] = [{"payload": {"ok": True, "aborted": aborted, "runIds": []}}]
    assert held(session) == remark


def test_a_refusal() -> None:
    session = Session()
    session.answers["chat.send"] = [refuse(message="20 messages wait", retryable=True, retryAfterMs=2000)]
    with pytest.raises(CallFailed, match="20 messages wait"):
        held(session)


def test_it_is_over_only_once() -> None:
    session = Session()
    session.answers["chat.send"] = [ACCEPTED]
    assert held(session, "chat.send complete", "chat.send complete") is None
