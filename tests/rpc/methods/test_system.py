from contextlib import ExitStack

from gateway.hub import Connection
from gateway.protocol.scopes import READ
from gateway.roster import MAX_ENTRIES
from gateway.rpc import presence
from tests.core_fake import FakeCore
from tests.rpc.calls import NoCarrier, call, make_peer


def test_the_gateway_comes_first_and_commands_are_not_listed() -> None:
    core = FakeCore()
    app, command = Connection("a", "r", NoCarrier()), Connection("b", "r", NoCarrier())
    with core.hub.hold(app), core.hub.hold(command):
        app.greet(make_peer(4, READ), 5)
        command.greet(make_peer(4, READ, mode="cli"), 6)
        payload = call(core, make_peer(4, READ), "system-presence")["payload"]
    assert payload[0]["mode"] == "gateway" and payload[0]["reason"] == "self"
    assert payload[0]["text"].startswith("Gateway: ") and payload[0]["version"] == "0.1.0"
    assert payload[1:] == [
        {
            "host": "Me",
            "version": "1",
            "platform": "linux",
            "mode": "backend",
            "roles": ["operator"],
            "scopes": ["operator.read"],
            "reason": "connect",
            "text": "Node: Me · mode backend",
            "ts": 5,
        }
    ]


def test_presence_is_bounded_to_the_newest() -> None:
    core = FakeCore()
    connections = [Connection(str(number), "r", NoCarrier()) for number in range(MAX_ENTRIES)]
    with ExitStack() as held:
        for number, connection in enumerate(connections):
            held.enter_context(core.hub.hold(connection))
            connection.greet(make_peer(4), number)
        entries = presence.presence(core)
    assert len(entries) == MAX_ENTRIES
    assert (entries[1]["ts"], entries[-1]["ts"]) == (MAX_ENTRIES - 1, 1)


def test_no_heartbeat_has_run() -> None:
    assert call(FakeCore(), make_peer(4, READ), "last-heartbeat")["payload"] is None
