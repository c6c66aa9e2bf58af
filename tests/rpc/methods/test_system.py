import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.hub.connection import Connection
from gateway.hub.roster import MAX_ENTRIES
from gateway.protocol.scopes import ADMIN, READ
from gateway.rpc import presence
from tests.carrier import FakeCarrier
from tests.fakes.core import PATHS, FakeCore
from tests.rpc.calls import call, make_peer


def test_the_gateway_comes_first_and_commands_are_not_listed() -> None:
    core = FakeCore()
    app, command = Connection("a", "r", FakeCarrier()), Connection("b", "r", FakeCarrier())
    with core.hub.registered(app), core.hub.registered(command):
        core.hub.greet(app, make_peer(4, READ), 5)
        core.hub.greet(command, make_peer(4, READ, mode="cli"), 6)
        payload = call(core, make_peer(4, READ), "system-presence")["payload"]
    assert payload[0]["mode"] == "gateway" and payload[0]["reason"] == "self"
    assert payload[0]["text"].startswith("Gateway: ") and payload[0]["version"] == "0.1.0"
    assert payload[1:] == [
        {
            "host": "Me",
            "version": "1",
            "platform": "linux",
            "mode": "backend",
            "roles": ["operator"],
            "scopes": ["operator.read"],
            "reason": "connect",
            "text": "Node: Me · mode backend",
            "ts": 5,
        }
    ]


def test_presence_is_bounded_to_the_newest() -> None:
    core = FakeCore()
    connections = [Connection(str(number), "r", FakeCarrier()) for number in range(MAX_ENTRIES)]
    with ExitStack() as held:
        for number, connection in enumerate(connections):
            held.enter_context(core.hub.registered(connection))
            core.hub.greet(connection, make_peer(4), number)
        entries = json.loads(bytes(presence.presence(core)))
    assert len(entries) == MAX_ENTRIES
    assert (entries[1]["ts"], entries[-1]["ts"]) == (MAX_ENTRIES - 1, 1)


def test_no_heartbeat_has_run() -> None:
    assert call(FakeCore(), make_peer(4, READ), "last-heartbeat")["payload"] is None


def shown(core: FakeCore) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = call(core, make_peer(4, READ), "system-presence")["payload"]
    return entries


def test_a_system_event_is_entered_in_the_presence() -> None:
    core = FakeCore()
    event = {"text": " Node: phone ", "instanceId": "i-1", "host": "phone", "tags": ["a"], "reason": "periodic"}
    assert call(core, make_peer(3, ADMIN), "system-event", event)["payload"] == {"ok": True}
    entry = shown(core)[1]
    assert entry.pop("ts") > 0
    assert entry == event | {"text": "Node: phone"}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"text": "  "}, "text required"),
        ({"text": "x" * 4097}, "invalid system-event params: at /text: must NOT have more than 4096 characters"),
        ({"text": "x", "tags": ["a"] * 65}, "invalid system-event params: at /tags: must NOT have more than 64 items"),
        (
            {"text": "x", "tags": ["a" * 5000]},
            "invalid system-event params: at /tags/0: must NOT have more than 4096 characters",
        ),
    ],
)
def test_a_system_event_that_nobody_should_see(event: dict[str, object], message: str) -> None:
    core = FakeCore()
    assert call(core, make_peer(4, ADMIN), "system-event", event)["error"]["message"] == message
    assert len(shown(core)) == 1


def test_heartbeats_cannot_be_promised() -> None:
    admin = make_peer(4, ADMIN)
    assert call(FakeCore(), admin, "set-heartbeats", {"enabled": False})["payload"] == {"ok": True, "enabled": False}
    refused = {"code": "UNAVAILABLE", "message": "heartbeats are not available in this gateway yet"}
    assert call(FakeCore(), admin, "set-heartbeats", {"enabled": True})["error"] == refused
    assert call(FakeCore(), admin, "wake", {"mode": "now", "text": "up"})["error"] == refused
    error = call(FakeCore(), admin, "wake", {"mode": "later", "text": "up"})["error"]
    assert error["message"].startswith("invalid wake params: at /mode")
    assert call(FakeCore(), make_peer(4, READ), "wake", {})["error"]["message"] == "missing scope: operator.write"


def test_the_machine(tmp_path: Path) -> None:
    payload = call(FakeCore(paths=replace(PATHS, state=tmp_path)), make_peer(4, READ), "system.info")["payload"]
    assert payload["platform"] == "linux" and payload["nodeVersion"].startswith("Python 3.")
    assert (payload["port"], payload["processInstanceId"]) == (18789, "boot-1")
    assert len(payload["loadAverage"]) == 3 and payload["cpuCount"] >= 1
    assert payload["memoryTotalBytes"] >= payload["memoryFreeBytes"] > 0
    assert payload["diskTotalBytes"] >= payload["diskAvailableBytes"]
    gone = call(FakeCore(paths=replace(PATHS, state=tmp_path / "gone")), make_peer(4, READ), "system.info")["payload"]
    assert "diskTotalBytes" not in gone and gone["diskPath"] == str(tmp_path / "gone")
