"""Presence, as JSON: clients that are connected or were lately, and machines that a `system-event` has named.

Each entry is serialised when it changes, because every hello and every presence event carries all of them.
"""

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from gateway.protocol.peer import Peer

TTL_MS = 5 * 60 * 1000
"""How long an entry is listed after its client has disconnected, or after a `system-event` without a client."""
MAX_ENTRIES = 200
UNTRACKED = "cli"
"""The mode of commands, which are not listed: they come and go by the second. OpenClaw does not list them either."""

Fields = dict[str, Any]
"""An entry of presence, by OpenClaw's names: host, version, mode, roles, scopes, deviceId, reason, text, ts
(milliseconds since 1970), …"""
_ascii = json.JSONEncoder(separators=(",", ":")).encode


class _Present(NamedTuple):
    conn_id: str
    json: bytes


class _Past(NamedTuple):
    ts: int
    """Milliseconds since 1970."""
    json: bytes


def encode(fields: Fields) -> bytes:
    """JSON in ASCII: one character beyond it would double the memory of each frame that carries all entries."""
    return _ascii(fields).encode()


def tracked(peer: Peer) -> bool:
    """Whether presence lists this client."""
    return peer.client.mode != UNTRACKED


class Roster:
    """Entries by a key that a machine or app keeps when it connects again."""

    def __init__(self) -> None:
        self._present: dict[str, _Present] = {}
        self._past: dict[str, _Past] = {}
        """Oldest first."""

    def come(self, peer: Peer, conn_id: str, now_ms: int) -> None:
        name = _key(peer, conn_id)
        self._past.pop(name, None)
        self._present.pop(name, None)  # or the entry would keep the place of its first connection
        self._present[name] = _Present(conn_id, encode(_fields(peer, now_ms)))

    def leave(self, peer: Peer, conn_id: str, now_ms: int) -> None:
        """Remove an entry. Nothing happens when a newer connection has taken it over."""
        name = _key(peer, conn_id)
        present = self._present.get(name)
        if present is not None and present.conn_id == conn_id:
            del self._present[name]
            self._remember(name, {**msgspec.json.decode(present.json), "reason": "disconnect", "ts": now_ms})

    def note(self, fields: Mapping[str, Any], now_ms: int) -> None:
        """Add to an entry what a `system-event` says; fields that are None are left out."""
        new = {name: value for name, value in fields.items() if value is not None} | {"ts": now_ms}
        name = str(next((new[key] for key in ("deviceId", "instanceId", "host", "text") if new.get(key)), ""))
        present, past = self._present.get(name), self._past.get(name)
        if present is not None:
            known = msgspec.json.decode(present.json)
            self._present[name] = present._replace(json=encode({**known, **new}))
        else:
            self._remember(name, {**(msgspec.json.decode(past.json) if past else {}), **new})

    def entries(self, now_ms: int) -> list[bytes]:
        """Entries of connected clients first, each group from the newest on; no more than fit beside the gateway's
        own."""
        while self._past and now_ms - (oldest := next(iter(self._past.items())))[1].ts >= TTL_MS:
            del self._past[oldest[0]]
        room = MAX_ENTRIES - 1
        here = [each.json for each in islice(reversed(self._present.values()), room)]
        return here + [each.json for each in islice(reversed(self._past.values()), room - len(here))]

    def _remember(self, name: str, fields: Fields) -> None:
        self._past.pop(name, None)
        self._past[name] = _Past(fields["ts"], encode(fields))
        if len(self._past) > MAX_ENTRIES:
            del self._past[next(iter(self._past))]


def _key(peer: Peer, conn_id: str) -> str:
    return peer.device_id or peer.client.instance_id or conn_id


def _fields(peer: Peer, ts: int) -> Fields:
    client = peer.client
    host = client.display_name or client.id
    fields = {
        "host": host,
        "version": client.version,
        "platform": client.platform,
        "deviceFamily": client.device_family,
        "modelIdentifier": client.model_identifier,
        "mode": client.mode,
        "roles": [peer.role],
        "scopes": list(peer.scopes),
        "deviceId": peer.device_id,
        "instanceId": client.instance_id,
        "reason": "connect",
        "text": f"Node: {host} · mode {client.mode}",
        "ts": ts,
    }
    return {name: value for name, value in fields.items() if value is not None}
