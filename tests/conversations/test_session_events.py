"""What clients hear of sessions."""

from pathlib import Path
from typing import Any

import pytest

from gateway.conversations.session_events import MAX_MESSAGES
from gateway.protocol.scopes import READ
from gateway.sessions.records import Progress, RunRequest
from gateway.sessions.sqlite import StorageFailed
from tests.rpc.calls import make_peer
from tests.rpc.methods.talking import Caller, run, talking
from tests.sessions.talk import MAIN, NOW, assistant, converse, user

KEY = "agent:main:work"
EAR = make_peer(4, READ)


def summary(frames: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Event and reason, phase or role of each."""
    found = []
    for frame in frames:
        payload = frame["payload"]
        role = payload.get("message", {}).get("role")
        found.append((frame["event"], payload.get("reason") or payload.get("phase") or role))
    return [each for each in found if each[0].startswith("session")]


async def ended(talk: Caller, id: str) -> None:
    stored = await talk.store.run(id)
    assert stored is not None
    talk.core.conversations.session_events.ended(stored, None)


def test_a_change_comes_with_the_row(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            ear = talk.listen(EAR)
            await talk.get("sessions.patch", {"key": "work", "label": "Lbl", "model": "m1"})
            (frame,) = await talk.told(ear)
            payload = frame["payload"]
            assert (frame["event"], payload["sessionKey"], payload["agentId"]) == ("sessions.changed", KEY, "main")
            assert (payload["reason"], payload["catalogChanged"], payload["ancestorSessions"]) == ("create", True, [])
            row = payload["session"]
            assert (row["label"], row["model"], row["derivedTitle"]) == ("Lbl", "m1", "Lbl")
            assert (payload["sessionId"], payload["hasActiveRun"]) == (row["sessionId"], False)

    run(scenario())


def test_who_hears_of_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            deaf = [talk.listen(make_peer(3, READ)), talk.listen(make_peer(4, "operator.pairing"))]
            await talk.get("sessions.patch", {"key": "work", "label": "Lbl"})
            assert talk.core.conversations.session_events.telling is None, "nobody listens"
            ear = talk.listen(EAR)
            await talk.get("sessions.patch", {"key": "work", "label": None})
            assert summary(await talk.told(ear)) == [("sessions.changed", "patch")]
            assert [await talk.told(each) for each in deaf] == [[], []]

    run(scenario())


def test_changes_that_come_close_together_are_told_as_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            ear = talk.listen(EAR)
            await talk.store.patch(KEY, "main", lambda _: {}, NOW)
            talk.core.conversations.session_events.tell(KEY, "patch", catalogChanged=True)
            for _ in range(50):
                talk.core.conversations.session_events.tell(KEY, "compact")
            (frame,) = await talk.told(ear)
            assert (frame["payload"]["reason"], frame["payload"]["catalogChanged"]) == ("compact", True)

    run(scenario())


def test_what_is_done_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await converse(talk.store, "r1", KEY, "hello", assistant("Hi."))
            for name, more, reason in (
                ("sessions.compact", {"maxLines": 1}, "compact"),
                ("sessions.reset", {}, "reset"),
                ("sessions.delete", {}, "delete"),
            ):
                ear = talk.listen(EAR)
                before = await talk.store.session(KEY)
                await talk.get(name, {"key": "work", **more})
                (frame,) = await talk.told(ear)
                assert frame["payload"]["reason"] == reason
                if reason == "delete":
                    assert before is not None and frame["payload"]["sessionId"] == before.id
                    assert "session" not in frame["payload"]

    run(scenario())


def test_messages_of_a_run_each_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            changes, ear = talk.core.conversations.session_events, talk.listen(EAR)
            await converse(talk.store, "r0", KEY, "before", assistant("Yes."))
            await talk.store.accept("r1", KEY, "main", RunRequest(user("hello")), NOW)
            begun = await talk.store.begin("r1", NOW)
            assert begun is not None
            changes.ended(begun, None)  # as after it has begun: what is there is told
            frames = await talk.told(ear)
            assert summary(frames)[0] == ("session.message", "user")
            said = frames[0]["payload"]
            assert (said["messageSeq"], said["message"]["idempotencyKey"]) == (3, "r1:user")
            assert said["messageId"] == said["message"]["__openclaw"]["id"]
            await talk.store.end(Progress("r1", 2, "", {2: assistant("Hi.")}), "done", NOW)
            await ended(talk, "r1")
            rest = (await talk.told(ear))[len(frames) :]
            assert summary(rest) == [("session.message", "assistant"), ("sessions.changed", "end")]
            assert (rest[0]["payload"]["messageSeq"], rest[1]["payload"]["runId"]) == (4, "r1")

    run(scenario())


def test_what_a_run_says_that_is_kept_nowhere_is_not_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            ear = talk.listen(EAR)
            await talk.store.patch(MAIN, "main", lambda _: {}, NOW)
            await talk.store.accept("r1", MAIN, "main", RunRequest(user("hello"), keeps=False), NOW)
            await ended(talk, "r1")
            assert [name for name, _ in summary(await talk.told(ear))] == ["sessions.changed"]

    run(scenario())


def test_a_very_long_run_is_told_up_to_the_bound(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            ear = talk.listen(EAR)
            await converse(talk.store, "r1", KEY, "go", *(assistant(str(number)) for number in range(MAX_MESSAGES)))
            await ended(talk, "r1")
            names = [name for name, _ in summary(await talk.told(ear))]
            assert names.count("session.message") == MAX_MESSAGES

    run(scenario())


@pytest.mark.parametrize(("state", "phase"), [("done", "end"), ("aborted", "end"), ("failed", "error")])
def test_how_a_run_ended(tmp_path: Path, state: Any, phase: str) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            ear = talk.listen(EAR)
            await talk.store.accept("r1", KEY, "main", RunRequest(user("hello")), NOW)
            await talk.store.begin("r1", NOW)
            await talk.store.end(Progress("r1", 1, ""), state, NOW)
            await ended(talk, "r1")
            assert summary(await talk.told(ear))[-1] == ("sessions.changed", phase)

    run(scenario())


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (StorageFailed("the disk is gone"), f"clients are not told of a change of session {KEY}"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_an_error_is_logged_and_keeps_nobody_from_hearing_of_the_next_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, error: Exception, logged: str
) -> None:
    async def fail(*asked: object) -> None:
        raise error

    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            ear = talk.listen(EAR)
            with monkeypatch.context() as broken:
                broken.setattr(talk.store, "news", fail)
                talk.core.conversations.session_events.tell(KEY, "patch")
                assert await talk.told(ear) == []
            await talk.get("sessions.patch", {"key": "work", "label": "x"})
            assert len(await talk.told(ear)) == 1

    run(scenario())
    assert logged in caplog.text


def test_what_is_still_to_be_told_is_told_when_the_process_leaves(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            ear = talk.listen(EAR)
            await talk.store.patch(KEY, "main", lambda _: {}, NOW)
            talk.core.conversations.session_events.tell(KEY, "patch")
            await talk.core.conversations.session_events.close()
            assert summary(await talk.told(ear)) == [("sessions.changed", "patch")]

    run(scenario())
