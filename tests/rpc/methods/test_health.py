import msgspec

from gateway.config.schema import Config
from gateway.protocol.scopes import READ
from tests.core_fake import FakeCore
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured

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
