"""Who is here: the gateway itself first, then clients, as `system-presence`, the hello and the event list them.

A change is told soon, not at once: many clients that come together are one event. Its cost grows with those who hear
it, so the pace does too (`PACE_S` a client, so a thousand clients hear it once a second). Who may not read hears of the
gateway alone, in the hello.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from gateway.hub.roster import encode
from gateway.machine.clock import now_ms
from gateway.protocol.scopes import READ
from gateway.rpc.core import Core

SOON_S = 0.1
PACE_S = 0.001


def presence(core: Core) -> Raw:
    """A JSON list of entries."""
    return Raw(b"[" + b",".join([encode(_gateway(core)), *core.hub.roster.entries(now_ms())]) + b"]")


def alone(core: Core) -> Raw:
    """The list for who may not read: of the gateway, and of nobody else."""
    return Raw(b"[" + encode(_gateway(core)) + b"]")


def note(core: Core, fields: Mapping[str, Any]) -> None:
    """Enter what a `system-event` says of a machine; everybody hears of it soon."""
    core.hub.roster.note(fields, now_ms())
    core.hub.presence_changed()


class Announcer:
    """Set `soon` as the hub's `on_presence`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._timer: asyncio.TimerHandle | None = None

    def soon(self) -> None:
        if self._timer is None:
            delay = max(SOON_S, PACE_S * self._core.hub.count)
            self._timer = asyncio.get_running_loop().call_later(delay, self._announce)

    def _announce(self) -> None:
        self._timer = None
        hub = self._core.hub
        hub.broadcast(
            "presence",
            {"presence": presence(self._core)},
            drop_if_slow=True,
            state_version=hub.state_version,
            scope=READ,
        )


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
        "ts": now_ms(),
    }
