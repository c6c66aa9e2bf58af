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
                ({}, "Either key, sessionId, label, shortId, or reference is required"),
            ):
                assert await talk.refusal("sessions.resolve", ask, NEW) == sentence

    run(scenario())


def test_the_short_id_of_an_address(tmp_path: Path) -> None:
    ends = ("356981151111", "356981152222")
    first, second = (f"agent:main:dashboard:fb6eb1d4-d3ed-461f-af95-{end}" for end in ends)

    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            for key in (first, second):
                await talk.store.patch(key, "main", lambda _: {}, NOW)
            whole = {"shortId": "FB6EB1D4D3ED461FAF95356981152222", "slugHint": "delta"}
            assert await talk.get("sessions.resolve", whole) == {"ok": True, "key": second, "agentId": "main"}
            assert (await talk.get("chat.startup", whole))["sessionKey"] == second
            several = await talk.get("sessions.resolve", {"shortId": "fb6eb1d4", "agentId": "Main"})
            assert not several["ok"]
            assert {each["key"] for each in several["candidates"]} == {first, second}
            assert await talk.refusal("chat.startup", {"shortId": "fb6eb1d4"}) == "session not found"
            assert await talk.refusal("sessions.resolve", {"shortId": "fb6eb1d5"}) == "No session found: fb6eb1d5"
            assert not (await talk.get("sessions.resolve", {"shortId": "fb6eb1d5", "allowMissing": True}))["ok"]
            for bad in ("fb6eb1d", "f" * 33, "fb6eb1d%", "main"):
                assert "8-32 hexadecimal" in await talk.refusal("sessions.resolve", {"shortId": bad})
            by_key = {"reference": {"key": first, "slug": "delta"}}
            assert (await talk.get("sessions.resolve", by_key))["key"] == first

    run(scenario())


def test_a_session_has_no_branch_and_no_progress() -> None:
    ask = {"sessionKey": "agent:main:main", "agentId": "main"}
    assert call(configured(), NEW, "sessions.branches.list", ask)["payload"] == {"branches": []}
    assert call(configured(), NEW, "progressCard.get", ask)["payload"] == {"card": None}
