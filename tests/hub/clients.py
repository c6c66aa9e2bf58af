"""Clients of a hub, on carriers that take nothing until they are drained."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.protocol.peer import ClientInfo, Peer
from tests.carrier import FakeCarrier


def peer(protocol: int = 4, generation: int = 1, mode: str = "token") -> Peer:
    client = ClientInfo("cli", "1", "linux", "backend")
    return Peer(protocol, "operator", (), client, auth_mode=mode, auth_generation=generation)


@contextmanager
def held(hub: Hub, *peers: Peer | None) -> Iterator[list[Connection]]:
    with ExitStack() as stack:
        connections = []
        for number, who in enumerate(peers):
            connection = Connection(str(number), "r", FakeCarrier())
            stack.enter_context(hub.registered(connection))
            if who is not None:
                hub.greet(connection, who, 0)
            connections.append(connection)
        yield connections


def carrier_of(connection: Connection) -> FakeCarrier:
    assert isinstance(connection.carrier, FakeCarrier)
    return connection.carrier
