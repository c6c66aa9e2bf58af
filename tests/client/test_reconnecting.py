"""A connection that breaks, against a scripted gateway."""

import asyncio
from typing import Any

import pytest

from gateway.client.client import GatewayClient
from gateway.client.errors import CallFailed, ConnectRefused, Disconnected
from gateway.client.reconnecting import RECONNECTED, SOON_S, ReconnectingClient
from gateway.errors import GatewayError, NotRunning, TimedOut
from tests.cli.conversation.scripted import Respond, ScriptedGateway, refuse, run, serving


def breaking(times: int) -> Respond:
    def respond(number: int, request: dict[str, Any]) -> dict[str, Any] | str:
        if request["method"] == "connect":
            return {"payload": {}}
        return {"payload": number} if number > times else "break"

    return respond


def test_what_was_asked_is_asked_again() -> None:
    gateway = ScriptedGateway(breaking(2))

    async def test() -> None:
        async with serving(gateway) as make:
            client = ReconnectingClient(make)
            await client.connect()
            assert await client.call("ask") == 3
            await client.close()

    run(test)
    assert gateway.seen == [(n, method) for n in (1, 2, 3) for method in ("connect", "ask")]


def test_requests_at_once_make_one_connection_anew() -> None:
    gateway = ScriptedGateway(breaking(1))

    async def test() -> None:
        async with serving(gateway) as make:
            client = ReconnectingClient(make)
            await client.connect()
            assert await asyncio.gather(*(client.call("ask") for _ in range(5))) == [2] * 5
            await client.close()

    run(test)
    assert gateway.count == 2


def test_events_tell_that_something_was_missed() -> None:
    def respond(number: int, request: dict[str, Any]) -> dict[str, Any] | str:
        if request["method"] == "connect":
            return {"payload": {}, "events": [f"{number}a", f"{number}b"]}
        return "break" if number == 1 else {"payload": number}

    async def test() -> None:
        async with serving(ScriptedGateway(respond)) as make:
            client = ReconnectingClient(make)
            await client.connect()
            events = client.events()
            heard = [await anext(events), await anext(events)]
            await client.call("ask")
            heard += [await anext(events) for _ in range(3)]
            assert [event if event == RECONNECTED else event.name for event in heard] == [
                "1a",
                "1b",
                RECONNECTED,
                "2a",
                "2b",
            ]
            await client.close()

    run(test)


def test_a_break_while_catching_up_is_told_again() -> None:
    def respond(number: int, request: dict[str, Any]) -> dict[str, Any] | str:
        if request["method"] == "connect":
            return {"payload": {}, "events": ["tick"]}
        return {"payload": number} if number == 3 else "break"

    async def test() -> None:
        async with serving(ScriptedGateway(respond)) as make:
            client = ReconnectingClient(make)
            await client.connect()
            events = client.events()
            assert await anext(events) != RECONNECTED
            with pytest.raises(Disconnected):
                await client._client.call("ask")
            assert await anext(events) == RECONNECTED
            assert await client.call("ask") == 3  # on the third connection: the second breaks, too
            assert await anext(events) == RECONNECTED
            assert await anext(events) != RECONNECTED
            await client.close()

    run(test)


def test_a_gateway_that_is_away_is_waited_for_and_said_to_be_away() -> None:
    told: list[Any] = []

    def respond(number: int, request: dict[str, Any]) -> dict[str, Any] | str:
        if request["method"] == "connect":
            return "break" if number in (2, 3) else {"payload": {}}
        return "break" if number == 1 else {"payload": "there"}

    async def test() -> None:
        async with serving(ScriptedGateway(respond)) as make:
            client = ReconnectingClient(make, on_lost=told.append, on_reconnected=told.append, pauses_s=(0.0,))
            await client.connect()
            assert await client.call("ask") == "there"
            await client.close()

    run(test)
    lost, seconds = told
    assert isinstance(lost, Disconnected) and seconds >= 0


def test_nobody_waits_longer_than_his_patience() -> None:
    def respond(number: int, request: dict[str, Any]) -> dict[str, Any] | str:
        return {"payload": {}} if (number, request["method"]) == (1, "connect") else "break"

    async def test() -> None:
        async with serving(ScriptedGateway(respond)) as make:
            client = ReconnectingClient(make, give_up_after_s=0, pauses_s=(0.0,))
            await client.connect()
            with pytest.raises(Disconnected):
                await client.call("ask")

    run(test)


def test_a_gateway_that_was_never_there_is_not_waited_for() -> None:
    async def test() -> None:
        with pytest.raises(NotRunning):
            await ReconnectingClient(lambda: GatewayClient("ws://127.0.0.1:1")).connect()

    run(test)


@pytest.mark.parametrize("again", [True, False])
def test_a_gateway_that_lets_nobody_in_any_more(again: bool) -> None:
    def respond(number: int, request: dict[str, Any]) -> dict[str, Any] | str:
        if request["method"] == "connect" and number == 2:
            return refuse(retryable=again)
        if request["method"] == "connect":
            return {"payload": {}}
        return {"payload": number} if number == 3 else "break"

    async def test() -> None:
        async with serving(ScriptedGateway(respond)) as make:
            client = ReconnectingClient(make, pauses_s=(0.0,))
            await client.connect()
            if again:
                assert await client.call("ask") == 3
            else:
                with pytest.raises(ConnectRefused):
                    await client.call("ask")
            await client.close()

    run(test)


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        ({"retryable": True, "retryAfterMs": 1}, 2),
        ({"retryable": True, "retryAfterMs": int(SOON_S * 1000) + 1}, 1),
        ({"retryable": True}, 1),
        ({"retryAfterMs": 1}, 1),
    ],
)
def test_a_refusal_for_a_moment_is_no_answer(error: dict[str, Any], asked: int) -> None:
    asking: list[int] = []

    def respond(number: int, request: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "connect":
            return {"payload": {}}
        asking.append(number)
        return refuse(**error) if len(asking) == 1 else {"payload": "yes"}

    async def test() -> None:
        async with serving(ScriptedGateway(respond)) as make:
            client = ReconnectingClient(make)
            await client.connect()
            if asked == 2:
                assert await client.call("ask") == "yes"
            else:
                with pytest.raises(CallFailed):
                    await client.call("ask")
            await client.close()

    run(test)
    assert len(asking) == asked


def test_no_answer_is_no_broken_connection() -> None:
    def respond(number: int, request: dict[str, Any]) -> dict[str, Any] | None:
        return {"payload": {}} if request["method"] == "connect" else None

    async def test() -> None:
        async with serving(ScriptedGateway(respond)) as make:
            client = ReconnectingClient(make)
            await client.connect()
            with pytest.raises(TimedOut):
                await client.call("ask", timeout_s=0.01)
            await client.close()

    run(test)
    assert issubclass(TimedOut, GatewayError)
