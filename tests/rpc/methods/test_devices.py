import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.access.devices import Devices, Granted, PairingRequest
from gateway.hub.connection import Connection
from gateway.protocol.admission.admission import DEVICE_TOKEN
from gateway.protocol.admission.pairing import covers
from gateway.protocol.frames import Request
from gateway.protocol.scopes import ADMIN, PAIRING, READ, WRITE
from gateway.rpc.dispatch import Dispatcher
from gateway.rpc.methods import METHODS
from gateway.rpc.registry import Call, Registry
from tests.carrier import FakeCarrier
from tests.effort import examples
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
    asking = PairingRequest(
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
    with core.hub.registered(connection):
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
    assert failure(call(core, make_peer(3, ADMIN), "device.pair.remove", {"deviceId": "d1"})) == "unknown deviceId"


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


some_scopes = st.sampled_from([[ADMIN], [], [READ], [ADMIN, READ, WRITE], [WRITE, PAIRING], ["node.exec", "odd"]])
an_id = st.sampled_from(["d1", "d1", "d1", "d2"])
a_role = st.sampled_from(["operator", "operator", "node"])


DISPATCHER = Dispatcher(Registry(METHODS))


class InMemory(Devices):
    def _save(self, file: Any, records: Any) -> None:
        file.records = records

    def _note_use(self, records: Any, now: int) -> None:
        self._paired.records = records


class Revocation(RuleBasedStateMachine):
    """Operators with any scopes ask, approve, revoke, rotate and remove in any order. Who gave what is written down
    beside them, without looking at the records."""

    def __init__(self) -> None:
        super().__init__()
        self.core = FakeCore(devices=InMemory(Path("nowhere"), clock_ms=lambda: NOW))
        self.given: dict[str, set[str]] = {}
        """Scopes that somebody who held them has given to a device, since they were last revoked."""
        self.revoked: set[tuple[str, str]] = set()

    def call(self, mine: list[str], name: str, **params: Any) -> bool:
        """Whether it was done."""
        peer = make_peer(4, *mine, PAIRING)
        who = Call(self.core, Connection("c", "127.0.0.1:1", FakeCarrier(), peer=peer), peer)
        said = DISPATCHER.answer(who, Request("1", name, msgspec.Raw(json.dumps(params).encode())))
        assert isinstance(said, bytes)
        return bool(json.loads(said)["ok"])

    @rule(id=an_id, role=a_role, scopes=some_scopes)
    def connect(self, id: str, role: str, scopes: list[str]) -> None:
        asking = PairingRequest(device_id=id, public_key=KEY, role=role, roles=(role,), scopes=tuple(scopes),
                        remote_ip="x", local=False, protocol=4)  # fmt: skip
        if isinstance(self.core.devices.pair(asking), Granted):
            assert covers(self.given.get(id, set()), scopes)
            assert (id, role) not in self.revoked

    @precondition(lambda self: self.core.devices.listing()[0])
    @rule(mine=some_scopes, number=st.integers(0, 1))
    def approve(self, mine: list[str], number: int) -> None:
        waiting, _ = self.core.devices.listing()
        asked = waiting[number % len(waiting)]
        if self.call(mine, "device.pair.approve", requestId=asked.request_id):
            assert covers([*mine, PAIRING], asked.scopes)
            self.given.setdefault(asked.device_id, set()).update(asked.scopes)
            self.revoked.discard((asked.device_id, str(asked.role)))

    @rule(mine=some_scopes, id=an_id, role=a_role)
    def revoke(self, mine: list[str], id: str, role: str) -> None:
        if self.call(mine, "device.token.revoke", deviceId=id, role=role):
            other = "node." if role == "operator" else "operator."
            self.given[id] = {scope for scope in self.given.get(id, set()) if scope.startswith(other)}
            self.revoked.add((id, role))

    @rule(mine=some_scopes, id=an_id, role=a_role, scopes=st.none() | some_scopes)
    def rotate(self, mine: list[str], id: str, role: str, scopes: list[str] | None) -> None:
        if self.call(mine, "device.token.rotate", deviceId=id, role=role, scopes=scopes):
            assert (id, role) not in self.revoked

    @rule(mine=some_scopes, id=an_id)
    def remove(self, mine: list[str], id: str) -> None:
        if self.call(mine, "device.pair.remove", deviceId=id):
            self.given.pop(id, None)
            self.revoked -= {(id, "operator"), (id, "node")}

    @invariant()
    def nobody_holds_what_nobody_gave(self) -> None:
        for device in self.core.devices.listing()[1]:
            given = self.given.get(device.device_id, set())
            assert covers(given, device.scopes), device
            for held in device.tokens.values():
                assert held.revoked_at_ms is not None or covers(given, held.scopes), device


Revocation.TestCase.settings = settings(max_examples=examples(200), stateful_step_count=30, deadline=None)
TestRevocation = Revocation.TestCase


@pytest.mark.parametrize("scopes", [[], [READ]])
def test_a_clerk_gives_no_revoked_admin_back(core: FakeCore, scopes: list[str]) -> None:
    """CVE-2026-53843, GHSA-8mg9-j9cf-54cj."""
    ask(core, "d1", ADMIN, local=True)
    operator = {"deviceId": "d1", "role": "operator"}
    assert call(core, CHIEF, "device.token.revoke", operator)["ok"]
    assert "was revoked" in failure(call(core, CLERK, "device.token.rotate", {**operator, "scopes": scopes}))
    id = ask(core, "d1", *scopes)
    approved = call(core, CLERK, "device.pair.approve", {"requestId": id})["payload"]
    assert approved["device"].get("scopes", []) == scopes
    assert len(ask(core, "d1", *scopes)) == 32
    assert len(ask(core, "d1", ADMIN)) == 36, "it waits for an approval"


def test_who_approves_must_have_what_the_device_has_then(core: FakeCore) -> None:
    ask(core, "d1", ADMIN, local=True)
    id = ask(core, "d1", "node.exec", role="node")
    for clerk in (CLERK, make_peer(4, PAIRING, "node.exec")):
        assert failure(call(core, clerk, "device.pair.approve", {"requestId": id})).startswith("missing scope: ")


def came(core: FakeCore, scope: str, how: str, device_id: str | None = "d1", user: str | None = None) -> Any:
    """One with pairing alone, whose device is paired for `scope`."""
    for id in ("d1", "d2"):
        ask(core, id, scope, PAIRING, local=True)
    return msgspec.structs.replace(make_peer(4, PAIRING), auth_mode=how, device_id=device_id, user=user)


SELF_ONLY = [
    (READ, DEVICE_TOKEN, "d1", None),
    (ADMIN, DEVICE_TOKEN, "d1", None),
    (READ, "token", "d1", None),
    (READ, "none", "d1", None),
    (ADMIN, "trusted-proxy", "d1", "me@example.com"),
]


@pytest.mark.parametrize(("scope", "how", "id", "user"), SELF_ONLY)
def test_without_admin_a_device_manages_itself_alone(
    core: FakeCore, scope: str, how: str, id: str, user: str | None
) -> None:
    """CVE-2026-41909."""
    peer = came(core, scope, how, id, user)
    own, other = {"deviceId": "d1", "role": "operator"}, {"deviceId": "d2", "role": "operator"}
    mine, theirs = ask(core, "d1", ADMIN, READ, "x"), ask(core, "d2", ADMIN, "x")
    listed = call(core, peer, "device.pair.list")["payload"]
    assert {each["deviceId"] for each in (*listed["paired"], *listed["pending"])} == {"d1"}
    for request in (theirs, "none at all"):
        denied = failure(call(core, peer, "device.pair.approve", {"requestId": request}))
        assert denied == "device pairing approval denied"
        denied = failure(call(core, peer, "device.pair.reject", {"requestId": request}))
        assert denied == "device pairing rejection denied"
    for whose in (other, {**other, "deviceId": "d3"}, {**own, "role": "node"}):
        denied = failure(call(core, peer, "device.token.rotate", {**whose, "scopes": []}))
        assert denied == "device token rotation denied"
        assert failure(call(core, peer, "device.token.revoke", whose)) == "device token revocation denied"
    assert failure(call(core, peer, "device.pair.remove", {"deviceId": "d2"})) == "device pairing removal denied"
    assert call(core, peer, "device.token.rotate", {**own, "scopes": [PAIRING]})["ok"]
    assert call(core, peer, "device.pair.reject", {"requestId": mine})["ok"]
    assert call(core, peer, "device.token.revoke", own)["ok"]
    assert call(core, peer, "device.pair.remove", {"deviceId": "d1"})["ok"]
    assert [each.device_id for each in core.devices.listing()[1]] == ["d2"]


def test_a_device_that_is_a_node_too_is_an_admins_to_manage(core: FakeCore) -> None:
    peer = came(core, READ, DEVICE_TOKEN)
    id = ask(core, "d1", role="node")
    assert failure(call(core, peer, "device.pair.approve", {"requestId": id})) == "device pairing approval denied"
    assert call(core, CHIEF, "device.pair.approve", {"requestId": id})["ok"]
    assert failure(call(core, peer, "device.pair.remove", {"deviceId": "d1"})) == "device pairing removal denied"


def test_whom_a_proxy_names_without_a_device_manages_none(core: FakeCore) -> None:
    peer = came(core, READ, "trusted-proxy", None, "me@example.com")
    assert call(core, peer, "device.pair.list")["payload"] == {"pending": [], "paired": []}
    assert failure(call(core, peer, "device.pair.remove", {"deviceId": "d1"})) == "device pairing removal denied"


@pytest.mark.parametrize(("how", "id"), [("token", None), ("password", None), ("token", "d1")])
def test_who_has_the_secret_and_could_be_admin_manages_all(core: FakeCore, how: str, id: str | None) -> None:
    """OpenClaw's command line asks for `operator.pairing` alone, and brings a device when it is elsewhere."""
    peer = came(core, ADMIN, how, id)
    assert len(call(core, peer, "device.pair.list")["payload"]["paired"]) == 2
    assert call(core, peer, "device.pair.reject", {"requestId": ask(core, "d2", ADMIN, "x")})["ok"]
    assert call(core, peer, "device.pair.remove", {"deviceId": "d2"})["ok"]
