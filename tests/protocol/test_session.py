import json
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.closing import Close
from gateway.protocol.frames import Request
from gateway.protocol.limits import MAX_IN_FLIGHT
from gateway.protocol.peer import ClientInfo, Peer
from gateway.protocol.session import Ignored, PeerSession, Reply, max_payload


def session(in_flight: Collection[str] = (), protocol: int = 4) -> PeerSession:
    return PeerSession(Peer(protocol, "operator", (), ClientInfo("cli", "1", "linux", "cli")), in_flight)


def request(id: str, method: str = "health") -> str:
    return json.dumps({"type": "req", "id": id, "method": method})


def error(outcome: object) -> dict[str, Any]:
    assert isinstance(outcome, Reply)
    frame: dict[str, Any] = json.loads(outcome.text)
    return {"id": frame["id"], "code": frame["error"]["code"], "message": frame["error"]["message"]}


def test_a_second_connect() -> None:
    message = "connect is only valid as the first request"
    assert error(session().receive(request("1", "connect"))) == {
        "id": "1",
        "code": "INVALID_REQUEST",
        "message": message,
    }


def test_a_frame_that_is_no_request_is_answered() -> None:
    message = "invalid request frame: at /type: must be equal to constant"
    assert error(session().receive('{"type":"event","id":"e"}')) == {
        "id": "e",
        "code": "INVALID_REQUEST",
        "message": message,
    }


def test_what_is_not_json_is_ignored() -> None:
    assert session().receive("{,") == Ignored("not JSON")


def test_an_id_may_be_used_again_only_after_its_answer() -> None:
    in_flight = set[str]()
    talk = session(in_flight)
    assert isinstance(talk.receive(request("1")), Request)
    in_flight.add("1")
    assert error(talk.receive(request("1")))["message"] == "request id is already in flight: 1"
    in_flight.remove("1")
    assert isinstance(talk.receive(request("1")), Request)


def test_full_at_the_bound() -> None:
    in_flight = set[str]()
    talk = session(in_flight)
    for number in range(MAX_IN_FLIGHT):
        assert not talk.full
        in_flight.add(str(number))
    assert talk.full
    in_flight.remove("0")
    assert not talk.full


@pytest.mark.parametrize(
    ("protocol", "role", "scopes", "bound"),
    [
        (3, "operator", ("operator.admin",), 512 * 1024),
        (3, "operator", ("operator.read",), 512 * 1024),
        (4, "operator", ("operator.admin",), 25 * 1024 * 1024),
        (4, "operator", ("operator.write",), 25 * 1024 * 1024),
        (4, "operator", ("operator.read", "operator.pairing"), 1024 * 1024),
        (4, "operator", (), 1024 * 1024),
        (4, "node", ("operator.write",), 1024 * 1024),
    ],
)
def test_the_largest_message(protocol: int, role: str, scopes: tuple[str, ...], bound: int) -> None:
    assert max_payload(Peer(protocol, role, scopes, ClientInfo("cli", "1", "linux", "cli"))) == bound


FRAMES = st.one_of(
    st.text(max_size=20),
    st.builds(request, st.sampled_from(["1", "2", "3", ""]), st.sampled_from(["health", "connect", ""])),
)


@given(st.lists(FRAMES | st.sampled_from(["1", "2"]).map(lambda id: ("finish", id)), max_size=40))
def test_any_order_of_frames(steps: list[str | tuple[str, str]]) -> None:
    open_ids = set[str]()
    talk = session(open_ids)
    for step in steps:
        if isinstance(step, tuple):
            open_ids.discard(step[1])
            continue
        outcome = talk.receive(step)
        assert not isinstance(outcome, Close)
        if isinstance(outcome, Request):
            assert outcome.id not in open_ids
            open_ids.add(outcome.id)
