"""Who was here lately, and what others say of themselves with `system-event`: the part of presence that outlives a
connection. Those who are connected now are the hub's to know.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.protocol.handshake import Peer

TTL_MS = 5 * 60 * 1000
MAX_ENTRIES = 200
UNTRACKED = "cli"
"""The mode of commands: they come and go by the second; the existing gateway does not list them either."""

Entry = dict[str, Any]


def tracked(peer: Peer) -> bool:
    return peer.client.mode != UNTRACKED


def key(peer: Peer, conn_id: str) -> str:
    """One machine or app that connects again is the same entry."""
    return peer.client.instance_id or conn_id


def entry(peer: Peer, reason: str, ts: int) -> Entry:
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
        "instanceId": client.instance_id,
        "reason": reason,
        "text": f"Node: {host} · mode {client.mode}",
        "ts": ts,
    }
    return {name: value for name, value in fields.items() if value is not None}


class Roster:
    """Oldest first; an entry is gone after `TTL_MS`, or when newer ones need its place."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def leave(self, peer: Peer, conn_id: str, now_ms: int) -> None:
        self._put(key(peer, conn_id), entry(peer, "disconnect", now_ms))

    def note(self, fields: Mapping[str, Any], now_ms: int) -> None:
        """What a `system-event` says; keys that are None are left out."""
        known = {name: value for name, value in fields.items() if value is not None}
        name = next((known[each] for each in ("deviceId", "instanceId", "host") if known.get(each)), None)
        who = str(name or known.get("text", "")).lower()
        self._put(who, {**self._entries.get(who, {}), **known, "ts": now_ms})

    def list(self, present: Iterable[tuple[str, Entry]], now_ms: int) -> list[Entry]:
        """Newest first, bounded; what is present hides what was noted of it before, but keeps its other fields."""
        self._entries = {name: each for name, each in self._entries.items() if now_ms - each["ts"] < TTL_MS}
        merged = dict(self._entries)
        for name, each in present:
            merged[name] = {**merged.get(name, {}), **each} if name in merged else each
        newest = sorted(merged.values(), key=lambda each: int(each["ts"]), reverse=True)
        return newest[: MAX_ENTRIES - 1]

    def _put(self, name: str, value: Entry) -> None:
        self._entries.pop(name, None)
        self._entries[name] = value
        while len(self._entries) > MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]
