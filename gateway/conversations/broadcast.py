"""One event of a run for many clients, in the form of each protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.hub.broadcast import Broadcast
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.protocol.scopes import READ

Wants = Callable[[Connection], bool]
"""Whether a client gets an event."""


@dataclass(frozen=True)
class Others:
    """Clients that have missed the piece before, and what they get instead."""

    than: set[Connection]
    """Clients that got the piece before."""
    newer: dict[str, Any]
    """The fields that differ."""
    since: int = 4
    """The first protocol that has this."""


def broadcast(
    hub: Hub,
    name: str,
    agent: str,
    fields: dict[str, Any],
    newer: dict[str, Any],
    since: int,
    drop_if_slow: bool,
    only: Wants | None,
    others: Others | None = None,
) -> set[Connection]:
    """Send an event to all clients that may read and speak protocol `since` or a newer one; return those for whom it is
    queued. A client for whom it cannot be queued is dropped.

    `fields` are for every protocol, `newer` only for protocol 4. `only` chooses among the clients.
    """

    def kind_of(connection: Connection) -> tuple[int, bool] | None:
        peer = connection.peer
        if peer is None or peer.protocol < since or not connection.may_hear(READ) or (only and not only(connection)):
            return None
        return peer.protocol, others is not None and peer.protocol >= others.since and connection not in others.than

    def make(kind: tuple[int, bool]) -> dict[str, Any]:
        protocol, other = kind
        payload = {**fields, **others.newer} if others and other else fields
        if protocol < 4:
            return payload
        payload = {**payload, "agentId": agent, **({} if other else newer)}
        return payload | {"isHeartbeat": False} if name == "agent" else payload

    return hub.broadcast_by_kind(Broadcast(name, kind_of, make, drop_if_slow), drop_if_broken=True)
