"""What agents work on beside conversations, where, and what they make: nothing and nowhere."""

import time
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import READ
from gateway.rpc.registry import Call, method

TaskStatus = Literal["queued", "running", "completed", "failed", "cancelled", "timed_out"]
Text = Annotated[str, Meta(min_length=1)]


class TasksParams(Params, frozen=True):
    status: TaskStatus | list[TaskStatus] | None = None
    agent_id: Text | None = None
    session_key: Text | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] | None = None
    cursor: Annotated[str, Meta(max_length=512)] | None = None
    sort_by: Literal["updatedAt", "endedAt"] | None = None


class TaskList(Struct):
    tasks: list[dict[str, Any]]


class ArtifactsParams(Params, frozen=True):
    session_key: Text | None = None
    run_id: Text | None = None
    task_id: Text | None = None
    agent_id: Text | None = None
    type: Text | None = None
    limit: Annotated[int, Meta(ge=1)] | None = None
    cursor: Text | None = None


class Artifacts(Struct):
    artifacts: list[dict[str, Any]]


class Lanes(Struct):
    ts: int
    lanes: list[dict[str, Any]]
    dynamic: dict[str, Any] | None


class EnvironmentsParams(Params, frozen=True):
    runtime_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    projection: Literal["profiles"] | None = None
    include_desktop_setup: bool = False


class Environments(Struct):
    environments: list[dict[str, Any]]


class Worktrees(Struct):
    worktrees: list[dict[str, Any]]


@method("tasks.list", TasksParams, TaskList, scope=READ, since=4)
def tasks_list(call: Call, params: TasksParams) -> TaskList:
    """Tasks that agents were given, done or not: none, whatever the filter."""
    return TaskList([])


@method("artifacts.list", ArtifactsParams, Artifacts, scope=READ, since=4)
def artifacts_list(call: Call, params: ArtifactsParams) -> Artifacts:
    """What an agent has made in a session: nothing is kept beside the transcript."""
    return Artifacts([])


@method("diagnostics.lanes", NoParams, Lanes, scope=READ, since=4)
def diagnostics_lanes(call: Call, params: NoParams) -> Lanes:
    """The queues in which agents' work waits: there is none."""
    return Lanes(int(time.time() * 1000), [], None)


@method("environments.list", EnvironmentsParams, Environments, scope=READ, since=4)
def environments_list(call: Call, params: EnvironmentsParams) -> Environments:
    """The machines on which agents can work: none, not even this one."""
    return Environments([])


@method("worktrees.list", NoParams, Worktrees, scope=READ, since=4)
def worktrees_list(call: Call, params: NoParams) -> Worktrees:
    """Checkouts that were made for agents: none."""
    return Worktrees([])
