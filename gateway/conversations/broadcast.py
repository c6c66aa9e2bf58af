"""One event of a run for many clients, in the form of each protocol."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.protocol.frames import EventFrame
from gateway.protocol.scopes import READ

log = logging.getLogger("gateway.runs")

Wants = Callable[[Connection], bool]


@dataclass(frozen=True)
class Others:
    """Clients for whom the beginning is missing, and what they get."""

    than: set[Connection]
    newer: dict[str, Any]
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
    frames: dict[tuple[int, bool], EventFrame] = {}
    reached: set[Connection] = set()
    for connection in hub.clients:
        assert connection.peer is not None
        protocol = connection.peer.protocol
        if protocol < since or not connection.may_hear(READ) or (only and not only(connection)):
            continue
        other = others is not None and protocol >= others.since and connection not in others.than
        kind = protocol, other
        try:
            if kind not in frames:
                payload = {**fields, **others.newer} if others and other else fields
                if protocol >= 4:
                    payload = {**payload, "agentId": agent, **({} if other else newer)}
                    payload |= {"isHeartbeat": False} if name == "agent" else {}
                frames[kind] = EventFrame(name, payload)
            if connection.offer(frames[kind], drop_if_slow):
                reached.add(connection)
        except Exception:
            log.exception("client %s cannot be told and is dropped: it shall ask anew", connection.id)
            connection.carrier.abort()
    return reached
