from pathlib import Path
from typing import Any

import pytest

from gateway.protocol.scopes import READ
from gateway.sessions.records import Filter
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured
from tests.rpc.methods.talking import NEW, OLD, Caller, run, talking
from tests.sessions.talk import MAIN, NOW, assistant, converse

WORK = "agent:main:work"
DEFAULTS = {"modelProvider": "mock", "model": "m1", "contextTokens": 200000}


async def two(talk: Caller) -> None:
    """A main session and a later one."""
    await converse(talk.store, "r1", MAIN, "Plan my trip\nto Vienna", assistant("Gladly."))
    await converse(talk.store, "r2", WORK, "second", assistant("It is."), now=NOW + 1000)


def keys(payload: dict[str, Any]) -> list[str]:
    return [row["key"] for row in payload["sessions"]]


def test_without_a_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            old = await talk.get("sessions.list", {"limit": 5, "includeGlobal": True}, OLD)
            assert old.pop("ts") > 0
            assert old == {"path": "(multiple)", "count": 0, "defaults": DEFAULTS, "sessions": []}
            new = await talk.get("sessions.list", {"offset": 7})
            assert (new["totalCount"], new["limitApplied"], new["offset"]) == (0, 100, 7)
            assert (new["nextOffset"], new["hasMore"], new["owners"]) == (None, False, [])
            assert new["defaults"].items() > DEFAULTS.items()

    run(scenario())


def test_rows_of_protocol_3(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await two(talk)
            wanted = {"includeDerivedTitles": True, "includeLastMessage": True}
            first, second = (await talk.get("sessions.list", wanted, OLD))["sessions"]
            assert first == {
                "key": WORK,
                "kind": "direct",
                "chatType": "direct",
                "origin": {"provider": "webchat", "surface": "webchat", "chatType": "direct"},
                "updatedAt": NOW + 1000,
                "sessionId": first["sessionId"],
                "systemSent": True,
                "abortedLastRun": False,
                "inputTokens": 10,
                "outputTokens": 5,
                "totalTokens": 18,
                "modelProvider": "mock",
                "model": "m1",
                "contextTokens": 200000,
                "deliveryContext": {"channel": "webchat"},
                "lastChannel": "webchat",
                "derivedTitle": "second",
                "lastMessagePreview": "It is.",
            }
            assert (second["derivedTitle"], second["lastMessagePreview"]) == ("Plan my trip to Vienna", "Gladly.")
            bare = (await talk.get("sessions.list", {}, OLD))["sessions"][0]
            assert "derivedTitle" not in bare and "lastMessagePreview" not in bare

    run(scenario())


def test_rows_of_protocol_4(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await two(talk)
            work, main = (await talk.get("sessions.list"))["sessions"]
            assert (work["classification"], work["isMain"], main["classification"], main["isMain"]) == (
                *("direct", False),
                *("main", True),
            )
            assert (work["agentId"], work["status"], work["hasActiveRun"], work["activeRunIds"]) == (
                *("main", "done"),
                *(False, []),
            )
            assert (work["archived"], work["pinned"], work["unread"]) == (False, False, False)
            assert (work["modelOverrideSource"], work["thinkingOptions"]) == (None, ["off"])
            assert work["snapshotAt"] > 0

    run(scenario())


def test_pages(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await two(talk)
            first = await talk.get("sessions.list", {"limit": 1})
            assert (keys(first), first["totalCount"], first["nextOffset"], first["hasMore"]) == ([WORK], 2, 1, True)
            last = await talk.get("sessions.list", {"limit": 1, "offset": 1})
            assert (keys(last), last["nextOffset"], last["hasMore"], last["offset"]) == ([MAIN], None, False, 1)

    run(scenario())


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"search": "WORK"}, [WORK]),
        ({"search": " "}, [MAIN, WORK]),
        ({"label": "Lbl"}, [MAIN]),
        ({"agentId": "MAIN"}, [MAIN, WORK]),
        ({"agentId": "nobody"}, []),
        ({"activeMinutes": 1}, []),
        ({"activeMinutes": 2**53 - 1}, [MAIN, WORK]),
        ({"offset": 2**53 - 1}, []),
        ({"activeOnly": True}, []),
        ({"pinned": True}, [MAIN]),
        ({"pinned": False}, [WORK]),
        ({"archived": True}, ["agent:main:old"]),
        ({"archived": "all"}, [MAIN, "agent:main:old", WORK]),
        ({"group": "trips"}, [WORK]),
        ({"group": ""}, [MAIN]),
        ({"includeGlobal": True}, [MAIN, "global", WORK]),
        ({"excludeCron": True, "excludeSubagents": True, "configuredAgentsOnly": True}, [MAIN, WORK]),
        ({"creatorId": "somebody"}, []),
        ({"hasBoard": True}, []),
    ],
)
def test_filters(tmp_path: Path, params: dict[str, Any], expected: list[str]) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await two(talk)
            await talk.store.patch(MAIN, "main", lambda _: {"label": "Lbl", "pinned": True}, NOW)
            await talk.store.patch(WORK, "main", lambda _: {"category": "trips"}, NOW)
            await talk.store.patch("agent:main:old", "main", lambda _: {"archived": True}, NOW + 2000)
            await talk.store.patch("global", "main", lambda _: {}, NOW + 3000)
            assert keys(await talk.get("sessions.list", params)) == expected

    run(scenario())


def test_hidden_kinds(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            for key in ("agent:main:cron:1", "agent:main:subagent:2", "agent:gone:x"):
                await talk.store.patch(key, key.split(":")[1], lambda _: {}, NOW)
            wanted = {"excludeCron": True, "excludeSubagents": True}
            assert keys(await talk.get("sessions.list", wanted)) == ["agent:gone:x"]
            assert keys(await talk.get("sessions.list", {"excludeCron": True, "configuredAgentsOnly": True})) == [
                "agent:main:subagent:2"
            ]

    run(scenario())


def test_a_wrong_param_is_named() -> None:
    for params, fault in (
        ({"bogus": 1}, "at root: unexpected property 'bogus'"),
        ({"sortBy": "bogus"}, "at /sortBy: must be equal to one of the allowed values"),
    ):
        error = call(configured(), OLD, "sessions.list", params)["error"]
        assert error["message"] == f"invalid sessions.list params: {fault}"


def test_without_the_database_whoever_asks_is_told_why() -> None:
    for name, params in (
        ("sessions.list", {}),
        ("sessions.describe", {"key": MAIN}),
        ("sessions.preview", {"keys": [MAIN]}),
        ("sessions.resolve", {"key": MAIN}),
        ("sessions.patch", {"key": MAIN}),
        ("sessions.reset", {"key": MAIN}),
        ("sessions.delete", {"key": WORK}),
        ("sessions.compact", {"key": MAIN}),
        ("sessions.create", {}),
        ("sessions.abort", {"key": MAIN}),
        ("sessions.usage", {}),
        ("usage.cost", {}),
    ):
        error = call(configured(), NEW, name, params)["error"]
        assert (error["code"], error["retryable"]) == ("UNAVAILABLE", True), name
        assert "/dev/null/gateway" in error["message"]


def test_a_session_is_described(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await two(talk)
            ask = {"key": "work", "includeDerivedTitles": True, "includeLastMessage": True}
            row = (await talk.get("sessions.describe", ask))["session"]
            assert (row["key"], row["derivedTitle"], row["lastMessagePreview"]) == (WORK, "second", "It is.")
            assert await talk.get("sessions.describe", {"key": "agent:main:none"}) == {"session": None}

    run(scenario())


def test_subscribing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await two(talk)
            assert await talk.get("sessions.subscribe") == {"subscribed": True}
            answer = await talk.get("sessions.subscribe", {"limit": 1})
            assert answer["subscribed"] is True and keys(answer["list"]) == [WORK]
            ask = {"key": "work", "includeApprovals": True}
            known = {"key": WORK, "agentId": "main"}
            assert await talk.get("sessions.messages.subscribe", ask) == {"subscribed": True, **known}
            assert await talk.get("sessions.messages.unsubscribe", {"key": WORK}) == {"subscribed": False, **known}

    run(scenario())


def test_reading_needs_the_scope(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            stranger = make_peer(4, "operator.pairing")
            for name in ("sessions.list", "sessions.describe", "sessions.resolve", "sessions.usage"):
                assert await talk.refusal(name, {}, stranger) == "missing scope: operator.read"
            await talk.get("sessions.list", {}, make_peer(4, READ))

    run(scenario())


def test_a_store_that_holds_more_than_one_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            for number in range(101):
                await talk.store.patch(f"agent:main:s{number}", "main", lambda _: {}, NOW + number)
            assert len(keys(await talk.get("sessions.list"))) == 100
            assert len(keys(await talk.get("sessions.list", {}, OLD))) == 101
            assert (await talk.store.sessions(Filter())).total == 101

    run(scenario())


NEWER = ["sessions.subscribe", "sessions.messages.subscribe", "sessions.describe", "chat.startup", "chat.metadata"]


@pytest.mark.parametrize("name", [*NEWER, "sessions.create", "sessions.abort", "commands.list"])
def test_what_protocol_3_does_not_have(name: str) -> None:
    assert call(configured(), make_peer(3), name)["error"]["message"] == f"unknown method: {name}"
