"""The gateway's health: payload of the `health` method, of its event, and of the hello.

Channels and heartbeats do not exist here yet, so their parts say what an empty gateway says.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.aio.lag import EventLoop
from gateway.config.catalog import Defaults
from gateway.conversations.overview import SessionCounts
from gateway.machine.clock import now_ms
from gateway.rpc.core import Core

HEARTBEAT_OFF: dict[str, Any] = {"enabled": False, "every": "disabled", "everyMs": None}


class Health(Struct, rename="camel"):
    ok: bool
    duration_ms: int
    channels: dict[str, Any]
    channel_order: list[str]
    channel_labels: dict[str, str]
    heartbeat_seconds: int
    default_agent_id: str
    agents: list[dict[str, Any]]
    sessions: dict[str, Any]
    degraded: list[str]
    """The words of `report.Degradation`; [] when all is well. OpenClaw's own gateway does not have the field."""
    plugins: dict[str, list[str]] | UnsetType = UNSET
    config_reload: dict[str, str] | UnsetType = UNSET
    model_runtime: dict[str, Any] | UnsetType = UNSET
    event_loop: EventLoop | UnsetType = UNSET
    ts: int | UnsetType = UNSET
    """Milliseconds since 1970. It is always there, put before the rest, which is cached."""


def measure(core: Core, protocol: int, may_read: bool) -> Raw:
    """The payload of the method and of the `health` event, as JSON; without sessions unless the client may read.

    All but the time is cached: it depends on nothing but the arguments of `_rest`. `durationMs` is 0, because nothing
    is probed.
    """
    hot = core.watching and core.config.gateway.reload.mode != "off"
    newer = (hot, core.hub.lag.latest) if protocol >= 4 else None
    counts = core.conversations.counts() if may_read else SessionCounts()
    rest = _rest(core.paths.state, core.snapshot.defaults, core.degraded, counts, newer)
    return Raw(b'{"ts":%d,' % now_ms() + rest)


@lru_cache(maxsize=8)
def _rest(
    state: Path, who: Defaults, degraded: tuple[str, ...], counts: SessionCounts, newer: tuple[bool, EventLoop] | None
) -> bytes:
    """Health without `ts` and the opening brace. `newer`: `hotReloadStatus` and `eventLoop` of protocol 4."""
    stores = {id: _sessions(state, id, counts) for id in who.agents}
    agents = [
        {"agentId": id, "isDefault": id == who.agent, "heartbeat": _heartbeat(), "sessions": each}
        for id, each in stores.items()
    ]
    answer = Health(
        ok=True,
        duration_ms=0,
        channels={},
        channel_order=[],
        channel_labels={},
        heartbeat_seconds=0,
        default_agent_id=who.agent,
        agents=agents,
        sessions=stores[who.agent],
        degraded=list(degraded),
    )
    if newer is not None:
        hot, answer.event_loop = newer
        answer.plugins = {"loaded": [], "errors": [], "unavailable": []}
        answer.config_reload = {"hotReloadStatus": "active" if hot else "disabled"}
        answer.model_runtime = model_runtime()
    return msgspec.json.encode(answer)[1:]


def _sessions(state: Path, agent: str, counts: SessionCounts) -> dict[str, Any]:
    seen = counts.of(agent)
    recent = [{"key": key, "updatedAt": at, "age": max(0, counts.at - at)} for key, at in seen.recent]
    return {"path": store_path(state, agent), "count": seen.count, "recent": recent}


def store_path(state: Path, agent: str) -> str:
    return str(state / "agents" / agent / "sessions" / "sessions.json")


def _heartbeat() -> dict[str, Any]:
    return {**HEARTBEAT_OFF, "prompt": "", "target": "last", "ackMaxChars": 300}


def model_runtime() -> dict[str, Any]:
    return {"degraded": False, "pendingAgents": []}
