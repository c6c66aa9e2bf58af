"""Who is here: the gateway itself first, then the connected clients, as `system-presence` and the hello list them."""

import os
import time
from typing import Any

from gateway.core import Core
from gateway.hub import Connection

MAX_ENTRIES = 200
_UNTRACKED = "cli"
"""Commands come and go by the second; the existing gateway does not list them either."""


def presence(core: Core) -> list[dict[str, Any]]:
    clients = [each for each in core.hub.clients if each.peer and each.peer.client.mode != _UNTRACKED]
    newest = sorted(clients, key=lambda each: each.since_ms, reverse=True)[: MAX_ENTRIES - 1]
    return [_gateway(core), *(_client(each) for each in newest)]


def _gateway(core: Core) -> dict[str, Any]:
    system = os.uname()
    return {
        "host": system.nodename,
        "version": core.version,
        "platform": f"{system.sysname.lower()} {system.release}",
        "deviceFamily": system.sysname,
        "modelIdentifier": system.machine,
        "mode": "gateway",
        "reason": "self",
        "instanceId": core.boot_id,
        "text": f"Gateway: {system.nodename} · app {core.version} · mode gateway · reason self",
        "ts": int(time.time() * 1000),
    }


def _client(connection: Connection) -> dict[str, Any]:
    assert connection.peer is not None
    peer, client = connection.peer, connection.peer.client
    host = client.display_name or client.id
    entry = {
        "host": host,
        "version": client.version,
        "platform": client.platform,
        "deviceFamily": client.device_family,
        "modelIdentifier": client.model_identifier,
        "mode": client.mode,
        "roles": [peer.role],
        "scopes": list(peer.scopes),
        "instanceId": client.instance_id,
        "reason": "connect",
        "text": f"Node: {host} · mode {client.mode}",
        "ts": connection.since_ms,
    }
    return {key: value for key, value in entry.items() if value is not None}
