import asyncio
from pathlib import Path

import msgspec
import pytest

from gateway.link.messages import Said
from gateway.protocol.params import decode_params
from gateway.protocol.scopes import ADMIN, WRITE
from gateway.rpc.methods.agent import agent
from gateway.rpc.registry import Call
from tests.agent.scripted import Scripted
from tests.conversing import agents
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured
from tests.rpc.methods.talking import run, talking
from tests.runs.world import assistant as said
from tests.runs.world import until
from tests.sessions.talk import MAIN, NOW, assistant, converse

OLD = make_peer(3, WRITE)


def test_a_message_for_an_agent_is_accepted(tmp_path: Path) -> None:
    core = configured(folder=tmp_path)
    ask = {"message": "hello", "idempotencyKey": "k1"}
    first = call(core, OLD, "agent", ask)["payload"]
    assert first.pop("acceptedAt") > 0 and first == {"runId": "k1", "status": "accepted"}
    assert call(core, OLD, "agent", ask)["payload"]["status"] == "in_flight"
    waited = call(core, OLD, "agent.wait", {"runId": "k1", "timeoutMs": 0})["payload"]
    assert waited == {"runId": "k1", "status": "timeout"}


def test_nobody_waits_for_a_run_that_never_was(tmp_path: Path) -> None:
    waited = call(configured(folder=tmp_path), OLD, "agent.wait", {"runId": "nope", "timeoutMs": 60_000})["payload"]
    assert waited == {"runId": "nope", "status": "timeout"}


def test_an_agent_that_is_not_configured(tmp_path: Path) -> None:
    error = call(configured(folder=tmp_path), OLD, "agent", {"message": "x", "idempotencyKey": "k", "agentId": "no"})
    assert error["error"]["code"] == "INVALID_REQUEST"


def test_which_session_is_meant(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            work = await talk.store.patch("agent:main:work", "main", lambda _: {}, NOW)
            for number, (ask, key) in enumerate(
                [
                    ({}, MAIN),
                    ({"sessionKey": "work", "sessionId": "other"}, work.key),
                    ({"sessionId": work.id}, work.key),
                    ({"sessionId": "5f0c-1", "agentId": "main"}, "agent:main:explicit:5f0c-1"),
                ]
            ):
                accepted = await talk.get("agent", {"message": "x", "idempotencyKey": f"k{number}", **ask})
                assert (accepted["sessionKey"], accepted["agentId"]) == (key, "main")
                found = await talk.store.run(f"k{number}")
                assert found is not None and found.session == key, ask

    run(scenario())


def test_what_came_of_a_run_names_its_session_by_the_id(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await converse(talk.store, "r1", MAIN, "Hello", assistant("there"))
            answer = await talk.get("agent", {"message": "Hello", "idempotencyKey": "r1"})
            session = await talk.store.session(MAIN)
            assert session is not None
            assert answer["result"]["payloads"] == [{"text": "there", "mediaUrl": None}]
            assert answer["result"]["meta"]["agentMeta"]["sessionId"] == session.id

    run(scenario())


@pytest.mark.usefixtures("scripted")
def test_a_request_is_answered_twice(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agents() as there, talking(tmp_path, dial=there.dial) as talk:
            ear = talk.listen(OLD)
            call = Call(talk.core, ear, OLD, request_id="7")
            accepted = await agent.handler(
                call, decode_params(msgspec.Raw(b'{"message": "hi", "idempotencyKey": "k1"}'), agent.params)
            )
            assert (accepted.run_id, accepted.status) == ("k1", "accepted")
            waiting = asyncio.create_task(talk.get("agent.wait", {"runId": "k1"}))
            await until(lambda: Scripted.by_session)
            script = Scripted.by_session.popitem()[1]
            script.happen(Said(said("Yes")))
            script.end()
            waited = await waiting
            assert (waited["status"], waited["startedAt"] <= waited["endedAt"]) == ("ok", True)
            assert waited["stopReason"] == "stop"
            (second,) = [frame for frame in await talk.told(ear) if frame["type"] == "res"]
            assert (second["id"], second["ok"], second["payload"]["status"]) == ("7", True, "ok")
            assert second["payload"]["result"]["payloads"][0]["text"] == "Yes"

    run(scenario())


@pytest.mark.usefixtures("scripted")
def test_what_went_wrong_is_told_both_ways(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agents() as there, talking(tmp_path, dial=there.dial) as talk:
            await talk.get("agent", {"message": "hi", "idempotencyKey": "k1"})
            await until(lambda: Scripted.by_session)
            Scripted.by_session.popitem()[1].fail()
            waited = await talk.get("agent.wait", {"runId": "k1"})
            assert (waited["status"], waited["error"], waited["stopReason"]) == ("error", "no", "error")
            await talk.get("agent", {"message": "hi", "idempotencyKey": "k2"})
            await talk.core.conversations.abort(MAIN)
            waited = await talk.get("agent.wait", {"runId": "k2"})
            assert (waited["status"], waited["stopReason"]) == ("ok", "rpc")
            frame = await talk.ask("agent", {"message": "hi", "idempotencyKey": "k1"})
            assert frame["error"]["code"] == "UNAVAILABLE" and frame["error"]["message"] == "no"

    run(scenario())


def test_who_waits_holds_up_no_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            talk.core.hub.begin_request()
            await talk.get("agent", {"message": "hi", "idempotencyKey": "k1"})
            waiting = asyncio.create_task(talk.get("agent.wait", {"runId": "k1"}))
            await until(lambda: talk.core.conversations.runs._waiters)
            assert talk.core.hub.busy == 0
            talk.core.conversations.release_waiters()
            assert await waiting == {"runId": "k1", "status": "timeout"} and talk.core.hub.busy == 1
            talk.core.hub.end_request()
            await talk.core.conversations.abort(MAIN)

    run(scenario())


def test_a_model_is_chosen_by_who_may_set_it_of_a_session(tmp_path: Path) -> None:
    """Protocol 3 leaves that to an admin, by `sessions.patch` and so here too."""
    core = configured(folder=tmp_path)
    ask = {"message": "hello", "idempotencyKey": "k1", "model": "mock/m1"}
    assert call(core, OLD, "agent", ask)["error"]["message"] == f"missing scope: {ADMIN}"
    for number, peer in enumerate((make_peer(3, ADMIN), make_peer(4, WRITE))):
        assert call(core, peer, "agent", {**ask, "idempotencyKey": f"n{number}"})["ok"]
