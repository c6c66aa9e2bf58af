"""Methods that create, reset, delete and compact sessions, and abort their runs."""

import uuid
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config import catalog
from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import Body, Params
from gateway.protocol.scopes import ADMIN, WRITE
from gateway.rpc.methods.agents import find
from gateway.rpc.methods.conversation import or_refuse, session_key, user_message, with_kept_files
from gateway.rpc.methods.session_patch import change_of, change_or_refuse, checked_settings, require
from gateway.rpc.methods.sessions import Key, Label
from gateway.rpc.registry import Call, method
from gateway.sessions import shown
from gateway.sessions.records import RunRequest

KEPT = 400
"""Messages that `sessions.compact` keeps in protocol 3 unless the client names a number."""
SUM_UP_S = 900.0
"""The longest wait for a summary."""


class ResetParams(Params, frozen=True, kw_only=True):
    key: Key
    agent_id: str | None = None
    reason: str | None = None
    expected_session_id: Key | None = None


class Reset(Struct, rename="camel"):
    ok: bool
    key: str
    entry: dict[str, Any]
    resolved: dict[str, Any] | UnsetType = UNSET


class SessionDeleteParams(Params, frozen=True, kw_only=True):
    key: Key
    agent_id: str | None = None
    delete_transcript: bool = True
    archived_only: bool = False
    """Protocol 4: delete it only if it is archived. `operator.write` is enough then."""
    expected_session_id: Key | None = None
    expected_lifecycle_revision: Key | None = None
    expected_session_updated_at: float | None = None
    emit_lifecycle_hooks: bool = True


class SessionDeleted(Struct):
    ok: bool
    key: str
    deleted: bool
    archived: list[str]
    """Files with what was deleted. There are none."""


class CompactParams(Params, frozen=True, kw_only=True):
    key: Key
    agent_id: str | None = None
    max_lines: Annotated[int, Meta(ge=1)] | None = None
    """Number of the newest messages to keep; all others are deleted. If it is absent, protocol 3 keeps 400, and in
    protocol 4 a model sums up older messages and none is deleted."""


class Compacted(Struct):
    ok: bool
    key: str
    compacted: bool
    kept: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    result: dict[str, Any] | UnsetType = UNSET
    """The summary: `summary`, `firstKeptEntryId`, `tokensBefore`, `tokensAfter`."""


class SessionCreateParams(Params, frozen=True, kw_only=True):
    key: Key | None = None
    idempotency_key: Key | None = None
    """Id of the run of `message`."""
    agent_id: Key | None = None
    label: Label | None = None
    display_name: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    title_source: str | None = None
    category: Label | None = None
    model: Key | None = None
    thinking_level: Key | None = None
    fast_mode: bool | str | None = None
    message: Body | None = None
    task: Body | None = None
    attachments: list[Any] | None = None
    mentions: list[Any] | None = None
    timeout_ms: Annotated[int, Meta(ge=0)] | None = None
    parent_session_key: Key | None = None
    spawn_depth: int | None = None
    emit_command_hooks: bool = False
    succeeds_parent: bool | None = None
    visibility: str | None = None
    worktree: bool = False
    fork: bool = False
    incognito: bool = False
    cwd: str | None = None
    exec_node: str | None = None
    project_id: str | None = None
    project_git_url: str | None = None
    repository: dict[str, Any] | None = None
    catalog_id: str | None = None
    agent_runtime: str | None = None
    permission_mode: str | None = None
    tool_overrides: dict[str, Any] | None = None
    context_window: str | None = None


class SessionCreated(Struct, rename="camel"):
    ok: bool
    key: str
    session_id: str
    entry: dict[str, Any]
    run_started: bool
    resolved: dict[str, Any]
    run_id: str | UnsetType = UNSET
    run_error: dict[str, Any] | UnsetType = UNSET
    """`{code, message}` if the message was refused; the session was created."""


class SessionAbortParams(Params, frozen=True, kw_only=True):
    key: Key | None = None
    run_id: Key | None = None
    agent_id: str | None = None
    clear_queued: bool = False


class SessionAborted(Struct, rename="camel"):
    ok: bool
    aborted_run_id: str | None
    status: str
    """`aborted` or `no-active-run`."""


@method("sessions.create", SessionCreateParams, SessionCreated, scope=WRITE, since=4)
async def sessions_create(call: Call, params: SessionCreateParams) -> SessionCreated:
    """Create a session, and send it a first message if there is one. Worktrees, forks and projects are refused."""
    for name in ("worktree", "fork", "incognito", "cwd", "exec_node", "project_id", "project_git_url", "repository"):
        if getattr(params, name):
            raise RpcError(f"{name} is not supported by this gateway")
    core, conversations = call.core, call.core.conversations
    agent = find(core.tree, params.agent_id or catalog.default_id(core.tree))
    key = session_key(call, params.key or f"agent:{agent.id}:dashboard:{uuid.uuid4()}")
    asked: dict[str, Any] = {"label": params.label, "model": params.model, "thinkingLevel": params.thinking_level}
    asked |= {"displayName": params.display_name, "category": params.category, "fastMode": params.fast_mode}
    wanted = checked_settings(call, key, {name: value for name, value in asked.items() if value is not None})
    text = params.message or params.task
    said = user_message(text or "", params.attachments) if text or params.attachments else None
    await or_refuse(conversations.ready())
    session = await change_or_refuse(key, "create", conversations.sessions.patch(key, change_of(wanted)))
    entry, resolved = shown.entry(session, call.peer.protocol), shown.resolved(session, core.tree)
    answer = SessionCreated(True, key, session.id, entry, False, resolved)
    if said is not None:
        id = params.idempotency_key or str(uuid.uuid4())
        try:
            async with with_kept_files(call, id, said) as message:
                request = RunRequest(message, timeout_ms=params.timeout_ms or None)
                run, _ = await or_refuse(conversations.submit(id, key, request))
            answer.run_started, answer.run_id = True, run.id
        except RpcError as error:
            answer.run_error = {"code": error.wire.code, "message": error.wire.message}
    return answer


@method("sessions.reset", ResetParams, Reset, scope=ADMIN)
async def sessions_reset(call: Call, params: ResetParams) -> Reset:
    """Give a session an empty transcript and no tokens. Key and settings stay. Its runs are aborted first."""
    key = session_key(call, params.key)
    conversations = call.core.conversations
    await or_refuse(conversations.ready())
    session = await change_or_refuse(
        key, "reset", conversations.sessions.reset(key, expected=params.expected_session_id)
    )
    answer = Reset(True, key, shown.entry(session, call.peer.protocol))
    if call.peer.protocol >= 4:
        answer.resolved = shown.resolved(session, call.core.tree)
    return answer


@method("sessions.delete", SessionDeleteParams, SessionDeleted, scope=WRITE, old_scope=ADMIN)
async def sessions_delete(call: Call, params: SessionDeleteParams) -> SessionDeleted:
    """Delete a session and its transcript. Its runs are aborted first. An agent's main session cannot be deleted.

    It needs `operator.admin`, except for archived sessions in protocol 4 with `archivedOnly`.
    """
    if not params.archived_only:
        require(call, ADMIN)
    key = session_key(call, params.key)
    conversations = call.core.conversations
    if key == catalog.main_session(call.core.tree, conversations.sessions.agent(key)):
        raise RpcError(f"Cannot delete the main session ({key}).")
    await or_refuse(conversations.ready())
    if params.archived_only:
        session = await or_refuse(conversations.store.session(key))
        if session is not None and not session.entry.get("archived"):
            raise RpcError(f"Session {key} is not archived. Archive it first, then delete it.")
    expected = params.expected_session_id or params.expected_lifecycle_revision
    work = conversations.sessions.delete(key, transcript=params.delete_transcript, expected=expected)
    gone = await change_or_refuse(key, "delete", work)
    return SessionDeleted(True, key, gone is not None, [])


@method("sessions.compact", CompactParams, Compacted, scope=ADMIN)
async def sessions_compact(call: Call, params: CompactParams) -> Compacted:
    """Have a model sum up the messages of a session, or delete all but the newest ones."""
    key = session_key(call, params.key)
    conversations = call.core.conversations
    await or_refuse(conversations.ready())
    session = await or_refuse(conversations.store.session(key))
    if session is None:
        return Compacted(True, key, False, reason="no sessionId")
    if not session.messages:
        return Compacted(True, key, False, reason="no transcript")
    keep = params.max_lines or (KEPT if call.peer.protocol < 4 else None)
    if keep is None:
        return await _sum_up(call, key)
    forgotten = await or_refuse(conversations.sessions.compact(key, keep))
    return Compacted(True, key, bool(forgotten), kept=session.messages - (forgotten or 0))


async def _sum_up(call: Call, key: str) -> Compacted:
    conversations = call.core.conversations
    for busy, what in (
        (conversations.runs.running(key), "an active run"),
        (conversations.runs.waiting(key), "queued work"),
    ):
        if busy:
            raise RpcError(f"Session {key} has {what}; retry after it finishes.")
    with call.core.hub.not_counted():
        run = await or_refuse(conversations.sessions.sum_up(key, SUM_UP_S))
    if run is None or run.unfinished:
        raise RpcError(WireError("UNAVAILABLE", f"the summary of {key} is not ready yet", retryable=True))
    said = await or_refuse(conversations.store.messages_of_run(key, run.id, 1))
    if run.state != "done" or not said:
        why = run.failure.message if run.failure else "nothing to sum up" if run.state == "done" else run.state
        return Compacted(run.state == "done", key, False, reason=why)
    entry = said[0].row.message
    names = ("summary", "firstKeptEntryId", "tokensBefore", "tokensAfter")
    return Compacted(True, key, True, result={name: entry[name] for name in names if entry.get(name) is not None})


@method("sessions.abort", SessionAbortParams, SessionAborted, scope=WRITE, since=4)
async def sessions_abort(call: Call, params: SessionAbortParams) -> SessionAborted:
    """Abort the run of a session; with `clearQueued`, its queued runs as well."""
    conversations = call.core.conversations
    await or_refuse(conversations.ready())
    run = await or_refuse(conversations.store.run(params.run_id)) if params.run_id else None
    key = session_key(call, params.key) if params.key else run.session if run else None
    if key is None:
        raise RpcError("key or runId required")
    chosen = params.run_id or (None if params.clear_queued else conversations.runs.running(key))
    if chosen is None and not params.clear_queued:
        return SessionAborted(True, None, "no-active-run")
    ids = await or_refuse(conversations.abort(key, chosen))
    return SessionAborted(True, ids[0] if ids else None, "aborted" if ids else "no-active-run")
