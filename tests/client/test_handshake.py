from typing import Any

import msgspec
import pytest

from gateway.client.handshake import ROLE, ClientHandshake, is_loopback_url, remedy
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

    def store_token(self, *what: Any) -> None:
        self.did.append(("keep", *what))

    def drop_token(self, *what: Any) -> None:
        self.did.append(("drop", *what))
        self.held = None


def make(url: str = FAR, me: Me | None = None, token: str | None = "t", **more: Any) -> ClientHandshake:
    return ClientHandshake(url, CLIENT, ("operator.admin",), {"token": token} if token else {}, me, **more)


def signs(params: dict[str, Any], protocol: int, token: str) -> bool:
    proof = msgspec.convert(params["device"], DeviceProof)
    signed = Signed("cli", "cli", ROLE, ("operator.admin",), token, "linux", "")
    return verify(proof, signed, protocol=protocol, challenge="n", now_ms=1000, local=False) is None


def test_near_it_shows_the_secret_alone() -> None:
    handshake = make(NEAR, Me("d"))
    assert handshake.key is None
    assert handshake.params({}, 5) == {
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
    handshake = make()
    assert handshake.refused(message, details)
    assert handshake.params({}, 0)["maxProtocol"] == 3
    assert not handshake.refused(message, details)
    assert not make(protocols=(4,)).refused(message, details)


@pytest.mark.parametrize("details", [None, [], {}, {"expectedProtocol": 5}, {"expectedProtocol": "3"}])
def test_a_gateway_of_neither_protocol(details: Any) -> None:
    assert not make().refused("protocol mismatch", details)


def test_near_it_shows_its_device_to_who_asks() -> None:
    handshake = make(NEAR, Me("d"), token=None)
    assert handshake.refused("device identity required", None)
    assert signs(handshake.params(CHALLENGE, 0), 4, "d")
    assert not handshake.refused("device identity required", None)
    assert not make(NEAR, None).refused("device identity required", None)


def test_a_device_that_cannot_be_kept_is_not_shown() -> None:
    me = Me("d")
    me.key = None
    handshake = make(FAR, me)
    assert handshake.key is None and "device" not in handshake.params({}, 0)
    assert not make(NEAR, me).refused("device identity required", None)
    handshake.accepted({"auth": {"deviceToken": "x"}})
    assert me.did == []


def test_after_a_wrong_secret_the_token_is_tried_once() -> None:
    me = Me("d")
    handshake = make(FAR, me)
    handshake.params(CHALLENGE, 0)
    assert handshake.refused(MISMATCH, None)
    params = handshake.params(CHALLENGE, 0)
    assert params["auth"] == {"deviceToken": "d"} and signs(params, 4, "d")
    assert not handshake.refused(DEVICE_MISMATCH, None)
    assert me.did == [("drop", FAR, ROLE, "d")]


@pytest.mark.parametrize("me", [None, Me()])
def test_after_a_wrong_secret_without_a_token(me: Me | None) -> None:
    handshake = make(FAR, me)
    handshake.params(CHALLENGE, 0)
    assert not handshake.refused(MISMATCH, None)


@pytest.mark.parametrize("message", ["unauthorized: too many failed authentication attempts", "pairing required"])
def test_other_refusals_leave_the_token(message: str) -> None:
    me = Me("d")
    handshake = make(FAR, me, token=None)
    handshake.params(CHALLENGE, 0)
    assert not handshake.refused(message, {"requestId": "r"})
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
    assert is_loopback_url(url) is near


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
