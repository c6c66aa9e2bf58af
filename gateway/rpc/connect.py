"""The answer to an accepted `connect`, and the health event that follows it.

`connect` is not in the list of methods, because it is valid only as the first request.
"""

import os
import time

from msgspec import Raw

from gateway.hub.broadcast import Broadcast
from gateway.hub.connection import Connection
from gateway.machine.clock import now_ms
from gateway.protocol.admission.handshake import Accepted
from gateway.protocol.admission.hello import Facts, hello
from gateway.protocol.frames import EventFrame, encode_response
from gateway.protocol.peer import Peer
from gateway.protocol.scopes import READ
from gateway.rpc.core import Core
from gateway.rpc.health import measure
from gateway.rpc.presence import Announcer, gateway_only, presence
from gateway.rpc.registry import Registry


def greet(core: Core, registry: Registry, connection: Connection, accepted: Accepted) -> None:
    """Make the connection a client: it gets hello-ok and health now, and events from now on."""
    peer = accepted.peer
    core.hub.greet(connection, peer, now_ms())
    may_read = connection.may_hear(READ)
    health = measure(core, peer.protocol, may_read)
    facts = _facts(core, registry, peer, may_read, health)
    text = encode_response(accepted.request_id, hello(peer, connection.id, facts, accepted.granted))
    connection.outbox.put(text, more=True)
    connection.offer(EventFrame("health", health, core.hub.next_health()), drop_if_slow=True)


def attach(core: Core) -> None:
    """Have the hub send `presence` when it changes and `health` every minute."""
    hub = core.hub
    hub.on_presence = Announcer(core).soon

    def kind_of(connection: Connection) -> tuple[int, bool] | None:
        return (connection.peer.protocol, connection.may_hear(READ)) if connection.peer else None

    def refresh() -> None:
        health = Broadcast("health", kind_of, lambda kind: measure(core, *kind), True, hub.next_health())
        hub.broadcast_by_kind(health)

    hub.on_refresh = refresh


def _facts(core: Core, registry: Registry, peer: Peer, may_read: bool, health: Raw) -> Facts:
    return Facts(
        version=core.version,
        boot_id=core.boot_id,
        host=os.uname().nodename,
        features=registry.features(peer.protocol),
        presence=presence(core) if may_read else gateway_only(core),
        health=health,
        state_version=core.hub.state_version,
        uptime_ms=int((time.monotonic() - core.started) * 1000),
        config_path=str(core.paths.config),
        state_dir=str(core.paths.state),
        defaults=core.snapshot.defaults,
    )
