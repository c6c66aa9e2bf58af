import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.devices import Asking, Devices, Granted
from gateway.hub import Connection
from gateway.protocol.scopes import ADMIN, PAIRING, READ
from tests.carrier import FakeCarrier
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer

CHIEF = make_peer(4, ADMIN)
CLERK = make_peer(4, PAIRING, READ)
KEY = "jwG5cru2rySS0G3Uf88PwSo-ypZLDrfDAmP5GGl0VDg"
NOW = 1_795_340_000_000


@pytest.fixture
def core(tmp_path: Path) -> FakeCore:
    return FakeCore(devices=Devices(tmp_path, clock_ms=lambda: NOW))


def ask(core: FakeCore, device_id: str, *scopes: str, local: bool = False, role: str = "operator") -> str:
    """The token, or the id of the request."""
    asking = Asking(
        device_id=device_id, public_key=KEY, platform="linux", client_id="cli", client_mode="cli", role=role,
        roles=(role,), scopes=scopes, remote_ip=None if local else "192.0.2.7", local=local, protocol=4,
    )  # fmt: skip
    outcome = core.devices.pair(asking)
    if isinstance(outcome, Granted):
        return outcome.token
    assert outcome.details is not None
    return str(outcome.details["requestId"])


def failure(frame: dict[str, Any]) -> str:
    return str(frame["error"]["message"])


def test_the_list_shows_no_token(core: FakeCore) -> None:
    token = ask(core, "d1", ADMIN, local=True)
    id = ask(core, "d2", READ)
    payload = call(core, CLERK, "device.pair.list")["payload"]
    assert payload == {
        "pending": [{
            "requestId": id, "deviceId": "d2", "publicKey": KEY, "ts": NOW, "platform": "linux", "clientId": "cli",
            "clientMode": "cli", "role": "operator", "roles": ["operator"], "scopes": [READ], "remoteIp": "192.0.2.7",
        }],
        "paired": [{
            "deviceId": "d1", "publicKey": KEY, "platform": "linux", "clientId": "cli", "clientMode": "cli",
            "role": "operator", "roles": ["operator"], "scopes": [ADMIN], "createdAtMs": NOW, "approvedAtMs": NOW,
            "tokens": [{"role": "operator", "scopes": [ADMIN], "createdAtMs": NOW, "lastUsedAtMs": NOW}],
            "connected": False,
        }],
    }  # fmt: skip
    assert token not in json.dumps(payload)


def test_the_list_says_which_devices_are_here(core: FakeCore) -> None:
    ask(core, "d1", ADMIN, local=True)
    peer = msgspec.structs.replace(CHIEF, device_id="d1")
    connection = Connection("c1", "127.0.0.1:1", FakeCarrier(), peer=peer)
    with core.hub.hold(connection):
        core.hub.greet(connection, peer, NOW)
        assert call(core, CLERK, "device.pair.list")["payload"]["paired"][0]["connected"] is True
        assert "connected" not in call(core, make_peer(3, PAIRING), "device.pair.list")["payload"]["paired"][0]
    assert call(core, CLERK, "device.pair.list")["payload"]["paired"][0]["connected"] is False


def test_approve_and_reject(core: FakeCore) -> None:
    first, second = ask(core, "d1", READ), ask(core, "d2", ADMIN)
    approved = call(core, CLERK, "device.pair.approve", {"requestId": first})["payload"]
    assert (approved["requestId"], approved["device"]["deviceId"], approved["device"]["tokens"]) == (first, "d1", [])
    rejected = call(core, CLERK, "device.pair.reject", {"requestId": second})["payload"]
    assert rejected == {"requestId": second, "deviceId": "d2"}
    for name in ("device.pair.approve", "device.pair.reject"):
        assert failure(call(core, CHIEF, name, {"requestId": first})) == "unknown requestId"


def test_nobody_approves_more_than_he_has(core: FakeCore) -> None:
    id = ask(core, "d1", READ, ADMIN)
    refused = call(core, CLERK, "device.pair.approve", {"requestId": id})["error"]
    assert (refused["code"], refused["message"]) == ("FORBIDDEN", f"missing scope: {ADMIN}")
    assert core.devices.listing()[1] == []
    assert failure(call(core, make_peer(3, PAIRING), "device.pair.approve", {"requestId": id})) == (
        f"missing scope: {READ}"
    )
    assert call(core, CHIEF, "device.pair.approve", {"requestId": id})["ok"]


def test_remove(core: FakeCore) -> None:
    ask(core, "d1", ADMIN, local=True)
    assert call(core, CLERK, "device.pair.remove", {"deviceId": "d1"})["payload"] == {"deviceId": "d1"}
    assert failure(call(core, CLERK, "device.pair.remove", {"deviceId": "d1"})) == "unknown deviceId"
    assert failure(call(core, make_peer(3, ADMIN), "device.pair.remove", {"deviceId": "d1"})).startswith("unknown meth")


def test_rotate(core: FakeCore) -> None:
    old = ask(core, "d1", ADMIN, local=True)
    params = {"deviceId": "d1", "role": "operator"}
    assert failure(call(core, CLERK, "device.token.rotate", params)) == f"missing scope: {ADMIN}"
    assert core.devices.token_admits("d1", "operator", (ADMIN,), old)
    payload = call(core, CLERK, "device.token.rotate", {**params, "scopes": [READ]})["payload"]
    token = payload.pop("token")
    assert payload == {**params, "scopes": [READ], "rotatedAtMs": NOW}
    assert core.devices.token_admits("d1", "operator", (READ,), token)
    assert not core.devices.token_admits("d1", "operator", (READ,), old)
    assert failure(call(core, CHIEF, "device.token.rotate", {**params, "role": "node"})) == "unknown deviceId/role"


def test_revoke(core: FakeCore) -> None:
    old = ask(core, "d1", ADMIN, local=True)
    params = {"deviceId": "d1", "role": "operator"}
    assert call(core, CLERK, "device.token.revoke", params)["payload"] == {**params, "revokedAtMs": NOW}
    assert not core.devices.token_admits("d1", "operator", (), old)
    assert failure(call(core, CLERK, "device.token.revoke", {**params, "deviceId": "d2"})) == "unknown deviceId/role"


NAMES = [
    ("device.pair.list", {}),
    ("device.pair.approve", {"requestId": "r"}),
    ("device.pair.reject", {"requestId": "r"}),
    ("device.pair.remove", {"deviceId": "d"}),
    ("device.token.rotate", {"deviceId": "d", "role": "operator"}),
    ("device.token.revoke", {"deviceId": "d", "role": "operator"}),
]


@pytest.mark.parametrize(("name", "params"), NAMES)
def test_only_who_may_pair(core: FakeCore, name: str, params: dict[str, str]) -> None:
    assert failure(call(core, make_peer(4, READ, "operator.write"), name, params)) == f"missing scope: {PAIRING}"
    assert failure(call(core, make_peer(4, role="node"), name, params)) == "unauthorized role: node"


@pytest.mark.parametrize(("name", "params"), NAMES[1:])
def test_bad_params(core: FakeCore, name: str, params: dict[str, str]) -> None:
    for key in params:
        missing = {other: value for other, value in params.items() if other != key}
        assert f"must have required property '{key}'" in failure(call(core, CHIEF, name, missing))
        assert "at /" in failure(call(core, CHIEF, name, {**params, key: "x" * 300}))
