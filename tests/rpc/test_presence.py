import asyncio

import pytest

from gateway.hub.connection import Connection
from gateway.protocol.scopes import READ
from gateway.rpc import presence
from gateway.rpc.connect import attach
from tests.carrier import FakeCarrier, drained
from tests.fakes.core import FakeCore
from tests.rpc.calls import make_peer


def test_many_that_come_and_go_at_once_are_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "SOON_S", 0.02)

    async def test() -> None:
        core = FakeCore()
        attach(core)
        first = Connection("first", "r", FakeCarrier())
        with core.hub.registered(first):
            core.hub.greet(first, make_peer(4, READ), 1)
            for number in range(50):
                other = Connection(str(number), "r", FakeCarrier())
                with core.hub.registered(other):
                    core.hub.greet(other, make_peer(4), 2)
            presence.note(core, {"text": "hi", "host": "attic"})
            while not (frames := drained(first)[0]):
                await asyncio.sleep(0)
            [frame] = frames
        assert (frame["event"], frame["seq"]) == ("presence", 1)
        assert frame["stateVersion"]["presence"] == core.hub.state_version.presence - 1  # `first` has left since
        entries = frame["payload"]["presence"]
        assert [each["reason"] for each in entries[:2]] == ["self", "connect"]
        assert entries[2]["host"] == "attic"
        assert [each["reason"] for each in entries[3:]] == ["disconnect"] * 50

    asyncio.run(test())


def test_the_pace_falls_with_the_number_of_those_who_hear_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "SOON_S", 0)
    monkeypatch.setattr(presence, "PACE_S", 3600)

    async def test() -> None:
        core = FakeCore()
        attach(core)
        only = Connection("only", "r", FakeCarrier())
        with core.hub.registered(only):
            core.hub.greet(only, make_peer(4), 1)
            await asyncio.sleep(0.02)
            assert drained(only)[0] == []

    asyncio.run(test())
