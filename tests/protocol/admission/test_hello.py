from dataclasses import replace
from typing import Any

import msgspec

from gateway.config.catalog import Defaults
from gateway.protocol.admission.hello import Facts, features, hello
from gateway.protocol.frames import StateVersion
from gateway.protocol.peer import ClientInfo, Peer

FACTS = Facts(
    version="1.2",
    boot_id="b",
    host="h",
    features={},
    presence=[{"mode": "gateway"}],
    health={"ok": True},
    state_version=StateVersion(1, 2),
    uptime_ms=5,
    config_path="/c",
    state_dir="/s",
    defaults=Defaults("main", ("main",), "main", "per-sender"),
)


def made(protocol: int, facts: Facts = FACTS) -> dict[str, Any]:
    peer = Peer(
        protocol,
        "operator",
        ("operator.read",),
        ClientInfo("cli", "1", "l", "cli"),
        auth_mode="token",
        gateway_mode="token",
    )
    facts = replace(facts, features=features(["health"], protocol))
    return msgspec.json.decode(msgspec.json.encode(hello(peer, "conn", facts)), type=dict[str, Any])


def test_protocol_3() -> None:
    payload = made(3)
    assert list(payload) == ["type", "protocol", "server", "features", "snapshot", "policy"]
    assert payload["server"] == {"version": "1.2", "connId": "conn", "host": "h"}
    assert payload["policy"] == {"maxPayload": 524288, "maxBufferedBytes": 1572864, "tickIntervalMs": 30000}
    assert payload["snapshot"] == {
        "presence": [{"mode": "gateway"}],
        "health": {"ok": True},
        "stateVersion": {"presence": 1, "health": 2},
        "uptimeMs": 5,
        "configPath": "/c",
        "stateDir": "/s",
        "sessionDefaults": {
            "defaultAgentId": "main",
            "mainKey": "main",
            "mainSessionKey": "agent:main:main",
            "scope": "per-sender",
        },
    }


def test_protocol_4_has_auth_and_boot_id() -> None:
    payload = made(4)
    assert payload["protocol"] == 4
    source = {"controlUiBuildSource": "configured"}
    assert payload["server"] == {"version": "1.2", "connId": "conn", "bootId": "b"} | source
    assert payload["auth"] == {"method": "token", "role": "operator", "scopes": ["operator.read"]}
    assert payload["policy"] == {"maxPayload": 1048576, "maxBufferedBytes": 52428800, "tickIntervalMs": 30000}
    assert payload["snapshot"]["authMode"] == "token"
    assert payload["features"]["methods"] == ["health"]
    assert payload["features"]["capabilities"] == ["published-model-catalog"]
    events = [set(made(protocol)["features"]["events"]) for protocol in (3, 4)]
    assert {"tick", "chat", "agent"} <= events[0]
    assert events[1] - events[0] == {"sessions.changed", "session.message", "chat.metadata.changed"}


def test_who_answers_by_default() -> None:
    defaults = made(4)["snapshot"]["sessionDefaults"]
    assert (defaults["modelConfigured"], defaults["ownership"], defaults["selectionRequired"]) == (True, "sole", False)
    team = replace(FACTS, defaults=Defaults("boss", ("helper", "boss"), "home", "per-sender"))
    defaults = made(4, team)["snapshot"]["sessionDefaults"]
    assert (defaults["defaultAgentId"], defaults["mainSessionKey"]) == ("boss", "agent:boss:home")
    assert defaults["ownership"] == "legacy"
