from typing import Any

import msgspec
import pytest

from gateway.client.handshake import ROLE, ClientHandshake, is_near, remedy
from gateway.protocol.admission.proof import DeviceProof, Key, Signed, verify

FAR, NEAR = "ws://10.0.0.1:5", "ws://127.0.0.1:5"
CLIENT = {"id": "cli", "mode": "cli", "version": "1", "platform": "linux"}
CHALLENGE = {"nonce": "n", "ts": 1000}
ONLY_3 = {"expectedProtocol": 3}
MISMATCH = "unauthorized: gateway token mismatch (provide gateway auth token)"
DEVICE_MISMATCH = "unauthorized: device token mismatch (rotate/reissue device token)"


class Me:
    """An identity in memory."""

    def __init__(self, held: str | None = None, key: Key | None = None) -> None:
        self.key: Key | None = key or Key.generate()
        self.held = held
        self.did: list[tuple[Any, ...]] = []

    def token(self, url: str, role: str) -> str | None:
        assert role == ROLE
        return self.held

    def keep(self, *what: Any) -> None:
        self.did.append(("keep", *what))

    def drop(self, *what: Any) -> None:
        self.did.append(("drop", *what))
        self.held = None


def make(url: str = FAR, me: Me | None = None, token: str | None = "t", **more: Any) -> ClientHandshake:
    return ClientHandshake(url, CLIENT, ("operator.admin",), {"token": token} if token else {}, me, **more)


def signs(params: dict[str, Any], protocol: int, token: str) -> bool:
    proof = msgspec.convert(params["device"], DeviceProof)
    signed = Signed("cli", "cli", ROLE, ("operator.admin",), token, "linux", "")
    return verify(proof, signed, protocol=protocol, challenge="n", now_ms=1000, local=False) is None


def test_near_it_shows_the_secret_alone() -> None:
    approach = make(NEAR, Me("d"))
    assert approach.key is None
    assert approach.params({}, 5) == {
        "minProtocol": 4, "maxProtocol": 4, "client": CLIENT, "role": "operator", "scopes": ["operator.admin"],
        "caps": [], "auth": {"token": "t"},
    }  # fmt: skip


def test_far_it_shows_its_device() -> None:
    params = make(FAR, Me("d")).params(CHALLENGE, 0)
    assert params["auth"] == {"token": "t"}
    assert signs(params, 4, "t")


def test_without_a_clock_of_the_gateway_it_signs_by_its_own() -> None:
    assert make(FAR, Me()).params({"nonce": "n", "ts": "?"}, 77)["device"]["signedAt"] == 77


def test_without_a_secret_it_shows_the_token_of_its_device() -> None:
    params = make(FAR, Me("d"), token=None).params(CHALLENGE, 0)
    assert params["auth"] == {"deviceToken": "d"}
    assert signs(params, 4, "d")
    assert "auth" not in make(FAR, Me(), token=None).params(CHALLENGE, 0)


def test_protocol_3_has_one_field_for_both() -> None:
    params = make(FAR, Me("d"), token=None, protocols=(3,)).params(CHALLENGE, 0)
    assert params["auth"] == {"token": "d"}
    assert signs(params, 3, "d")


@pytest.mark.parametrize(
    ("message", "details"),
    [
        ("protocol mismatch", ONLY_3),
        ("invalid connect params: at /auth: unexpected property 'deviceToken'", None),
    ],
)
def test_an_older_gateway(message: str, details: Any) -> None:
    approach = make()
    assert approach.refused(message, details)
    assert approach.params({}, 0)["maxProtocol"] == 3
    assert not approach.refused(message, details)
    assert not make(protocols=(4,)).refused(message, details)


@pytest.mark.parametrize("details", [None, [], {}, {"expectedProtocol": 5}, {"expectedProtocol": "3"}])
def test_a_gateway_of_neither_protocol(details: Any) -> None:
    assert not make().refused("protocol mismatch", details)


def test_near_it_shows_its_device_to_who_asks() -> None:
    approach = make(NEAR, Me("d"), token=None)
    assert approach.refused("device identity required", None)
    assert signs(approach.params(CHALLENGE, 0), 4, "d")
    assert not approach.refused("device identity required", None)
    assert not make(NEAR, None).refused("device identity required", None)


def test_a_device_that_cannot_be_kept_is_not_shown() -> None:
    me = Me("d")
    me.key = None
    approach = make(FAR, me)
    assert approach.key is None and "device" not in approach.params({}, 0)
    assert not make(NEAR, me).refused("device identity required", None)
    approach.accepted({"auth": {"deviceToken": "x"}})
    assert me.did == []


def test_after_a_wrong_secret_the_token_is_tried_once() -> None:
    me = Me("d")
    approach = make(FAR, me)
    approach.params(CHALLENGE, 0)
    assert approach.refused(MISMATCH, None)
    params = approach.params(CHALLENGE, 0)
    assert params["auth"] == {"deviceToken": "d"} and signs(params, 4, "d")
    assert not approach.refused(DEVICE_MISMATCH, None)
    assert me.did == [("drop", FAR, ROLE, "d")]


@pytest.mark.parametrize("me", [None, Me()])
def test_after_a_wrong_secret_without_a_token(me: Me | None) -> None:
    approach = make(FAR, me)
    approach.params(CHALLENGE, 0)
    assert not approach.refused(MISMATCH, None)


@pytest.mark.parametrize("message", ["unauthorized: too many failed authentication attempts", "pairing required"])
def test_other_refusals_leave_the_token(message: str) -> None:
    me = Me("d")
    approach = make(FAR, me, token=None)
    approach.params(CHALLENGE, 0)
    assert not approach.refused(message, {"requestId": "r"})
    assert me.did == []


def test_what_it_is_granted_is_kept() -> None:
    me = Me()
    make(FAR, me).accepted({"auth": {"deviceToken": "d", "role": "operator", "scopes": ["a"]}})
    make(FAR, me).accepted({"auth": {"deviceToken": "e"}})
    make(FAR, me).accepted({"auth": {"role": "operator"}})
    make(FAR, me).accepted({})
    make(NEAR, me).accepted({"auth": {"deviceToken": "d"}})
    assert me.did == [("keep", FAR, "operator", "d", ["a"]), ("keep", FAR, "operator", "e", [])]


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("ws://127.0.0.1:5", True),
        ("wss://[::1]", True),
        ("http://localhost:5/x", True),
        ("ws://10.0.0.1", False),
        ("ws://127.0.0.1.example", False),
        ("ws://[", False),
        ("", False),
    ],
)
def test_near_is_this_machine(url: str, near: bool) -> None:
    assert is_near(url) is near


@pytest.mark.process
@pytest.mark.parametrize(
    ("code", "message", "details", "words"),
    [
        ("NOT_PAIRED", "pairing required", {"requestId": "ab-1"}, "openclaw-gateway devices approve ab-1"),
        ("NOT_PAIRED", "pairing required", {"requestId": "x; rm -rf ~"}, None),
        ("NOT_PAIRED", "pairing required", {"requestId": "a" * 101}, None),
        ("NOT_PAIRED", "pairing required", {"requestId": 5}, None),
        ("NOT_PAIRED", "pairing required", None, None),
        ("NOT_PAIRED", "device identity required", None, "OPENCLAW_GATEWAY_TOKEN"),
        ("INVALID_REQUEST", DEVICE_MISMATCH, None, "this device's token"),
        ("INVALID_REQUEST", "unauthorized: gateway password missing (…)", None, "OPENCLAW_GATEWAY_TOKEN"),
        ("INVALID_REQUEST", MISMATCH, None, None),
    ],
)
def test_remedy(code: str, message: str, details: Any, words: str | None) -> None:
    found = remedy(code, message, details)
    assert found is None if words is None else words in (found or "")


def test_a_secret_shows_nowhere() -> None:
    assert "s3cret" not in repr(make(token="s3cret"))
