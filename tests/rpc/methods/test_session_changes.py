import asyncio
from pathlib import Path

import pytest

from gateway.link.messages import Said
from gateway.protocol.scopes import WRITE
from gateway.sessions.records import RunRequest
from tests.agent.scripted import Scripted
from tests.conversing import agents
from tests.rpc.calls import make_peer
from tests.rpc.methods.talking import NEW, OLD, run, talking
from tests.runs.world import until
from tests.sessions.talk import MAIN, NOW, assistant, converse, user

KEY = "agent:main:work"
WRITER = make_peer(4, WRITE)


def test_beginning_anew(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await converse(talk.store, "r1", KEY, "hello", assistant("Hi."))
            before = await talk.store.patch(KEY, "main", lambda _: {"label": "Lbl"}, NOW)
            answer = await talk.get("sessions.reset", {"key": "work"}, OLD)
            assert (answer["ok"], answer["key"], answer["entry"]["label"]) == (True, KEY, "Lbl")
            assert (answer["entry"]["totalTokens"], answer["entry"]["systemSent"]) == (0, False)
            assert answer["entry"]["sessionId"] != before.id and "resolved" not in answer
            assert await talk.store.rows(KEY, 10) == []
            ask = {"key": "work", "expectedSessionId": before.id}
            assert await talk.refusal("sessions.reset", ask) == f"Session {KEY} changed before reset. Retry."
            assert (await talk.get("sessions.reset", {"key": "new"}))["resolved"]["model"] == "m1"

    run(scenario())


def test_deleting(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await converse(talk.store, "r1", KEY, "hello", assistant("Hi."))
            gone = {"ok": True, "key": KEY, "deleted": True, "archived": []}
            another = {"key": "work", "expectedLifecycleRevision": "other"}
            assert await talk.refusal("sessions.delete", another) == f"Session {KEY} changed before delete. Retry."
            assert await talk.get("sessions.delete", {"key": "work"}, OLD) == gone
            assert await talk.store.session(KEY) is None
            assert await talk.get("sessions.delete", {"key": "work"}, OLD) == gone | {"deleted": False}
            sentence = "Cannot delete the main session (agent:main:main)."
            assert await talk.refusal("sessions.delete", {"key": "main"}, OLD) == sentence

    run(scenario())


def test_who_may_delete_what(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await talk.store.patch(KEY, "main", lambda _: {}, NOW)
            ask = {"key": "work", "archivedOnly": True}
            assert await talk.refusal("sessions.delete", {"key": "work"}, WRITER) == "missing scope: operator.admin"
            assert await talk.refusal("sessions.delete", ask, make_peer(3, WRITE)) == "missing scope: operator.admin"
            assert await talk.refusal("sessions.delete", ask, WRITER) == (
                f"Session {KEY} is not archived. Archive it first, then delete it."
            )
            await talk.store.patch(KEY, "main", lambda _: {"archived": True}, NOW)
            assert (await talk.get("sessions.delete", ask, WRITER))["deleted"] is True

    run(scenario())


def test_forgetting_what_is_old(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            answer = {"ok": True, "key": KEY, "compacted": False}
            assert await talk.get("sessions.compact", {"key": "work"}, OLD) == answer | {"reason": "no sessionId"}
            await talk.store.patch(KEY, "main", lambda _: {}, NOW)
            assert await talk.get("sessions.compact", {"key": "work"}) == answer | {"reason": "no transcript"}
            await converse(talk.store, "r1", KEY, "hello", assistant("Hi."))
            assert await talk.get("sessions.compact", {"key": "work"}, OLD) == answer | {"kept": 2}
            short = await talk.get("sessions.compact", {"key": "work", "maxLines": 1})
            assert short == answer | {"compacted": True, "kept": 1}
            assert [row.message["role"] for row in await talk.store.rows(KEY, 10)] == ["assistant"]

    run(scenario())


@pytest.mark.usefixtures("scripted")
def test_summing_up_forgets_nothing_and_no_chat_hears_of_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agents() as there, talking(tmp_path, dial=there.dial) as talk:
            await converse(talk.store, "r1", KEY, "hello", assistant("Hi."))
            client = talk.listen(NEW)
            talk.core.hub.begin_request()
            asked = asyncio.create_task(talk.get("sessions.compact", {"key": "work"}))
            await until(lambda: Scripted.by_session)
            assert talk.core.hub.busy == 0, "who waits for it holds up no restart"
            talk.core.hub.begin_request()
            (script,) = Scripted.by_session.values()
            assert (await talk.refusal("sessions.compact", {"key": "work"})).startswith(f"Session {KEY} has an active")
            sizes = {"tokensBefore": 900, "tokensAfter": 90}
            script.happen(Said({"role": "compaction", "summary": "They met.", "timestamp": NOW, **sizes}))
            script.end()
            done = {"ok": True, "key": KEY, "compacted": True, "result": {"summary": "They met.", **sizes}}
            assert await asked == done
            events = await talk.told(client)
            assert "chat" not in {event["event"] for event in events}
            streams = [event["payload"]["stream"] for event in events if event["event"] == "agent"]
            assert "compaction" in streams
            history = await talk.get("chat.history", {"sessionKey": "work"})
            assert [message["role"] for message in history["messages"]] == ["user", "assistant", "system"]
            assert history["messages"][-1]["__openclaw"] | sizes == history["messages"][-1]["__openclaw"]
            old = await talk.get("chat.history", {"sessionKey": "work"}, OLD)
            assert [message["role"] for message in old["messages"]] == ["user", "assistant"]
            session = await talk.store.session(KEY)
            assert session is not None and (session.compactions, session.total) == (1, 90)

    run(scenario())


@pytest.mark.usefixtures("scripted")
def test_a_summary_that_fails_is_answered_as_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agents() as there, talking(tmp_path, dial=there.dial) as talk:
            await converse(talk.store, "r1", KEY, "hello", assistant("Hi."))
            asked = asyncio.create_task(talk.get("sessions.compact", {"key": "work"}))
            await until(lambda: Scripted.by_session)
            (script,) = Scripted.by_session.values()
            script.fail()
            assert await asked == {"ok": False, "key": KEY, "compacted": False, "reason": "no"}
            assert len(await talk.store.rows(KEY, 10)) == 2

    run(scenario())


def test_a_new_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            answer = await talk.get("sessions.create", {"label": "New", "thinkingLevel": "low", "model": "m1"}, WRITER)
            assert answer["key"].startswith("agent:main:dashboard:") and answer["runStarted"] is False
            session = await talk.store.session(answer["key"])
            assert session is not None and session.id == answer["sessionId"]
            assert session.entry == {"label": "New", "thinkingLevel": "low", "model": "mock/m1"}
            assert (answer["resolved"]["model"], answer["resolved"]["thinkingLevel"]) == ("m1", "low")
            assert await talk.refusal("sessions.create", {"label": "New"}) == "label already in use: New"

    run(scenario())


def test_a_new_session_with_its_first_message(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            ask = {"key": "work", "message": "hello", "idempotencyKey": "r1"}
            answer = await talk.get("sessions.create", ask)
            assert (answer["key"], answer["runStarted"], answer["runId"]) == (KEY, True, "r1")
            stored = await talk.store.run("r1")
            assert stored is not None and stored.request.prompt["content"] == [{"type": "text", "text": "hello"}]

    run(scenario())


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        ({"worktree": True}, "worktree is not supported by this gateway"),
        ({"cwd": "/x"}, "cwd is not supported by this gateway"),
        ({"agentId": "nobody"}, 'unknown agent id "nobody"'),
    ],
)
def test_what_a_new_session_cannot_have(tmp_path: Path, ask: dict[str, object], sentence: str) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            assert await talk.refusal("sessions.create", ask) == sentence

    run(scenario())


def test_ending_what_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            nothing = {"ok": True, "abortedRunId": None, "status": "no-active-run"}
            assert await talk.get("sessions.abort", {"key": "work"}) == nothing
            await talk.core.conversations.submit("r1", KEY, RunRequest(user("one")))
            await talk.core.conversations.submit("r2", KEY, RunRequest(user("two")))
            answer = await talk.get("sessions.abort", {"runId": "r2"})
            assert answer == {"ok": True, "abortedRunId": "r2", "status": "aborted"}
            answer = await talk.get("sessions.abort", {"key": "work", "clearQueued": True})
            assert answer["abortedRunId"] == "r1"
            assert await talk.refusal("sessions.abort", {"runId": "none"}) == "key or runId required"

    run(scenario())


def test_what_goes_on_is_ended_before_its_session_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await talk.core.conversations.submit("r1", KEY, RunRequest(user("one")))
            await talk.core.conversations.submit("r2", KEY, RunRequest(user("two")))
            assert (await talk.get("sessions.delete", {"key": "work"}, NEW))["deleted"] is True
            for id in ("r1", "r2"):
                stored = await talk.store.run(id)
                assert stored is not None and not stored.unfinished, id

    run(scenario())


def test_whoever_may_not_write_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            for name in ("sessions.reset", "sessions.compact"):
                assert await talk.refusal(name, {"key": MAIN}, WRITER) == "missing scope: operator.admin"

    run(scenario())
