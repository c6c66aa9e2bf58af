from pathlib import Path

from gateway.protocol.scopes import WRITE
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured
from tests.rpc.methods.talking import run, talking
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
