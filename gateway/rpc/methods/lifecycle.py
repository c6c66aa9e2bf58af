"""Methods to reload or restart the gateway, as the control socket offers it."""

from typing import Any

from msgspec import Struct

from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import ADMIN, READ
from gateway.report import Change, Issue
from gateway.rpc.registry import Call, method

MAX_REASON = 200
"""Characters of a client's reason; the rest is cut."""


class RestartParams(Params, frozen=True):
    reason: str = ""


class Restart(Struct, rename="camel"):
    ok: bool
    state: str
    boot_id: str
    """Id of the process image that will end: connect again until another one answers."""
    message: str


class Preflight(Struct, rename="camel"):
    safe: bool
    counts: dict[str, int]
    blockers: list[dict[str, Any]]
    summary: str


class ReloadAnswer(Struct, rename="camel"):
    ok: bool
    outcome: str
    message: str
    changes: tuple[Change, ...]
    issues: tuple[Issue, ...]
    warnings: tuple[str, ...]
    at: int
    """Milliseconds since 1970."""
    duration_ms: float


@method("gateway.restart.request", RestartParams, Restart, scope=ADMIN, since=4, budgeted=True)
def gateway_restart_request(call: Call, params: RestartParams) -> Restart:
    """Restart at an idle moment. Several requests cause one restart."""
    ticket = call.core.request_restart(f"rpc: {params.reason[:MAX_REASON]!r}" if params.reason else "rpc")
    return Restart(True, ticket.state, ticket.boot_id, ticket.message)


@method("gateway.restart.preflight", NoParams, Preflight, scope=READ, since=4)
def gateway_restart_preflight(call: Call, params: NoParams) -> Preflight:
    """The work that a restart would wait for."""
    busy = call.core.hub.busy
    names = ("queueSize", "pendingReplies", "embeddedRuns", "cronRuns", "backgroundExecSessions", "activeTasks")
    counts = {**dict.fromkeys(names, 0), "rootRequests": busy, "totalActive": busy}
    if not busy:
        return Preflight(True, counts, [], "safe to restart now")
    message = f"{busy} request{'s' * (busy > 1)} in flight"
    blocker = {"kind": "root-request", "count": busy, "message": message}
    return Preflight(False, counts, [blocker], f"restart would wait for {message}")


@method("gateway.reload", NoParams, ReloadAnswer, scope=ADMIN)
async def gateway_reload(call: Call, params: NoParams) -> ReloadAnswer:
    """Read the config file now and apply it. The answer has the result."""
    result = await call.core.reload("rpc")
    return ReloadAnswer(
        ok=result.ok,
        outcome=result.outcome,
        message=result.message,
        changes=result.changes,
        issues=result.issues,
        warnings=result.warnings,
        at=result.at,
        duration_ms=result.duration_ms,
    )
