import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.hub import broadcast as module
from gateway.hub.broadcast import Broadcast, all_alike
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.protocol.frames import EventFrame, StateVersion
from gateway.protocol.scopes import READ, WRITE
from tests.carrier import FakeCarrier, drained
from tests.effort import examples
from tests.hub.clients import carrier_of, held, peer


def test_a_broadcast_is_serialised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    class Counting(EventFrame):
        def __init__(self, name: str, payload: object, state_version: StateVersion | None = None) -> None:
            made.append(name)
            super().__init__(name, payload, state_version)

    monkeypatch.setattr(module, "EventFrame", Counting)
    hub = Hub()
    with held(hub, *[peer()] * 20):
        hub.broadcast("a", {})
    assert made == ["a"]


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(st.sampled_from((3, 4)), st.sampled_from(((), (READ,), (WRITE,)))), max_size=8))
def test_each_kind_of_client_gets_a_payload_of_its_own_that_is_made_once(
    who: list[tuple[int, tuple[str, ...]]],
) -> None:
    hub, made = Hub(), list[tuple[int, bool]]()

    def kind_of(connection: Connection) -> tuple[int, bool] | None:
        assert connection.peer is not None
        return None if connection.peer.scopes == (WRITE,) else (connection.peer.protocol, connection.may_hear(READ))

    def make(kind: tuple[int, bool]) -> dict[str, object]:
        made.append(kind)
        return {"kind": list(kind)}

    peers = [replace(peer(protocol), scopes=scopes) for protocol, scopes in who]
    with held(hub, *peers, None) as connections:
        reached = hub.broadcast_by_kind(Broadcast("health", kind_of, make, state_version=StateVersion(2, 3)))
        told = [each for each in connections[:-1] if kind_of(each)]
        assert reached == set(told)
        assert sorted(made) == sorted({kind for each in told if (kind := kind_of(each))})
        for connection in connections:
            frames = drained(connection)[0]
            assert [frame["event"] for frame in frames] == ["health"] * (connection in reached)
            for frame in frames:
                assert tuple(frame["payload"]["kind"]) == kind_of(connection)
                assert frame["stateVersion"] == {"presence": 2, "health": 3}


def test_all_are_alike_who_have_the_scope_and_the_protocol() -> None:
    reader = replace(peer(), scopes=(READ,))
    with held(Hub(), reader, replace(reader, protocol=3), peer(), None) as connections:
        assert [all_alike(READ, 4)(each) for each in connections] == [True, None, None, None]
        assert [all_alike(None, 0)(each) for each in connections] == [True] * 4


class BrokenConnection(Connection):
    def offer(self, event: EventFrame, drop_if_slow: bool) -> bool:
        raise UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")


def test_a_client_that_cannot_be_told_is_dropped_where_it_has_to_hear_and_the_others_are_told() -> None:
    hub = Hub()
    with held(hub, peer(), peer()) as (first, last):
        broken = BrokenConnection("b", "r", FakeCarrier())
        with hub.registered(broken):
            hub.greet(broken, peer(), 0)
            event = Broadcast("chat", lambda _: True, lambda _: {"a": 1})
            assert hub.broadcast_by_kind(event, drop_if_broken=True) == {first, last}
            assert [carrier_of(each).aborted for each in (first, broken, last)] == [False, True, False]
            with pytest.raises(UnicodeEncodeError):
                hub.broadcast_by_kind(event)
