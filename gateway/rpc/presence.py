"""The list of the gateway and its clients for `system-presence`, the hello and the `presence` event.

Changes are collected before an event is sent, so that many clients that connect together cause one event. Its cost
grows with the number of clients, so the delay does, too: with a thousand clients there is one event a second. A client
without `operator.read` is told of the gateway alone, in the hello.
"""

import asyncio
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msgspec import Raw

from gateway.hub.roster import encode
from gateway.machine.clock import now_ms
from gateway.protocol.scopes import READ
from gateway.rpc.core import Core

SOON_S = 0.1
"""The least delay of an event after a change."""
PACE_S = 0.001
"""The delay for each client."""


def presence(core: Core) -> Raw:
    """The JSON list of all entries: the gateway first, then clients."""
    now = now_ms()
    return Raw(b"[%b]" % b",".join([_gateway(core, now), *core.hub.roster.entries(now)]))


def gateway_only(core: Core) -> Raw:
    """The JSON list for clients that may not read: the gateway's entry alone."""
    return Raw(b"[%b]" % _gateway(core, now_ms()))


def note(core: Core, fields: Mapping[str, Any]) -> None:
    """Add the entry of a `system-event` to the list; clients are told soon."""
    core.hub.roster.note(fields, now_ms())
    core.hub.presence_changed()


class Announcer:
    """Sends the `presence` event. Set `soon` as the hub's `on_presence`."""

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


def _gateway(core: Core, now_ms: int) -> bytes:
    """The gateway's own entry, as JSON."""
    return b'%b,"ts":%d}' % (_own_facts(os.uname(), core.version, core.boot_id), now_ms)


@lru_cache(maxsize=1)
def _own_facts(system: os.uname_result, version: str, boot_id: str) -> bytes:
    """The entry without its last field, which is the time, and its closing brace."""
    fields = {
        "host": system.nodename,
        "version": version,
        "platform": f"{system.sysname.lower()} {system.release}",
        "deviceFamily": system.sysname,
        "modelIdentifier": system.machine,
        "mode": "gateway",
        "reason": "self",
        "instanceId": boot_id,
        "text": f"Gateway: {system.nodename} · app {version} · mode gateway · reason self",
    }
    return encode(fields)[:-1]
