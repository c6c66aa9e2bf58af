"""The payload of hello-ok: facts about the gateway for a client that was let in, in the shape of its protocol."""

from dataclasses import dataclass
from typing import Any

from msgspec import Raw

from gateway.config.catalog import Defaults
from gateway.protocol.admission.pairing import Granted
from gateway.protocol.frames import StateVersion
from gateway.protocol.limits import TICK_INTERVAL_MS, limits
from gateway.protocol.peer import Peer
from gateway.protocol.session import max_payload

EVENTS = [
    "connect.challenge",
    "agent",
    "chat",
    "presence",
    "tick",
    "shutdown",
    "health",
    "config.changed",
    "device.pair.requested",
    "device.pair.resolved",
]
"""The events that this gateway sends."""
NEWER_EVENTS = ["chat.metadata.changed", "session.message", "sessions.changed"]
"""The events that it sends in protocol 4 as well."""
CAPABILITIES = ["published-model-catalog"]
"""`models.list` names the models that can be used. OpenClaw's command line requires this capability for that."""


@dataclass(frozen=True)
class Facts:
    """Facts about the gateway at the time of the hello."""

    version: str
    boot_id: str
    host: str
    features: Raw | dict[str, Any]
    """What `features` makes of the methods."""
    presence: Raw | list[dict[str, Any]]
    health: Raw | dict[str, Any]
    state_version: StateVersion
    uptime_ms: int
    config_path: str
    state_dir: str
    defaults: Defaults


def features(methods: list[str], protocol: int) -> dict[str, Any]:
    """Methods and events, the same for all clients of a protocol."""
    found: dict[str, Any] = {"methods": methods, "events": [*EVENTS, *(NEWER_EVENTS if protocol >= 4 else [])]}
    return found | {"capabilities": CAPABILITIES} if protocol >= 4 else found


def hello(peer: Peer, conn_id: str, facts: Facts, granted: Granted | None = None) -> dict[str, Any]:
    """The payload of hello-ok: `server`, `features`, `snapshot`, `policy` and `auth`."""
    payload: dict[str, Any] = {
        "type": "hello-ok",
        "protocol": peer.protocol,
        "server": _server(peer, conn_id, facts),
        "features": facts.features,
        "snapshot": {
            "presence": facts.presence,
            "health": facts.health,
            "stateVersion": facts.state_version,
            "uptimeMs": facts.uptime_ms,
            "configPath": facts.config_path,
            "stateDir": facts.state_dir,
            "sessionDefaults": _session_defaults(peer, facts.defaults),
        },
        "policy": _policy(peer),
    }
    if peer.protocol >= 4:
        payload["snapshot"]["authMode"] = peer.gateway_mode
        payload["auth"] = {"method": peer.auth_mode} | _auth(peer, granted)
    elif granted is not None:
        payload["auth"] = _auth(peer, granted)
    return payload


def _session_defaults(peer: Peer, defaults: Defaults) -> dict[str, Any]:
    named: dict[str, Any] = {
        "defaultAgentId": defaults.agent,
        "mainKey": defaults.main_key,
        "mainSessionKey": defaults.main_session,
        "scope": defaults.scope,
    }
    if peer.protocol >= 4:
        # A config without a model has the built-in echo; pages allow no message while this is false.
        named |= {"modelConfigured": True, "ownership": defaults.ownership, "selectionRequired": False}
    return named


def _auth(peer: Peer, granted: Granted | None) -> dict[str, Any]:
    """hello-ok's `auth`. It is the only message that carries the token of a device."""
    if granted is None:
        return {"role": peer.role, "scopes": peer.scopes}
    given = {"deviceToken": granted.token, "issuedAtMs": granted.issued_at_ms}
    # Behind a proxy the scopes of the connection may differ from those of its token.
    return {"role": peer.role, "scopes": peer.scopes if peer.user else granted.scopes} | given


def _server(peer: Peer, conn_id: str, facts: Facts) -> dict[str, Any]:
    if peer.protocol < 4:
        return {"version": facts.version, "connId": conn_id, "host": facts.host}
    # A page that finds its own build here reloads itself after each restart, so none must.
    newer = {"bootId": facts.boot_id, "controlUiBuildSource": "configured"}
    return {"version": facts.version, "connId": conn_id, **newer}


def _policy(peer: Peer) -> dict[str, int]:
    return {
        "maxPayload": max_payload(peer),
        "maxBufferedBytes": limits(peer.protocol).max_buffered,
        "tickIntervalMs": TICK_INTERVAL_MS,
    }
