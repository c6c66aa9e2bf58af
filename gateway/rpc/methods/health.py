"""`health` and `status`: the gateway as OpenClaw's clients want to see it.

Channels, heartbeats and tasks do not exist here yet, so their parts say what an empty gateway says.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.aio.lag import EventLoop
from gateway.config import models
from gateway.machine.clock import now_ms
from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.core import Core
from gateway.rpc.health import HEARTBEAT_OFF, Health, measure, model_runtime, store_path
from gateway.rpc.registry import Call, method
from gateway.sessions import shown
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import Filter, Page, Session

RECENT = 10
"""Sessions of each agent, and of all, that `status` shows."""


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


@method("status", StatusParams, Status, scope=READ)
async def status(call: Call, params: StatusParams) -> Status:
    """Heartbeat, sessions and queued events, for a status page. Without the database there are no sessions."""
    who = call.core.snapshot.defaults
    pages = await _pages(call.core, who.agents)
    ref = models.default_model(call.core.tree)
    rows = {id: [_recent(call, each) for each in page.sessions] for id, page in pages.items()}
    every = sorted((row for found in rows.values() for row in found), key=lambda row: -row["updatedAt"])
    answer = Status(
        heartbeat={"defaultAgentId": who.agent, "agents": [{"agentId": id, **HEARTBEAT_OFF} for id in who.agents]},
        channel_summary=[],
        queued_system_events=[],
        sessions={
            "paths": [store_path(call.core.paths.state, id) for id in who.agents],
            "count": sum(page.total for page in pages.values()),
            "defaults": {"model": ref.id, "contextTokens": models.window(call.core.tree, ref)},
            "recent": every[:RECENT],
            "byAgent": [
                {"agentId": id, "path": store_path(call.core.paths.state, id), "count": page.total, "recent": rows[id]}
                for id, page in pages.items()
            ],
        },
    )
    if call.peer.protocol >= 4:
        answer.runtime_version = call.core.version
        answer.tasks = _no_tasks()
        answer.task_audit = _no_task_audit()
        answer.model_runtime = model_runtime()
        answer.degraded_secret_owners = []
        answer.degraded_plugins = []
        answer.event_loop = call.core.hub.lag.latest
    return answer


async def _pages(core: Core, agents: Sequence[str]) -> dict[str, Page]:
    try:
        await core.conversations.ready()
        return {id: await core.conversations.store.sessions(Filter(agent=id), RECENT) for id in agents}
    except StorageFailed:
        return {id: Page([], 0) for id in agents}


def _recent(call: Call, session: Session) -> dict[str, Any]:
    tree, now = call.core.tree, now_ms()
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
        "age": max(0, now - session.updated),
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
    if call.peer.protocol >= 4:
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
