"""`health` and `status`: the gateway as OpenClaw's clients want to see it.

Channels, heartbeats and tasks do not exist here yet, so their parts say what an empty gateway says.
"""

from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.aio.lag import EventLoop
from gateway.config import models
from gateway.config.catalog import Defaults
from gateway.config.tree import ConfigTree
from gateway.conversations.overview import LISTED, Recent
from gateway.machine.clock import now_ms
from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.health import HEARTBEAT_OFF, Health, measure, model_runtime, store_path
from gateway.rpc.registry import Call, method
from gateway.sessions import shown
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import Page, Session

_AGE = b"\0"
"""Stands for an age in encoded JSON, which has no such byte otherwise."""


class HealthParams(Params, frozen=True):
    probe: bool = False


class StatusParams(Params, frozen=True):
    include_channel_summary: bool = True


class Status(Struct, rename="camel"):
    heartbeat: dict[str, Any]
    channel_summary: list[str]
    queued_system_events: list[str]
    sessions: dict[str, Any]
    runtime_version: str | UnsetType = UNSET
    tasks: dict[str, Any] | UnsetType = UNSET
    task_audit: dict[str, Any] | UnsetType = UNSET
    model_runtime: dict[str, Any] | UnsetType = UNSET
    degraded_secret_owners: list[str] | UnsetType = UNSET
    degraded_plugins: list[str] | UnsetType = UNSET
    event_loop: EventLoop | UnsetType = UNSET


@method("health", HealthParams, Health, scope=None)
def health(call: Call, params: HealthParams) -> Raw:
    """A summary of the gateway. `probe` is accepted and has no effect. Without `operator.read` it has no sessions."""
    return measure(call.core, call.peer.protocol, call.connection.may_hear(READ))


def _known(call: Call, params: StatusParams) -> Raw | None:
    """The status from what was read before; None if something may have been committed since."""
    recent = call.core.conversations.recent.current(call.core.snapshot.defaults.agents)
    return None if recent is None else _status(call, recent)


@method("status", StatusParams, Status, scope=READ, at_once=_known)
async def status(call: Call, params: StatusParams) -> Raw:
    """Heartbeat, sessions and queued events, for a status page. Without the database there are no sessions."""
    agents = call.core.snapshot.defaults.agents
    try:
        await call.core.conversations.ready()
        recent = await call.core.conversations.recent.read(agents)
    except StorageFailed:
        recent = Recent(call.core.tree, {id: Page([], 0) for id in agents})
    return _status(call, recent)


def _status(call: Call, recent: Recent) -> Raw:
    """The payload of `status`. All but the ages is cached: it depends on nothing but the arguments of `_encode`."""
    core, protocol = call.core, call.peer.protocol
    newer = (core.version, core.hub.lag.latest) if protocol >= 4 else None
    pieces, updated = _encode(recent, core.paths.state, core.snapshot.defaults, newer)
    if not updated:
        return Raw(pieces[0])
    now = now_ms()
    ages = [b"%d" % max(0, now - each) for each in updated]
    return Raw(b"".join(chain.from_iterable(zip(pieces, ages, strict=False))) + pieces[-1])


@lru_cache(maxsize=4)
def _encode(
    recent: Recent, state: Path, who: Defaults, newer: tuple[str, EventLoop] | None
) -> tuple[list[bytes], list[int]]:
    """The JSON of a status before, between and after the ages, and when those sessions were updated (ms since 1970).

    `newer`: `runtimeVersion` and `eventLoop` of protocol 4.
    """
    ref = models.default_model(recent.tree)
    rows = {
        id: [_row(recent.tree, each, newer is not None) for each in page.sessions] for id, page in recent.pages.items()
    }
    every = sorted((row for found in rows.values() for row in found), key=lambda row: -row["updatedAt"])[:LISTED]
    answer = Status(
        heartbeat={"defaultAgentId": who.agent, "agents": [{"agentId": id, **HEARTBEAT_OFF} for id in who.agents]},
        channel_summary=[],
        queued_system_events=[],
        sessions={
            "paths": [store_path(state, id) for id in who.agents],
            "count": sum(page.total for page in recent.pages.values()),
            "defaults": {"model": ref.id, "contextTokens": models.window(recent.tree, ref)},
            "recent": every,
            "byAgent": [
                {"agentId": id, "path": store_path(state, id), "count": page.total, "recent": rows[id]}
                for id, page in recent.pages.items()
            ],
        },
    )
    if newer is not None:
        answer.runtime_version, answer.event_loop = newer
        answer.tasks = _no_tasks()
        answer.task_audit = _no_task_audit()
        answer.model_runtime = model_runtime()
        answer.degraded_secret_owners = []
        answer.degraded_plugins = []
    updated = [row["updatedAt"] for found in (every, *rows.values()) for row in found]
    return msgspec.json.encode(answer).split(_AGE), updated


def _row(tree: ConfigTree, session: Session, modern: bool) -> dict[str, Any]:
    ref = models.session_model(tree, session.agent, session.entry.get("model"))
    window = models.window(tree, ref)
    levels = {name: session.entry.get(f"{name}Level") for name in ("thinking", "verbose", "reasoning", "elevated")}
    flags = [f"{name}:{level}" for name, level in levels.items() if level]
    flags += ["system"] if session.messages else []
    flags += ["aborted"] if session.aborted else []
    row: dict[str, Any] = {
        "agentId": session.agent,
        "key": session.key,
        "kind": shown.kind(session.key, session.entry),
        "sessionId": session.id,
        "updatedAt": session.updated,
        "age": Raw(_AGE),
        **{f"{name}Level": level for name, level in levels.items() if level},
        "systemSent": session.messages > 0,
        "abortedLastRun": session.aborted,
        "inputTokens": session.input,
        "outputTokens": session.output,
        "totalTokens": session.total,
        "remainingTokens": None if window is None else max(0, window - session.total),
        "percentUsed": None if window is None else min(999, round(100 * session.total / window)),
        "model": ref.id,
        "contextTokens": window,
        "flags": [*flags, f"id:{session.id}"],
    }
    if modern:
        full = str(models.default_model(tree, session.agent))
        row |= {"totalTokensFresh": session.total > 0, "configuredModel": full, "selectedModel": str(ref)}
    return row


def _no_tasks() -> dict[str, Any]:
    statuses = ("queued", "running", "succeeded", "failed", "timed_out", "cancelled", "lost")
    runtimes = ("subagent", "acp", "cli", "cron")
    totals = dict.fromkeys(("total", "active", "terminal", "failures"), 0)
    return {**totals, "byStatus": dict.fromkeys(statuses, 0), "byRuntime": dict.fromkeys(runtimes, 0)}


def _no_task_audit() -> dict[str, Any]:
    kinds = ("stale_queued", "stale_running", "lost", "delivery_failed", "missing_cleanup", "inconsistent_timestamps")
    return {"total": 0, "warnings": 0, "errors": 0, "byCode": dict.fromkeys(kinds, 0)}
