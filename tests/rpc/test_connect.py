"""What a client is told when it is let in, and without asking."""

import asyncio

import pytest

from gateway.hub.connection import Connection
from gateway.protocol.admission.handshake import Accepted
from gateway.protocol.peer import Peer
from gateway.protocol.scopes import PAIRING, READ, WRITE
from gateway.rpc import presence
from gateway.rpc.connect import attach, greet
from gateway.rpc.registry import Registry
from tests.carrier import FakeCarrier, drained
from tests.fakes.core import FakeCore
from tests.rpc.calls import make_peer


def test_health_is_told_in_the_shape_of_each_version() -> None:
    async def test() -> None:
        core = FakeCore()
        attach(core)
        old, new = (Connection(name, "r", FakeCarrier(), peer=make_peer(p)) for name, p in (("old", 3), ("new", 4)))
        with core.hub.registered(old), core.hub.registered(new):
            assert core.hub.on_refresh is not None
            core.hub.on_refresh()
            [third], [fourth] = drained(old)[0], drained(new)[0]
        assert third["event"] == fourth["event"] == "health"
        assert third["stateVersion"] == {"presence": 1, "health": 2}
        assert "eventLoop" not in third["payload"] and fourth["payload"]["eventLoop"]["degraded"] is False

    asyncio.run(test())


@pytest.mark.parametrize(
    ("peer", "hears"),
    [
        (make_peer(4), False),
        (make_peer(3, PAIRING), False),
        (make_peer(4, role="node"), False),
        (make_peer(4, READ), True),
        (make_peer(3, WRITE), True),
    ],
)
def test_who_may_not_read_hears_of_nobody(peer: Peer, hears: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "SOON_S", 0)

    async def test() -> None:
        core = FakeCore()
        attach(core)
        core.hub.roster.note({"host": "attic"}, 2**50)
        client, sentinel = (Connection(name, "r", FakeCarrier()) for name in ("client", "sentinel"))
        with core.hub.registered(client), core.hub.registered(sentinel):
            greet(core, Registry(()), client, Accepted("1", peer))
            core.hub.greet(sentinel, make_peer(4, READ), 1)
            while not drained(sentinel)[0]:
                await asyncio.sleep(0)
            hello, health, *more = drained(client)[0]
        listed = hello["payload"]["snapshot"]["presence"]
        assert ("attic" in {each["host"] for each in listed}) is hears and listed[0]["mode"] == "gateway"
        assert (len(listed) > 1) is hears
        assert health["event"] == "health" and [frame["event"] for frame in more] == ["presence"] * hears

    asyncio.run(test())
