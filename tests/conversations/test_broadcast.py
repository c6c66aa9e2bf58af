import asyncio

from gateway.conversations.broadcast import broadcast
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.protocol.frames import EventFrame
from gateway.protocol.peer import ClientInfo, Peer
from tests.carrier import FakeCarrier, drained


class BrokenConnection(Connection):
    def offer(self, event: EventFrame, drop_if_slow: bool) -> bool:
        raise UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")


def test_a_client_that_cannot_be_told_is_dropped_and_the_others_are_told() -> None:
    async def test() -> None:
        hub, kinds = Hub(), (Connection, BrokenConnection, Connection)
        ears = [kind(f"c{number}", "r", FakeCarrier()) for number, kind in enumerate(kinds)]
        with hub.hold(ears[0]), hub.hold(ears[1]), hub.hold(ears[2]):
            for ear in ears:
                info = ClientInfo("cli", "1", "linux", "cli")
                hub.greet(ear, Peer(4, "operator", ("operator.admin",), info), 0)
            reached = broadcast(hub, "chat", "main", {"a": 1}, {"b": 2}, 3, False, None)
            assert reached == {ears[0], ears[2]}
            assert [ear.carrier.aborted for ear in ears] == [False, True, False]  # type: ignore[attr-defined]
            assert drained(ears[0])[0][-1]["payload"] == {"a": 1, "agentId": "main", "b": 2}

    asyncio.run(test())
