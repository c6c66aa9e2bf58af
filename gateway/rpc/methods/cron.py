"""Scheduled jobs: there is no scheduler here, so that lists are empty."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config.tree import section
from gateway.protocol.frames import RpcError
from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import READ
from gateway.rpc.registry import Call, method

NO_JOBS = "none"


class CronStatus(Struct, rename="camel"):
    enabled: bool
    """`cron.enabled` of the config."""
    store_path: str
    jobs: int
    next_wake_at_ms: int | None
    triggers_enabled: bool | UnsetType = UNSET


class CronListParams(Params, frozen=True):
    session_key: str | None = None
    session_agent_id: str | None = None
    include_disabled: bool = False
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    offset: Annotated[int, Meta(ge=0)] = 0
    query: str | None = None
    enabled: str | None = None
    schedule_kind: str | None = None
    last_run_status: str | None = None
    trigger: str | None = None
    sort_by: str | None = None
    sort_dir: str | None = None
    agent_id: str | None = None
    compact: bool = False
    include_delivery_previews: bool = False


class CronJobs(Struct, rename="camel"):
    jobs: list[dict[str, Any]]
    total: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    has_more: bool | UnsetType = UNSET
    next_offset: int | None | UnsetType = UNSET
    snapshot_revision: str | UnsetType = UNSET
    """It changes with the jobs."""


class CronRunsParams(Params, frozen=True):
    scope: Literal["job", "all"] | None = None
    """Absent: `job` if a job is named, else `all`."""
    id: str | None = None
    job_id: str | None = None
    run_id: str | None = None
    agent_id: str | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    offset: Annotated[int, Meta(ge=0)] = 0
    statuses: list[str] | None = None
    status: str | None = None
    delivery_statuses: list[str] | None = None
    delivery_status: str | None = None
    query: str | None = None
    sort_dir: str | None = None


class CronRuns(Struct, rename="camel"):
    entries: list[dict[str, Any]]
    total: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    has_more: bool | UnsetType = UNSET
    next_offset: int | None | UnsetType = UNSET


@method("cron.status", NoParams, CronStatus, scope=READ)
def cron_status(call: Call, params: NoParams) -> CronStatus:
    """The state of the scheduler: `cron.enabled` of the config, and no job."""
    enabled = section(call.core.snapshot.merged, "cron").get("enabled") is not False
    answer = CronStatus(enabled, str(call.core.paths.state / "cron" / "jobs.json"), 0, None)
    if call.peer.protocol >= 4:
        answer.triggers_enabled = False
    return answer


@method("cron.list", CronListParams, CronJobs, scope=READ)
def cron_list(call: Call, params: CronListParams) -> CronJobs:
    """The jobs: none, whatever the filter."""
    if call.peer.protocol < 4:
        return CronJobs([])
    page = CronJobs([], total=0, offset=params.offset, limit=params.limit, has_more=False, next_offset=None)
    page.snapshot_revision = NO_JOBS
    return page


@method("cron.runs", CronRunsParams, CronRuns, scope=READ)
def cron_runs(call: Call, params: CronRunsParams) -> CronRuns:
    """Past runs of jobs: none."""
    if params.scope == "job" and not (params.id or params.job_id):
        raise RpcError("invalid cron.runs params: missing id")
    if call.peer.protocol < 4:
        return CronRuns([])
    return CronRuns([], total=0, offset=params.offset, limit=params.limit, has_more=False, next_offset=None)
