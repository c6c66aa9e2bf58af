"""`agent` runs a message and answers its request a second time with the outcome; `agent.wait` waits for a run."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.conversations.deferred_answers import RunOutcome, outcome
from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import Body, Params, cut
from gateway.protocol.scopes import WRITE
from gateway.rpc.methods.agents import find
from gateway.rpc.methods.chat import MAX_TIMEOUT_MS
from gateway.rpc.methods.conversation import RunId, or_refuse, prompt, session_key
from gateway.rpc.methods.session_patch import sessions_patch
from gateway.rpc.methods.sessions import Key
from gateway.rpc.registry import Call, method
from gateway.sessions.records import Run, RunRequest


class AgentParams(Params, frozen=True, kw_only=True):
    message: Annotated[Body, Meta(min_length=1)]
    idempotency_key: RunId
    agent_id: Key | None = None
    provider: str | None = None
    model: str | None = None
    to: str | None = None
    reply_to: str | None = None
    session_id: str | None = None
    session_key: str | None = None
    expected_existing_session_id: str | None = None
    thinking: str | None = None
    deliver: bool | None = None
    attachments: list[Any] | None = None
    channel: str | None = None
    reply_channel: str | None = None
    account_id: str | None = None
    reply_account_id: str | None = None
    thread_id: str | None = None
    group_id: str | None = None
    group_channel: str | None = None
    group_space: str | None = None
    timeout: Annotated[int, Meta(ge=0)] | None = None
    """Seconds."""
    best_effort_deliver: bool | None = None
    lane: str | None = None
    cwd: str | None = None
    cleanup_bundle_mcp_on_run_end: bool | None = None
    model_run: bool | None = None
    prompt_mode: str | None = None
    extra_system_prompt: Body | None = None
    bootstrap_context_mode: str | None = None
    bootstrap_context_run_kind: str | None = None
    input_provenance: dict[str, Any] | None = None
    voice_wake_trigger: str | None = None
    label: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    spawned_by: str | None = None


class AgentAccepted(Struct, rename="camel"):
    run_id: str
    status: str
    """`accepted`, or `in_flight` for an idempotency key that is known."""
    accepted_at: int
    """Milliseconds since 1970."""
    session_key: str | UnsetType = UNSET
    """Set in protocol 4, like `agent_id`: a client that is interrupted aborts the run with them."""
    agent_id: str | UnsetType = UNSET


class WaitParams(Params, frozen=True, kw_only=True):
    run_id: RunId
    timeout_ms: Annotated[int, Meta(ge=0)] = 30_000


class Waited(Struct, rename="camel"):
    run_id: str
    status: str
    """`ok`, `error` or `timeout`."""
    started_at: int | None | UnsetType = UNSET
    """Milliseconds since 1970, like `ended_at`."""
    ended_at: int | None | UnsetType = UNSET
    error: str | UnsetType = UNSET
    stop_reason: str | UnsetType = UNSET
    """`stop`, `length` or `toolUse` of the run's last answer; `rpc` if it was aborted; `timeout`; `error`."""


@method("agent", AgentParams, AgentAccepted | RunOutcome, scope=WRITE)
async def agent(call: Call, params: AgentParams) -> AgentAccepted | RunOutcome:
    """Send an agent a message. The request is answered twice: at once that it is accepted, and at the end of the run
    with its outcome, also after a restart of the gateway."""
    tree = call.core.snapshot.merged
    chosen = find(tree, params.agent_id).id if params.agent_id else call.core.snapshot.defaults.agent
    conversations = call.core.conversations
    key = await _session(call, params, chosen)
    if params.agent_id and conversations.sessions.agent(key) != chosen:
        raise RpcError(
            f'agent "{cut(chosen)}" does not match session key agent "{cut(conversations.sessions.agent(key))}"'
        )
    if params.model and (error := sessions_patch.refuse(call.peer)):
        raise RpcError(error)  # choosing a model needs the scope of `sessions.patch`: `operator.admin` in protocol 3
    model = params.model if not params.provider or not params.model else f"{params.provider}/{params.model}"
    timeout = None if params.timeout is None else min(params.timeout * 1000 or MAX_TIMEOUT_MS, MAX_TIMEOUT_MS)
    request = RunRequest(
        prompt(params.message, params.attachments),
        model=model,
        thinking=params.thinking or None,
        system=params.extra_system_prompt or "",
        timeout_ms=timeout,
        lane="agent",
    )
    owed = (call.connection.id, call.request_id)
    run, fresh = await or_refuse(conversations.submit(params.idempotency_key, key, request, owed))
    if run.unfinished:
        answer = AgentAccepted(run.id, "accepted" if fresh else "in_flight", run.accepted)
        if call.peer.protocol >= 4:
            answer.session_key, answer.agent_id = run.session, run.agent
        return answer
    if isinstance(what := outcome(run), WireError):
        raise RpcError(what)
    return what


async def _session(call: Call, params: AgentParams, agent: str) -> str:
    """The key of the session that the params name. An unknown `sessionId` gets a session with a key as in 2026.9.6."""
    if params.session_key or not params.session_id:
        return session_key(call, params.session_key or f"agent:{agent}:main")
    conversations = call.core.conversations
    await or_refuse(conversations.ready())
    found = await or_refuse(conversations.store.session_by_id(params.session_id))
    return found.key if found else session_key(call, f"agent:{agent}:explicit:{params.session_id}")


@method("agent.wait", WaitParams, Waited, scope=WRITE)
async def agent_wait(call: Call, params: WaitParams) -> Waited:
    """Wait for the end of a run. The answer is `timeout` after `timeoutMs`, or when the gateway restarts."""
    conversations = call.core.conversations
    await or_refuse(conversations.ready())
    limit_s = min(params.timeout_ms, MAX_TIMEOUT_MS) / 1000
    with call.core.hub.not_counted():
        run = await or_refuse(conversations.runs.wait(params.run_id, limit_s))
    if run is None or run.unfinished:
        return Waited(params.run_id, "timeout")
    answer = Waited(run.id, "ok", run.started or run.accepted, run.ended)
    if run.state in ("failed", "interrupted"):
        answer.status = "error"
        answer.error = run.failure.message if run.failure else run.state
    answer.stop_reason = _stop_reason(run)
    return answer


def _stop_reason(run: Run) -> str:
    if run.failure is not None and run.failure.kind == "timeout":
        return "timeout"
    return {"aborted": "rpc", "failed": "error", "interrupted": "error"}.get(run.state, run.stop_reason or "stop")
