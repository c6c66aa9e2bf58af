"""Presence, as JSON: clients that are connected or were lately, and machines that a `system-event` has named.

Each entry is serialised when it changes, because every hello and every presence event carries all of them.
"""

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

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


def encode(fields: Fields) -> bytes:
    """JSON in ASCII."""
    return _ascii(fields).encode()


def encode_plain(fields: Mapping[str, str | int | list[str]]) -> bytes:
    """JSON as `encode` writes it. It takes less time if nothing is to be escaped. A float would be written in another
    way."""
    text = msgspec.json.encode(fields)
    return text if text.isascii() else encode(dict(fields))


def tracked(peer: Peer) -> bool:
    """Whether presence lists this client."""
    return peer.client.mode != UNTRACKED


class Roster:
    """Entries by a key that a machine or app keeps when it connects again."""

    def __init__(self) -> None:
        self._present: dict[str, bytes] = {}
        """JSON, the oldest first; so is `_past`. Every hello joins them, so they stand alone."""
        self._connections: dict[str, str] = {}
        """Ids of the connections whose entries are in `_present`."""
        self._past: dict[str, bytes] = {}
        self._past_ts: dict[str, int] = {}
        """Milliseconds since 1970."""

    def come(self, peer: Peer, conn_id: str, now_ms: int) -> None:
        name = _key(peer, conn_id)
        self._forget(name)
        self._present.pop(name, None)  # or the entry would keep the place of its first connection
        self._present[name] = encode_plain(_fields(peer, now_ms))
        self._connections[name] = conn_id

    def leave(self, peer: Peer, conn_id: str, now_ms: int) -> None:
        """Remove an entry. Nothing happens when a newer connection has taken it over."""
        name = _key(peer, conn_id)
        if self._connections.get(name) == conn_id:
            del self._connections[name]
            present = self._present.pop(name)
            self._remember(name, {**msgspec.json.decode(present), "reason": "disconnect", "ts": now_ms})

    def note(self, fields: Mapping[str, Any], now_ms: int) -> None:
        """Add to an entry what a `system-event` says; fields that are None are left out."""
        new = {name: value for name, value in fields.items() if value is not None} | {"ts": now_ms}
        name = str(next((new[key] for key in ("deviceId", "instanceId", "host", "text") if new.get(key)), ""))
        present, past = self._present.get(name), self._past.get(name)
        if present is not None:
            self._present[name] = encode({**msgspec.json.decode(present), **new})
        else:
            self._remember(name, {**(msgspec.json.decode(past) if past else {}), **new})

    def entries(self, now_ms: int) -> list[bytes]:
        """Entries of connected clients first, each group from the newest on; no more than fit beside the gateway's
        own."""
        while self._past and now_ms - self._past_ts[oldest := next(iter(self._past))] >= TTL_MS:
            self._forget(oldest)
        room = MAX_ENTRIES - 1
        here = list(islice(reversed(self._present.values()), room))
        here += islice(reversed(self._past.values()), room - len(here))
        return here

    def _remember(self, name: str, fields: Fields) -> None:
        self._forget(name)
        self._past[name], self._past_ts[name] = encode(fields), fields["ts"]
        if len(self._past) > MAX_ENTRIES:
            self._forget(next(iter(self._past)))

    def _forget(self, name: str) -> None:
        if self._past.pop(name, None) is not None:
            del self._past_ts[name]


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
