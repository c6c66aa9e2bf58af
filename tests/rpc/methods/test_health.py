import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec

from gateway.config.schema import Config
from gateway.machine.clock import now_ms
from gateway.protocol.scopes import READ
from gateway.sessions.records import Page
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured
from tests.rpc.methods.talking import NEW, OLD, run, talking
from tests.sessions.talk import NOW, assistant, converse
from tests.slack import LIMIT_S

SESSIONS = {"path": "/home/u/.openclaw/agents/main/sessions/sessions.json", "count": 0, "recent": []}


def test_health_of_protocol_3() -> None:
    payload = call(FakeCore(), make_peer(3, READ), "health", {"probe": True})["payload"]
    assert payload.pop("ts") > 1_700_000_000_000
    assert payload.pop("durationMs") >= 0
    assert payload.pop("agents")[0]["sessions"] == SESSIONS
    assert payload == {
        "ok": True,
        "channels": {},
        "channelOrder": [],
        "channelLabels": {},
        "heartbeatSeconds": 0,
        "defaultAgentId": "main",
        "sessions": SESSIONS,
        "degraded": [],
    }


def test_health_of_protocol_4_needs_no_scope() -> None:
    payload = call(FakeCore(degraded=("config",)), make_peer(4), "health")["payload"]
    assert payload["configReload"] == {"hotReloadStatus": "active"}
    assert payload["plugins"] == {"loaded": [], "errors": [], "unavailable": []}
    assert payload["modelRuntime"] == {"degraded": False, "pendingAgents": []}
    assert payload["degraded"] == ["config"]


def test_reload_off_is_said() -> None:
    off = msgspec.convert({"gateway": {"reload": {"mode": "off"}}}, Config)
    payload = call(FakeCore(config=off), make_peer(4), "health")["payload"]
    assert payload["configReload"] == {"hotReloadStatus": "disabled"}


def test_status_of_protocol_3() -> None:
    payload = call(FakeCore(), make_peer(3, READ), "status")["payload"]
    assert payload == {
        "heartbeat": {
            "defaultAgentId": "main",
            "agents": [{"agentId": "main", "enabled": False, "every": "disabled", "everyMs": None}],
        },
        "channelSummary": [],
        "queuedSystemEvents": [],
        "sessions": {
            "paths": [SESSIONS["path"]],
            "count": 0,
            "defaults": {"model": "echo", "contextTokens": None},
            "recent": [],
            "byAgent": [{"agentId": "main", **SESSIONS}],
        },
    }


def test_status_of_protocol_4_says_more() -> None:
    payload = call(FakeCore(), make_peer(4, READ), "status", {"includeChannelSummary": False})["payload"]
    assert payload["runtimeVersion"] == "0.1.0"
    assert payload["tasks"]["byStatus"]["timed_out"] == 0
    assert payload["taskAudit"]["byCode"]["lost"] == 0
    assert payload["degradedPlugins"] == payload["degradedSecretOwners"] == []


def test_sessions_in_status(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await converse(talk.store, "r1", "agent:main:main", "hello", assistant("Hi."))
            await talk.store.patch("agent:main:work", "main", lambda _: {"thinkingLevel": "low"}, NOW + 1)
            found = (await talk.get("status", {}, OLD))["sessions"]
            assert (found["count"], found["byAgent"][0]["count"]) == (2, 2)
            work, main = found["recent"]
            assert found["byAgent"][0]["recent"] == [work, main]
            assert main.pop("age") >= 0
            assert main == {
                "agentId": "main",
                "key": "agent:main:main",
                "kind": "direct",
                "sessionId": main["sessionId"],
                "updatedAt": NOW,
                "systemSent": True,
                "abortedLastRun": False,
                "inputTokens": 10,
                "outputTokens": 5,
                "totalTokens": 18,
                "remainingTokens": 199982,
                "percentUsed": 0,
                "model": "m1",
                "contextTokens": 200000,
                "flags": ["system", f"id:{main['sessionId']}"],
            }
            assert (work["thinkingLevel"], work["flags"][0]) == ("low", "thinking:low")
            newer = (await talk.get("status"))["sessions"]["recent"][0]
            assert (newer["configuredModel"], newer["selectedModel"]) == ("mock/m1", "mock/m1")

    run(scenario())


def test_status_is_made_again_only_when_something_was_committed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            for number in range(2):
                await converse(talk.store, f"r{number}", f"agent:main:{number}", "hello", assistant("Hi."))
            asked = 0
            read = talk.store.sessions

            async def counted(*which: Any) -> Page:
                nonlocal asked
                asked += 1
                return await read(*which)

            talk.store.sessions = counted  # type: ignore[method-assign]
            for peer in (OLD, NEW, NEW):
                found = (await talk.get("status", {}, peer))["sessions"]
                ages = [(row["updatedAt"], row["age"]) for row in (*found["recent"], *found["byAgent"][0]["recent"])]
                assert len(ages) == 4 and all(abs(now_ms() - at - age) < 10_000 for at, age in ages)
            assert asked == 1
            await talk.store.patch("agent:main:2", "main", lambda _: {"label": "\0"}, NOW)
            assert (await talk.get("status"))["sessions"]["count"] == 3 and asked == 2

    run(scenario())


def test_sessions_in_health_without_waiting_for_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await converse(talk.store, "r1", "agent:main:main", "hello", assistant("Hi."))
            before = await talk.get("health")
            assert before["sessions"]["count"] == 0
            async with asyncio.timeout(LIMIT_S):
                while not (found := (await talk.get("health"))["sessions"])["count"]:
                    await asyncio.sleep(0.001)
            assert found["count"] == 1
            (row,) = found["recent"]
            assert (row["key"], row["updatedAt"], row["age"] >= 0) == ("agent:main:main", NOW, True)
            for stranger in (make_peer(4), make_peer(3, "operator.pairing")):
                told = await talk.get("health", peer=stranger)
                assert "agent:main:main" not in json.dumps(told), "who may not read"
                assert (told["sessions"]["count"], told["sessions"]["recent"]) == (0, [])

    run(scenario())


def test_status_needs_to_read() -> None:
    assert call(FakeCore(), make_peer(4), "status")["error"]["message"] == "missing scope: operator.read"


def test_health_is_never_stale() -> None:
    core, who = FakeCore(), make_peer(4)
    assert call(core, who, "health")["payload"]["degraded"] == []
    core.degraded = ("config",)
    assert call(core, who, "health")["payload"]["degraded"] == ["config"]
    core.watching = False
    assert call(core, who, "health")["payload"]["configReload"] == {"hotReloadStatus": "disabled"}
    core.hub.lag.sample(-2)
    found = call(core, who, "health")["payload"]["eventLoop"]
    assert found["degraded"] is True and found["delayMaxMs"] >= 2000
    assert call(core, make_peer(4, READ), "status")["payload"]["eventLoop"] == found


def test_the_agents_of_the_config() -> None:
    core = configured({"agents": {"list": [{"id": "a"}, {"id": "b", "default": True, "model": "p/m"}]}})
    payload = call(core, make_peer(3, READ), "health")["payload"]
    assert payload["defaultAgentId"] == "b"
    assert [(each["agentId"], each["isDefault"]) for each in payload["agents"]] == [("a", False), ("b", True)]
    assert payload["sessions"]["path"].endswith("/agents/b/sessions/sessions.json")
    payload = call(core, make_peer(3, READ), "status")["payload"]
    assert payload["heartbeat"]["defaultAgentId"] == "b"
    assert [each["agentId"] for each in payload["heartbeat"]["agents"]] == ["a", "b"]
    assert payload["sessions"]["defaults"]["model"] == "m"
    core.snapshot = FakeCore().snapshot
    assert call(core, make_peer(3, READ), "health")["payload"]["defaultAgentId"] == "main"
