"""Methods of chats that send a message or abort an answer."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.conversations.slash import Slash, parse
from gateway.machine.clock import now_ms
from gateway.protocol.frames import RpcError
from gateway.protocol.params import Body, Params
from gateway.protocol.scopes import ADMIN, READ, WRITE
from gateway.rpc.methods.commands import commands, commands_list
from gateway.rpc.methods.conversation import RunId, or_refuse, session_key, user_message, with_kept_files
from gateway.rpc.methods.models import ModelsParams, models_list
from gateway.rpc.methods.session_changes import sessions_compact, sessions_reset
from gateway.rpc.methods.session_patch import sessions_patch
from gateway.rpc.methods.sessions import Count, Key, sessions_describe
from gateway.rpc.registry import Call, Method, method
from gateway.sessions.records import Run, RunRequest

MAX_TIMEOUT_MS = 24 * 3600 * 1000


class MetadataParams(Params, frozen=True):
    agent_id: str | None = None
    session_key: str | None = None


class Metadata(Struct):
    commands: list[dict[str, Any]]
    models: list[dict[str, Any]]


class SendParams(Params, frozen=True, kw_only=True):
    session_key: Key
    message: Body
    idempotency_key: RunId
    thinking: str | None = None
    deliver: bool | None = None
    attachments: list[Any] | None = None
    timeout_ms: Annotated[int, Meta(ge=0)] | None = None
    agent_id: str | None = None
    session_id: str | None = None
    mentions: list[Any] | None = None
    work_context: dict[str, Any] | None = None
    intent: dict[str, Any] | None = None
    fast_mode: bool | Literal["auto"] | None = None
    fast_auto_on_seconds: Count | None = None
    queue_mode: Literal["steer", "followup", "collect", "interrupt"] | None = None
    originating_channel: str | None = None
    originating_to: str | None = None
    originating_account_id: str | None = None
    originating_thread_id: str | None = None
    reply_to_id: str | None = None
    tool_bindings: dict[str, Any] | None = None
    system_input_provenance: dict[str, Any] | None = None
    system_provenance_receipt: str | None = None
    suppress_command_interpretation: bool = False
    expected_leaf_entry_id: str | None = None
    expected_session_routing_contract: str | None = None
    expected_permission_mode: Any = None
    expected_tool_overrides: Any = None


class Sent(Struct, rename="camel"):
    """The answer to a message; after `/stop` it has `ok`, `aborted` and `runIds`."""

    run_id: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    """`started`, `in_flight`, `ok` or `error`."""
    ok: bool | UnsetType = UNSET
    aborted: bool | UnsetType = UNSET
    run_ids: list[str] | UnsetType = UNSET


class ChatAbortParams(Params, frozen=True, kw_only=True):
    session_key: Key
    run_id: RunId | None = None
    agent_id: str | None = None
    preserve_side_runs: bool = False


class ChatAborted(Struct, rename="camel"):
    ok: bool
    aborted: bool
    run_ids: list[str]


class InjectParams(Params, frozen=True, kw_only=True):
    session_key: Key
    message: Annotated[Body, Meta(min_length=1)]
    label: Annotated[str, Meta(max_length=100)] | None = None
    agent_id: str | None = None


class Injected(Struct, rename="camel"):
    ok: bool
    message_id: str


@method("chat.metadata", MetadataParams, Metadata, scope=READ, since=4)
def chat_metadata(call: Call, params: MetadataParams) -> Metadata:
    """The models that the config names, and the commands of a chat."""
    return Metadata(commands(), models_list.handler(call, ModelsParams()).models)


@method("chat.send", SendParams, Sent, scope=WRITE)
async def chat_send(call: Call, params: SendParams) -> Sent:
    """Send a session a message. The answer comes as `chat` events of the run whose id is the idempotency key.

    A request with a known key is answered with the status of that run. `/stop`, or a bare word that means it, aborts
    all runs of the session; the gateway answers other commands itself, and they need the scope of the method that they
    stand for. A session has one run at a time, and at most 20 are queued. A file that is no image is stored in
    `media/inbound` of the state folder, and the message says where.
    """
    key = session_key(call, params.session_key)
    command = None if params.suppress_command_interpretation else parse(params.message)
    if command is not None and (error := stands_for(command).refuse(call.peer)):
        raise RpcError(error)
    said = user_message(params.message, params.attachments)
    if command is not None and said.files:
        raise RpcError(f"/{command.name} takes no files")
    conversations = call.core.conversations
    await or_refuse(conversations.ready())
    if command is not None and command.name == "stop":
        ids = await or_refuse(conversations.abort(key))
        return Sent(ok=True, aborted=bool(ids), run_ids=ids)
    timeout = None if params.timeout_ms is None else min(params.timeout_ms or MAX_TIMEOUT_MS, MAX_TIMEOUT_MS)
    id, thinking = params.idempotency_key, params.thinking or None
    if command is not None:
        request = RunRequest(said.message(said.text), thinking=thinking, timeout_ms=timeout)
        run, fresh = await or_refuse(conversations.commands.do(id, key, request, command))
    else:
        async with with_kept_files(call, id, said) as message:
            request = RunRequest(message, thinking=thinking, timeout_ms=timeout)
            run, fresh = await or_refuse(conversations.submit(id, key, request))
    return Sent(run_id=run.id, status="started" if fresh else _status(run))


@method("chat.abort", ChatAbortParams, ChatAborted, scope=WRITE)
async def chat_abort(call: Call, params: ChatAbortParams) -> ChatAborted:
    """Abort a run, or all runs of a session. The text so far stays in the transcript."""
    key = session_key(call, params.session_key)
    conversations = call.core.conversations
    await or_refuse(conversations.ready())
    if params.run_id is not None:
        run = await or_refuse(conversations.store.run(params.run_id))
        if run is not None and run.session != key:
            raise RpcError("runId does not match sessionKey")
    ids = await or_refuse(conversations.abort(key, params.run_id))
    return ChatAborted(True, bool(ids), ids)


@method("chat.inject", InjectParams, Injected, scope=ADMIN)
async def chat_inject(call: Call, params: InjectParams) -> Injected:
    """Append a message of the assistant to a session that exists, without asking a model."""
    key = session_key(call, params.session_key)
    text = f"[{params.label}]\n\n{params.message}" if params.label else params.message
    message = {
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "timestamp": now_ms(),
        "stopReason": "injected",
        "usage": {"input": 0, "output": 0, "totalTokens": 0},
    }
    row = await or_refuse(call.core.conversations.inject(key, message))
    if row is None:
        raise RpcError("session not found")
    return Injected(True, row.id)


STANDS_FOR: dict[str, Method] = {
    "help": commands_list,
    "status": sessions_describe,
    "new": sessions_reset,
    "model": sessions_patch,
    "models": models_list,
    "think": sessions_patch,
    "compact": sessions_compact,
    "stop": chat_abort,
}
"""The method that does the same as a chat command: a client needs its scope for the command."""


def stands_for(command: Slash) -> Method:
    """The method that the command stands for. `/model` without an argument only reads."""
    return STANDS_FOR["status" if command == Slash("model") else command.name]


def _status(run: Run) -> str:
    """`status` for a run whose id is known."""
    if run.unfinished:
        return "in_flight"
    return "error" if run.state in ("failed", "interrupted") else "ok"
