from pathlib import Path

from tests.rpc.calls import call
from tests.rpc.methods.configured import configured
from tests.rpc.methods.talking import NEW, OLD, run, talking
from tests.sessions.talk import MAIN, NOW, assistant, converse, tool_result


def test_how_sessions_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            said = [tool_result("look", "found it"), assistant("", NOW), assistant("x" * 30)]
            await converse(talk.store, "r1", MAIN, "Hello there, please", *said)
            await talk.store.patch("agent:main:empty", "main", lambda _: {}, NOW)
            ask = {"keys": ["main", "empty", "none", "agent:"], "maxChars": 20}
            answer = await talk.get("sessions.preview", ask, OLD)
            assert answer["ts"] > 0
            assert answer["previews"] == [
                {
                    "key": "main",
                    "status": "ok",
                    "items": [
                        {"role": "user", "text": "Hello there, please"},
                        {"role": "tool", "text": "found it"},
                        {"role": "assistant", "text": "x" * 17 + "..."},
                    ],
                },
                {"key": "empty", "status": "empty", "items": []},
                {"key": "none", "status": "missing", "items": []},
                {"key": "agent:", "status": "missing", "items": []},
            ]
            short = await talk.get("sessions.preview", {"keys": [MAIN], "limit": 1})
            assert [item["role"] for item in short["previews"][0]["items"]] == ["assistant"]

    run(scenario())


def test_at_least_one_key() -> None:
    error = call(configured(), OLD, "sessions.preview", {"keys": []})["error"]
    assert error["message"] == "invalid sessions.preview params: at /keys: must NOT have fewer than 1 items"


def test_which_session_a_name_means(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            session = await talk.store.patch("agent:main:work", "main", lambda _: {"label": "Lbl"}, NOW)
            by_label = {"label": "Lbl", "agentId": "main"}
            for ask in ({"key": "WORK"}, {"sessionId": session.id}, {"label": "Lbl"}, by_label):
                assert await talk.get("sessions.resolve", ask, OLD) == {"ok": True, "key": "agent:main:work"}, ask
            newer = {"ok": True, "key": "agent:main:work", "agentId": "main"}
            assert await talk.get("sessions.resolve", {"key": "work"}) == newer
            assert await talk.get("sessions.resolve", {"key": "none", "allowMissing": True}) == {"ok": False}

    run(scenario())


def test_a_name_that_means_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            for agent in ("a", "b"):
                await talk.store.patch(f"agent:{agent}:x", agent, lambda _: {"label": "twice"}, NOW)
            for ask, sentence in (
                ({"key": "none"}, "No session found: none"),
                ({"key": "agent:"}, "No session found: agent:"),
                ({"sessionId": "none"}, "No session found: none"),
                ({"label": "none"}, "No session found with label: none"),
                ({"label": "twice"}, "Multiple sessions found with label: twice (agent:a:x, agent:b:x)"),
                ({}, "Either key, sessionId, or label is required"),
            ):
                assert await talk.refusal("sessions.resolve", ask, NEW) == sentence

    run(scenario())


def test_a_session_has_no_branch_and_no_progress() -> None:
    ask = {"sessionKey": "agent:main:main", "agentId": "main"}
    assert call(configured(), NEW, "sessions.branches.list", ask)["payload"] == {"branches": []}
    assert call(configured(), NEW, "progressCard.get", ask)["payload"] == {"card": None}
