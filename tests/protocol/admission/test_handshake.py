import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.admission.admission import Terms
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.admission.handshake import (
    Accepted,
    HandshakeContext,
    HandshakeRefused,
    challenge,
    receive_connect,
)
from gateway.protocol.admission.lockout import Lockout
from gateway.protocol.admission.origin import request_origin
from gateway.protocol.closing import Close
from gateway.protocol.peer import Peer
from tests.doors import FakeBook

POLICY = AuthPolicy("token", token="t0k", generation=7)


def door(policy: AuthPolicy) -> HandshakeContext:
    here = request_origin("127.0.0.1", [(b"host", b"127.0.0.1:18789")], ())
    return HandshakeContext(Terms(policy), here, FakeBook(), Lockout(lambda: 0.0))


def connect(low: int = 4, high: int = 4, **params: Any) -> str:
    client = {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"}
    body = {"minProtocol": low, "maxProtocol": high, "client": client, "auth": {"token": "t0k"}} | params
    return json.dumps({"type": "req", "id": "c1", "method": "connect", "params": body})


def accepted(text: str, policy: AuthPolicy = POLICY) -> Peer:
    outcome = receive_connect(text, door(policy))
    assert isinstance(outcome, Accepted), outcome
    assert outcome.request_id == "c1"
    return outcome.peer


def refused(text: str) -> tuple[dict[str, Any] | None, Close]:
    outcome = receive_connect(text, door(POLICY))
    assert isinstance(outcome, HandshakeRefused), outcome
    return (json.loads(outcome.text)["error"] if outcome.text else None), outcome.close


def test_the_challenge_has_no_seq() -> None:
    assert json.loads(challenge("n", 5)) == {
        "type": "event",
        "event": "connect.challenge",
        "payload": {"nonce": "n", "ts": 5, "capabilities": ["model-catalog-snapshot"]},
    }


@pytest.mark.parametrize(
    ("low", "high", "protocol"), [(3, 3, 3), (4, 4, 4), (3, 4, 4), (1, 3, 3), (1, 99, 4), (4, 10**30, 4)]
)
def test_the_newest_common_protocol(low: int, high: int, protocol: int) -> None:
    assert accepted(connect(low, high)).protocol == protocol


@pytest.mark.parametrize(
    ("low", "high", "details"),
    [
        (2, 2, {"expectedProtocol": 3}),
        (3, 2, {"expectedProtocol": 3}),
        (
            5,
            6,
            {
                "code": "PROTOCOL_MISMATCH",
                "clientMinProtocol": 5,
                "clientMaxProtocol": 6,
                "expectedProtocol": 4,
                "minimumProbeProtocol": 3,
            },
        ),
    ],
)
def test_no_common_protocol(low: int, high: int, details: dict[str, Any]) -> None:
    error, close = refused(connect(low, high))
    assert error == {"code": "INVALID_REQUEST", "message": "protocol mismatch", "details": details}
    assert close == Close(1002, "protocol mismatch")


def test_a_peer_knows_what_a_connection_needs_later() -> None:
    peer = accepted(connect(scopes=["operator.read"], caps=["tool-events"], role="operator"))
    assert (peer.role, peer.scopes, peer.caps) == ("operator", ("operator.read",), ("tool-events",))
    assert (peer.auth_mode, peer.auth_generation, peer.client.id) == ("token", 7, "gateway-client")


def test_absent_scopes() -> None:
    assert accepted(connect(3, 3)).scopes == ("operator.admin",)
    assert accepted(connect(3, 3, scopes=[])).scopes == ("operator.admin",)
    assert accepted(connect(4, 4)).scopes == ()


def test_keys_of_other_versions_are_no_fault() -> None:
    assert accepted(connect(modelCatalog={"sessionKey": "main"}, userAgent="x", bogus=1)).protocol == 4


def test_a_node_of_protocol_4_needs_a_device() -> None:
    error, close = refused(connect(role="node"))
    assert error and error["details"] == {"code": "DEVICE_IDENTITY_REQUIRED"}
    assert close == Close(1008, "device identity required")
    assert accepted(connect(3, 3, role="node")).scopes == ()


@pytest.mark.parametrize(
    ("text", "message", "close"),
    [
        ("{,", None, Close(1000)),
        ("", None, Close(1000)),
        ("[]", None, Close(1008, "invalid request frame")),
        ('{"type":"event"}', None, Close(1008, "invalid request frame")),
        (
            '{"type":"req","id":"a","method":"health"}',
            "invalid handshake: first request must be connect",
            Close(1008, "invalid handshake: first request must be connect"),
        ),
        (
            '{"type":"req","id":"a","method":"connect"}',
            "invalid connect params: at root: must have required property 'minProtocol'",
            Close(1008, "invalid connect params: at root: must have required property 'minProtocol'"),
        ),
        (connect(role="king"), "invalid role", Close(1008, "invalid role")),
        (
            connect(auth={"token": "bad"}),
            "unauthorized: gateway token mismatch (provide gateway auth token)",
            Close(1008, "unauthorized: gateway token mismatch (provide gateway auth token)"),
        ),
        (connect(auth=None), "device identity required", Close(1008, "device identity required")),
    ],
)
def test_refusals(text: str, message: str | None, close: Close) -> None:
    error, how = refused(text)
    assert (error["message"] if error else None) == message
    assert how == close


CLIENT = {"version": "1", "platform": "linux", "mode": "cli"}


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"client": CLIENT}, "at /client: must have required property 'id'"),
        ({"client": CLIENT | {"id": ""}}, "at /client/id: must NOT have fewer than 1 characters"),
        ({"client": CLIENT | {"id": "x" * 201}}, "at /client/id: must NOT have more than 200 characters"),
        ({"minProtocol": 0}, "at /minProtocol: must be >= 1"),
        ({"minProtocol": "4"}, "at /minProtocol: must be integer"),
        ({"scopes": ["s"] * 65}, "at /scopes: must NOT have more than 64 items"),
        ({"auth": {"token": 5}}, "at /auth/token: must be string or null"),
        ({"device": "x"}, "at /device: must be object or null"),
    ],
)
def test_bad_params_name_the_place(params: dict[str, Any], fault: str) -> None:
    error, close = refused(connect(**params))
    assert error and error["message"] == f"invalid connect params: {fault}"
    assert close.code == 1008


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "minProtocol": st.integers(-1, 6) | JSON,
        "maxProtocol": st.integers(-1, 6) | JSON,
        "client": st.just({"id": "cli", "version": "1", "platform": "l", "mode": "cli"}) | JSON,
        "role": st.sampled_from(["operator", "node", ""]) | JSON,
        "scopes": JSON,
        "auth": st.fixed_dictionaries({}, optional={"token": st.sampled_from(["t0k", "no", ""]) | JSON}) | JSON,
        "device": JSON,
    },
)
FRAMES = st.fixed_dictionaries(
    {"type": st.sampled_from(["req", "res"]), "id": st.text(max_size=3), "method": st.sampled_from(["connect", "x"])},
    optional={"params": PARAMS | JSON},
)


@given(
    st.text() | JSON.map(json.dumps) | FRAMES.map(json.dumps),
    st.sampled_from([POLICY, AuthPolicy("none"), AuthPolicy("password"), AuthPolicy("trusted-proxy")]),
)
def test_any_first_frame_has_a_documented_outcome(text: str, policy: AuthPolicy) -> None:
    outcome = receive_connect(text, door(policy))
    if isinstance(outcome, Accepted):
        assert outcome.peer.protocol in (3, 4)
        return
    assert outcome.close.code in (1000, 1002, 1008)
    assert len(outcome.close.reason.encode()) <= 120
    if outcome.text is not None:
        assert json.loads(outcome.text)["ok"] is False
