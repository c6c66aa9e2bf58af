import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from msgspec.structs import replace as swap

from gateway.access.devices import (
    MAX_PENDING,
    MAX_PENDING_SITE,
    PENDING_MS,
    SAVE_USE_MS,
    Devices,
    Granted,
    PairingRequest,
)
from gateway.protocol.admission.pairing import covers
from gateway.protocol.frames import RpcError, WireError

KEY = "jwG5cru2rySS0G3Uf88PwSo-ypZLDrfDAmP5GGl0VDg"
OTHER_KEY = "A" * 43
ADMIN = "operator.admin"
START = 1_795_340_000_000


class Paired:
    """The service on a folder, with a clock in hand and ears open."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.now = START
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.gone: list[str] = []
        self.devices = self.restart()

    def restart(self) -> Devices:
        self.devices = Devices(self.state, lambda event, payload: self.heard.append((event, payload)), lambda: self.now)
        self.devices.on_revoked = self.gone.append
        return self.devices

    def file(self, name: str = "paired") -> Path:
        return self.state / "devices" / f"{name}.json"

    def read(self, name: str = "paired") -> dict[str, Any]:
        records: dict[str, Any] = json.loads(self.file(name).read_text())
        return records


@pytest.fixture
def world(tmp_path: Path) -> Paired:
    return Paired(tmp_path)


def ask(
    device_id: str = "d1", *, local: bool = True, role: str = "operator", scopes: tuple[str, ...] = (ADMIN,),
    protocol: int = 3, key: str = KEY, ip: str = "192.0.2.7",
) -> PairingRequest:  # fmt: skip
    return PairingRequest(
        device_id=device_id, public_key=key, platform="linux", client_id="cli", client_mode="cli", role=role,
        roles=(role,), scopes=scopes, remote_ip=None if local else ip, local=local, protocol=protocol,
    )  # fmt: skip


def granted(outcome: Granted | WireError) -> Granted:
    assert isinstance(outcome, Granted), outcome
    return outcome


def refused(outcome: Granted | WireError) -> WireError:
    assert isinstance(outcome, WireError), outcome
    return outcome


def request_id(outcome: Granted | WireError) -> str:
    error = refused(outcome)
    assert (error.code, error.message) == ("NOT_PAIRED", "pairing required")
    assert error.details is not None
    return str(error.details["requestId"])


def test_a_local_device_is_paired_at_once(world: Paired, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    grant = granted(world.devices.pair(ask()))
    assert len(grant.token) == 32 and grant.scopes == (ADMIN,) and grant.issued_at_ms == START
    assert "device pairing auto-approved device=d1 role=operator" in caplog.text
    assert grant.token not in caplog.text
    assert world.heard == []
    record = world.read()["d1"]
    assert record == {
        "deviceId": "d1", "publicKey": KEY, "platform": "linux", "clientId": "cli", "clientMode": "cli",
        "role": "operator", "roles": ["operator"], "scopes": [ADMIN], "createdAtMs": START, "approvedAtMs": START,
        "tokens": {"operator": {"token": grant.token, "role": "operator", "scopes": [ADMIN],
                                "createdAtMs": START, "lastUsedAtMs": START}},
    }  # fmt: skip
    assert world.file().stat().st_mode & 0o777 == 0o600
    assert world.file().parent.stat().st_mode & 0o777 == 0o700


def test_the_token_stays_over_connects_and_restarts(world: Paired) -> None:
    first = granted(world.devices.pair(ask()))
    world.now += 5
    assert granted(world.devices.pair(ask())) == first
    world.restart()
    assert granted(world.devices.pair(ask(scopes=("operator.read",), local=False))) == first
    assert world.devices.token_admits("d1", "operator", (ADMIN,), first.token)


def test_what_a_token_is_good_for(world: Paired) -> None:
    reader = granted(world.devices.pair(ask("d1", scopes=("operator.read",)))).token
    clerk = granted(world.devices.pair(ask("d2", scopes=("operator.pairing",)))).token
    writer = granted(world.devices.pair(ask("d4", scopes=("operator.write",)))).token
    node = granted(world.devices.pair(ask("d3", role="node", scopes=("operator.read",)))).token
    assert [world.devices.token_scopes(each) for each in (writer, reader, clerk)] == [(WRITE,), (READ,), (PAIRING,)]
    assert not any(world.devices.token_scopes(each) for each in ("", "no", node, reader[:-1]))
    world.devices.revoke("d1", "operator")
    assert world.devices.token_scopes(reader) is None


@pytest.mark.parametrize(
    ("device_id", "role", "scopes", "change", "admits"),
    [
        ("d1", "operator", (), str, True),
        ("d1", "operator", ("operator.read",), str, True),
        ("d1", "operator", ("operator.write",), str, False),
        ("d1", "operator", (ADMIN,), str, False),
        ("d1", "node", (), str, False),
        ("d2", "operator", (), str, False),
        ("d1", "operator", (), str.upper, False),
        ("d1", "operator", (), lambda token: "", False),
        ("d1", "operator", (), lambda token: token + "\ud800", False),
        ("d2", "operator", (), lambda token: "", False),
    ],
)
def test_whom_a_token_admits(
    world: Paired, device_id: str, role: str, scopes: tuple[str, ...], change: Callable[[str], str], admits: bool
) -> None:
    token = "a" + granted(world.devices.pair(ask(scopes=("operator.read",)))).token[1:]
    device = world.devices.device("d1")
    held = swap(device.tokens["operator"], token=token)
    world.devices._paired.save({"d1": swap(device, tokens={"operator": held})})
    assert world.devices.token_admits(device_id, role, scopes, change(token)) is admits


@pytest.mark.parametrize(
    ("held", "wanted", "covered"),
    [
        ((), (), True),
        ((), ("operator.read",), False),
        (("operator.write",), ("operator.read", "operator.write"), True),
        (("operator.read",), ("operator.write",), False),
        ((ADMIN,), ("operator.pairing", ADMIN), True),
        ((ADMIN,), ("other",), False),
        (("operator.pairing",), (ADMIN,), False),
    ],
)
def test_covers(held: tuple[str, ...], wanted: tuple[str, ...], covered: bool) -> None:
    assert covers(held, wanted) is covered


def test_use_is_written_every_ten_minutes(world: Paired) -> None:
    world.devices.pair(ask())
    world.now += 2 * SAVE_USE_MS
    world.devices.pair(ask())
    assert world.read()["d1"]["tokens"]["operator"]["lastUsedAtMs"] == world.now
    before = world.file().stat().st_ino
    world.now += SAVE_USE_MS - 1
    world.devices.pair(ask())
    assert world.file().stat().st_ino == before
    assert world.devices.device("d1").tokens["operator"].last_used_at_ms == world.now
    world.now += 1
    world.devices.pair(ask())
    assert world.read()["d1"]["tokens"]["operator"]["lastUsedAtMs"] == world.now


def test_a_remote_device_waits_for_an_operator(world: Paired) -> None:
    id = request_id(world.devices.pair(ask(local=False)))
    (event, payload), = world.heard  # fmt: skip
    assert event == "device.pair.requested"
    assert payload == {
        "requestId": id, "deviceId": "d1", "publicKey": KEY, "ts": START, "platform": "linux", "clientId": "cli",
        "clientMode": "cli", "role": "operator", "roles": ("operator",), "scopes": (ADMIN,), "remoteIp": "192.0.2.7",
    }  # fmt: skip
    assert world.read("pending").keys() == {id}
    world.now += 7
    assert world.restart().approve(id).roles == ("operator",)
    assert world.heard[1] == (
        "device.pair.resolved", {"requestId": id, "deviceId": "d1", "decision": "approved", "ts": world.now}
    )  # fmt: skip
    assert granted(world.devices.pair(ask(local=False))).issued_at_ms == world.now
    assert world.read("pending") == {}
    with pytest.raises(RpcError, match="unknown requestId"):
        world.devices.approve(id)


def test_a_rejected_device_asks_again(world: Paired) -> None:
    id = request_id(world.devices.pair(ask(local=False)))
    assert world.devices.reject(id).device_id == "d1"
    assert world.heard[1][1]["decision"] == "rejected"
    assert request_id(world.devices.pair(ask(local=False))) != id
    with pytest.raises(RpcError, match="unknown requestId"):
        world.devices.reject(id)


def test_asking_again_refreshes_without_a_word(world: Paired) -> None:
    id = request_id(world.devices.pair(ask(local=False)))
    inode = world.file("pending").stat().st_ino
    world.now += PENDING_MS - 1
    assert request_id(world.devices.pair(ask(local=False))) == id
    assert (len(world.heard), world.file("pending").stat().st_ino) == (1, inode)
    world.now += PENDING_MS - 1
    assert [each.request_id for each in world.devices.listing()[0]] == [id]
    world.now += 1
    assert world.devices.listing()[0] == []
    with pytest.raises(RpcError, match="unknown requestId"):
        world.devices.approve(id)


def test_asking_for_more_is_another_request(world: Paired) -> None:
    """Else it would slip past the operator who has seen the smaller one."""
    small = request_id(world.devices.pair(ask(local=False, scopes=("operator.read",))))
    large = request_id(world.devices.pair(ask(local=False)))
    assert small != large
    assert [each.request_id for each in world.devices.listing()[0]] == [large]
    assert len(world.heard) == 2


def test_not_too_many_wait(world: Paired) -> None:
    for number in range(MAX_PENDING):
        request_id(world.devices.pair(ask(f"d{number}", local=False, ip=f"192.0.2.{number}")))
    error = refused(world.devices.pair(ask("more", local=False)))
    assert (error.code, error.retryable) == ("UNAVAILABLE", True)
    request_id(world.devices.pair(ask("d0", local=False, scopes=(), ip="192.0.2.0")))
    world.now += PENDING_MS
    request_id(world.devices.pair(ask("more", local=False)))
    assert len(world.read("pending")) == 1


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (["192.0.2.7"], "192.0.2.8"),
        (["::ffff:192.0.2.7", "192.0.2.7"], "2001:db8::1"),
        ([f"2001:db8:0:1::{number:x}" for number in range(8)], "2001:db8:0:2::1"),
        (["unknown"], "192.0.2.7"),
    ],
)
def test_one_place_does_not_keep_the_others_from_asking(world: Paired, mine: list[str], theirs: str) -> None:
    for number in range(MAX_PENDING_SITE):
        ip = mine[number % len(mine)] if len(mine) == 8 else mine[0]
        request_id(world.devices.pair(ask(f"d{number}", local=False, ip=ip)))
    error = refused(world.devices.pair(ask("more", local=False, ip=mine[0])))
    assert error.message == "too many devices from your address wait for approval" and error.retryable
    request_id(world.devices.pair(ask("d0", local=False, ip=mine[0], scopes=())))
    request_id(world.devices.pair(ask("other", local=False, ip=theirs)))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"role": "node"}, "role-upgrade"),
        ({"scopes": ("operator.read", "operator.pairing")}, "scope-upgrade"),
        ({"device_id": "d2"}, "not-paired"),
        ({"key": "A" * 43}, "not-paired"),
    ],
)
def test_more_than_the_record_has_needs_approval(world: Paired, more: dict[str, Any], reason: str) -> None:
    world.devices.pair(ask(scopes=("operator.write",)))
    error = refused(world.devices.pair(ask(**{"scopes": ("operator.read",), "local": False, "protocol": 4, **more})))
    assert error.details is not None
    assert (error.details["code"], error.details["reason"]) == ("PAIRING_REQUIRED", reason)
    old = refused(world.devices.pair(ask(**{"scopes": ("operator.read",), "local": False, **more})))
    assert old.details is not None and old.details.keys() == {"requestId"}
    assert world.devices.listing()[0][0].is_repair is (reason != "not-paired" or "key" in more)


def test_an_upgrade_keeps_what_was(world: Paired) -> None:
    operator = granted(world.devices.pair(ask(scopes=("operator.read",))))
    node = granted(world.devices.pair(ask(role="node", scopes=())))
    more = granted(world.devices.pair(ask(scopes=("operator.pairing",))))
    assert len({operator.token, node.token, more.token}) == 3
    assert more.scopes == ("operator.read", "operator.pairing")
    device = world.devices.device("d1")
    assert (device.roles, device.scopes) == (("operator", "node"), ("operator.read", "operator.pairing"))
    assert world.devices.token_admits("d1", "node", (), node.token)
    assert not world.devices.token_admits("d1", "operator", (), operator.token)


def test_another_key_inherits_nothing(world: Paired) -> None:
    old = granted(world.devices.pair(ask()))
    new = granted(world.devices.pair(ask(key="A" * 43, scopes=("operator.read",))))
    assert world.devices.device("d1").scopes == ("operator.read",)
    assert not world.devices.token_admits("d1", "operator", (), old.token)
    assert world.devices.token_admits("d1", "operator", (), new.token)


def test_rotate(world: Paired) -> None:
    old = granted(world.devices.pair(ask()))
    world.now += 5
    token = world.devices.rotate("d1", "operator", ("operator.read",))
    assert (token.rotated_at_ms, token.created_at_ms, token.scopes) == (world.now, START, ("operator.read",))
    assert not world.devices.token_admits("d1", "operator", (), old.token)
    assert world.devices.token_admits("d1", "operator", (), token.token)
    assert world.devices.rotate("d1", "operator").scopes == ("operator.read",)
    assert world.gone == ["d1", "d1"]


def test_rotate_gives_no_more_than_was_approved(world: Paired) -> None:
    world.devices.pair(ask(scopes=("operator.read",)))
    with pytest.raises(RpcError, match="exceed"):
        world.devices.rotate("d1", "operator", (ADMIN,))
    for device_id, role in (("d1", "node"), ("d2", "operator")):
        with pytest.raises(RpcError, match="unknown deviceId/role"):
            world.devices.rotate(device_id, role)
        with pytest.raises(RpcError, match="unknown deviceId/role"):
            world.devices.revoke(device_id, role)
    assert world.gone == []


def test_revoke(world: Paired) -> None:
    old = granted(world.devices.pair(ask()))
    world.now += 5
    assert world.devices.revoke("d1", "operator") == world.now
    assert world.gone == ["d1"]
    assert not world.devices.token_admits("d1", "operator", (), old.token)
    assert not world.restart().token_admits("d1", "operator", (), old.token)
    assert granted(world.devices.pair(ask())).token != old.token


@pytest.mark.parametrize("protocol", [3, 4])
def test_with_its_token_a_device_loses_the_role_until_that_is_approved_anew(world: Paired, protocol: int) -> None:
    """As in OpenClaw 2026.9.6: the secret alone is not enough."""
    old = granted(world.devices.pair(ask()))
    world.devices.revoke("d1", "operator")
    far = ask(local=False, protocol=protocol)
    error = refused(world.devices.pair(far))
    assert (error.code, error.message) == ("NOT_PAIRED", "pairing required")
    assert error.details is not None and error.details.get("reason") == ("role-upgrade" if protocol == 4 else None)
    assert not world.devices.token_admits("d1", "operator", (), old.token)
    world.devices.approve(request_id(world.devices.pair(far)))
    new = granted(world.restart().pair(far))
    assert new.token != old.token and new.scopes == (ADMIN,)
    assert world.devices.token_admits("d1", "operator", (), new.token)
    assert not world.devices.token_admits("d1", "operator", (), old.token)


def test_a_revoked_node_is_asked_for_even_on_this_machine_and_its_other_roles_are_not_touched(
    world: Paired,
) -> None:
    operator = granted(world.devices.pair(ask()))
    granted(world.devices.pair(ask(role="node", scopes=())))
    world.devices.revoke("d1", "node")
    assert granted(world.devices.pair(ask())).token == operator.token
    waiting = request_id(world.devices.pair(ask(role="node", scopes=())))
    world.devices.approve(waiting)
    assert granted(world.devices.pair(ask())).token == operator.token
    granted(world.devices.pair(ask(role="node", scopes=())))


READ, WRITE, PAIRING = "operator.read", "operator.write", "operator.pairing"


def offered(*offer: str, scopes: tuple[str, ...] = (ADMIN, READ), role: str = "operator") -> PairingRequest:
    return replace(ask(local=False, scopes=scopes, role=role, protocol=4), offer=offer)


def test_the_word_of_a_proxy_pairs_a_new_device_for_what_is_offered_and_no_more(world: Paired) -> None:
    grant = granted(world.devices.pair(offered(READ)))
    assert (grant.scopes, grant.session) == ((READ,), (READ,))
    assert world.devices.device("d1").scopes == (READ,)
    again = granted(world.devices.pair(offered(READ)))
    assert (again.token, again.session) == (grant.token, (READ,))
    wider = granted(world.devices.pair(offered(READ, WRITE)))
    assert wider.session == (READ, WRITE) and world.devices.device("d1").scopes == (READ, WRITE)
    assert granted(world.devices.pair(offered())).session == (READ,)
    assert granted(world.devices.pair(offered(scopes=(READ,)))).session is None


def test_it_does_not_pair_a_node_nor_give_a_revoked_role_back_nor_speak_for_another_key(world: Paired) -> None:
    assert refused(world.devices.pair(offered(role="node"))).message == "pairing required"
    granted(world.devices.pair(offered(READ)))
    other = replace(offered(READ), public_key=OTHER_KEY)
    assert refused(world.devices.pair(other)).message == "pairing required"
    world.devices.revoke("d1", "operator")
    assert refused(world.devices.pair(offered(READ))).message == "pairing required"


@pytest.mark.parametrize(("protocol", "silent"), [(3, True), (4, False)])
def test_a_known_device_that_would_be_a_node_too(world: Paired, protocol: int, silent: bool) -> None:
    granted(world.devices.pair(ask()))
    answer = world.devices.pair(ask(role="node", scopes=(), protocol=protocol))
    assert isinstance(answer, Granted) is silent
    assert isinstance(world.devices.pair(ask("d2", role="node", scopes=(), protocol=protocol)), Granted)


@pytest.mark.parametrize("scopes", [None, (), (ADMIN,)])
def test_no_rotation_gives_a_revoked_role_back(world: Paired, scopes: tuple[str, ...] | None) -> None:
    granted(world.devices.pair(ask()))
    world.devices.revoke("d1", "operator")
    with pytest.raises(RpcError, match="the role operator of this device was revoked"):
        world.devices.rotate("d1", "operator", scopes)
    request_id(world.devices.pair(ask(local=False, scopes=())))


def test_what_was_revoked_comes_back_only_as_it_is_asked_for(world: Paired) -> None:
    granted(world.devices.pair(ask()))
    world.devices.revoke("d1", "operator")
    assert world.devices.device("d1").scopes == ()
    id = request_id(world.devices.pair(ask(local=False, scopes=())))
    assert world.devices.approval(id).scopes == ()
    world.devices.approve(id)
    assert granted(world.devices.pair(ask(local=False, scopes=()))).scopes == ()
    request_id(world.devices.pair(ask(local=False)))


def test_neither_does_it_come_back_by_a_record_that_still_has_it(world: Paired) -> None:
    """As an earlier version left it, or OpenClaw 2026.2.1."""
    granted(world.devices.pair(ask()))
    world.devices.revoke("d1", "operator")
    record = world.read()
    record["d1"]["scopes"] = [ADMIN]
    world.file().write_text(json.dumps(record))
    id = request_id(world.restart().pair(ask(local=False, scopes=("operator.read",))))
    assert world.devices.approve(id).scopes == ("operator.read",)
    assert granted(world.devices.pair(ask(scopes=("operator.read",)))).scopes == ("operator.read",)


def test_a_role_that_has_no_token_yet_is_revoked_too(world: Paired) -> None:
    world.devices.approve(request_id(world.devices.pair(ask(local=False))))
    world.devices.revoke("d1", "operator")
    assert request_id(world.devices.pair(ask(local=False, scopes=())))
    assert world.devices.device("d1").scopes == ()


def test_remove(world: Paired) -> None:
    old = granted(world.devices.pair(ask()))
    world.devices.remove("d1")
    assert (world.gone, world.read()) == (["d1"], {})
    assert not world.devices.token_admits("d1", "operator", (), old.token)
    request_id(world.devices.pair(ask(local=False)))
    with pytest.raises(RpcError, match="unknown deviceId"):
        world.devices.remove("d1")


def test_what_others_wrote_stays(world: Paired) -> None:
    world.devices.pair(ask())
    record = world.read()
    record["d1"] |= {"theirs": [1], "displayName": "Me"}
    record["d1"]["tokens"]["operator"]["mine"] = 2
    record["strange"] = {"deviceId": 5}
    world.file().write_text(json.dumps(record))
    world.restart().pair(ask("d2"))
    now = world.read()
    assert now.keys() == {"d1", "d2", "strange"}
    assert (now["d1"], now["strange"]) == (record["d1"], record["strange"])
    world.devices.remove("d1")
    assert world.read().keys() == {"d2", "strange"}


@pytest.mark.parametrize("text", [b"{", b"", b"[]", b'{"a": 5}', b"\xff\xfe", b"[" * 5000])
def test_a_corrupt_file_is_set_aside(world: Paired, text: bytes, caplog: pytest.LogCaptureFixture) -> None:
    world.file().parent.mkdir()
    world.file().write_bytes(text)
    granted(world.devices.pair(ask()))
    (aside,) = world.file().parent.glob("paired.json.corrupt-*")
    assert aside.read_bytes() == text
    assert "is corrupt" in caplog.text and world.read().keys() == {"d1"}


def test_a_disk_that_takes_nothing(world: Paired, monkeypatch: pytest.MonkeyPatch) -> None:
    grant = granted(world.devices.pair(ask()))
    waiting = request_id(world.devices.pair(ask("d2", local=False)))
    before = world.read(), world.read("pending"), world.devices.listing()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    heard = len(world.heard)
    where = str(world.file())
    for each in (ask("d3"), ask(role="node"), ask("d3", local=False)):
        error = refused(world.devices.pair(each))
        assert error.code == "UNAVAILABLE" and error.retryable
        assert "No space left on device" in error.message
        assert str(world.file().parent) in error.message
    acts: list[Callable[[], object]] = [
        lambda: world.devices.approve(waiting),
        lambda: world.devices.remove("d1"),
        lambda: world.devices.rotate("d1", "operator"),
        lambda: world.devices.revoke("d1", "operator"),
    ]
    for act in acts:
        with pytest.raises(RpcError, match="cannot write") as caught:
            act()
        assert where in caught.value.wire.message
    with pytest.raises(RpcError, match="cannot write .*pending"):
        world.devices.reject(waiting)
    assert before == (world.read(), world.read("pending"), world.devices.listing())
    assert (len(world.heard), world.gone) == (heard, [])
    world.now += 2 * SAVE_USE_MS
    assert granted(world.devices.pair(ask())) == grant


def test_a_file_that_cannot_be_read_is_not_written(world: Paired) -> None:
    world.file().mkdir(parents=True)
    error = refused(world.devices.pair(ask()))
    assert error.code == "UNAVAILABLE" and str(world.file()) in error.message
    assert not world.devices.token_admits("d1", "operator", (), "x")
    world.file().rmdir()
    granted(world.devices.pair(ask()))


def test_the_listing_has_the_newest_first(world: Paired) -> None:
    for number in range(2):
        world.devices.pair(ask(f"p{number}"))
        world.devices.pair(ask(f"w{number}", local=False))
        world.now += 1
    waiting, paired = world.devices.listing()
    assert [each.device_id for each in waiting] == ["w1", "w0"]
    assert [each.device_id for each in paired] == ["p1", "p0"]
