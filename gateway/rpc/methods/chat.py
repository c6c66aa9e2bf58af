"""Chats: a session's messages, a new one, and the end of an answer."""

import time
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.params import Params
from gateway.protocol.scopes import ADMIN, READ, WRITE
from gateway.rpc.methods.commands import commands
from gateway.rpc.methods.conversation import RunId, prompt, session_key, stored
from gateway.rpc.methods.models import ModelsParams, models_list
from gateway.rpc.methods.session_lookup import with_short_id
from gateway.rpc.methods.sessions import Count, Key, Offset, defaults, shown_row
from gateway.rpc.registry import Call, RpcError, method
from gateway.sessions import shown
from gateway.sessions.records import Request, Row, Run
from gateway.sessions.shown import RUNTIME
from gateway.slash import parse

MAX_HISTORY_BYTES = 6 * 1024 * 1024
"""Of JSON; the oldest messages are left out."""
MAX_TIMEOUT_MS = 24 * 3600 * 1000


class Page(Params, frozen=True):
    """Which part of a session's messages."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 200
    agent_id: str | None = None
    cursor: str | None = None
    max_bytes: Annotated[int, Meta(ge=1024)] | None = None
    offset: Offset = 0
    pending_before: Count | None = None
    input_run_ids: Annotated[list[str], Meta(max_length=50)] | None = None
    message_id: str | None = None
    session_id: str | None = None
    max_chars: Annotated[int, Meta(ge=1, le=500_000)] | None = None


class HistoryParams(Page, frozen=True, kw_only=True):
    session_key: Key


class StartupParams(Page, frozen=True, kw_only=True):
    session_key: Key | None = None
    short_id: str | None = None
    slug_hint: str | None = None


class History(Struct, rename="camel"):
    session_key: str
    messages: list[dict[str, Any]]
    session_id: str | UnsetType = UNSET
    thinking_level: str | UnsetType = UNSET
    pending_inputs: dict[str, Any] | UnsetType = UNSET
    has_more: bool | UnsetType = UNSET
    total_messages: int | UnsetType = UNSET
    next_offset: int | UnsetType = UNSET
    defaults: dict[str, Any] | UnsetType = UNSET
    session_info: dict[str, Any] | UnsetType = UNSET
    in_flight_run: dict[str, Any] | UnsetType = UNSET
    """The run that goes on: its id, when it began, and what it has written of the message that is not complete."""


class MetadataParams(Params, frozen=True):
    agent_id: str | None = None
    session_key: str | None = None


class Metadata(Struct):
    commands: list[dict[str, Any]]
    models: list[dict[str, Any]]


class SendParams(Params, frozen=True, kw_only=True):
    session_key: Key
    message: str
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
    """Of a message; of one that stops an answer `ok`, `aborted` and `runIds`."""

    run_id: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    """started, in_flight, ok, error."""
    ok: bool | UnsetType = UNSET
    aborted: bool | UnsetType = UNSET
    run_ids: list[str] | UnsetType = UNSET


class AbortParams(Params, frozen=True, kw_only=True):
    session_key: Key
    run_id: RunId | None = None
    agent_id: str | None = None
    preserve_side_runs: bool = False


class Aborted(Struct, rename="camel"):
    ok: bool
    aborted: bool
    run_ids: list[str]


class InjectParams(Params, frozen=True, kw_only=True):
    session_key: Key
    message: Key
    label: Annotated[str, Meta(max_length=100)] | None = None
    agent_id: str | None = None


class Injected(Struct, rename="camel"):
    ok: bool
    message_id: str


@method("chat.history", HistoryParams, History, scope=READ)
async def chat_history(call: Call, params: HistoryParams) -> History:
    """A session's messages, the newest `limit` of them, oldest first; in JSON they have at most 6 MiB."""
    return await _history(call, params.session_key, params)


@method("chat.startup", StartupParams, History, scope=READ, since=4)
async def chat_startup(call: Call, params: StartupParams) -> History:
    """What a page needs to open a chat: `chat.history` of a session, by its key or by the short id of an address."""
    key = params.session_key
    if key is None:
        if params.short_id is None:
            raise RpcError("sessionKey required")
        await stored(call.core.conversations.ready())
        found = await with_short_id(call, params.short_id, params.agent_id)
        if len(found) != 1:
            raise RpcError("session not found")
        key = found[0].key
    return await _history(call, key, params)


@method("chat.metadata", MetadataParams, Metadata, scope=READ, since=4)
def chat_metadata(call: Call, params: MetadataParams) -> Metadata:
    """The models that the config names, and the commands of a chat."""
    return Metadata(commands(), models_list.handler(call, ModelsParams()).models)


@method("chat.send", SendParams, Sent, scope=WRITE)
async def chat_send(call: Call, params: SendParams) -> Sent:
    """Give a session a message; the answer comes as `chat` events of the run whose id is the idempotency key.

    The same key again tells how far that run is. `/stop`, or a bare word that means it, ends what goes on; other
    commands are answered by the gateway itself. One run goes on in a session at a time, at most 20 wait.
    """
    key = session_key(call, params.session_key)
    message = prompt(params.message, params.attachments)
    command = None if params.suppress_command_interpretation else parse(params.message)
    conversations = call.core.conversations
    await stored(conversations.ready())
    if command is not None and command.name == "stop":
        ids = await stored(conversations.abort(key))
        return Sent(ok=True, aborted=bool(ids), run_ids=ids)
    session = await stored(conversations.store.session(key))
    if session is not None and session.entry.get("sendPolicy") == "deny":
        raise RpcError("send blocked by session policy")
    timeout = None if params.timeout_ms is None else min(params.timeout_ms or MAX_TIMEOUT_MS, MAX_TIMEOUT_MS)
    request = Request(message, thinking=params.thinking or None, timeout_ms=timeout)
    if command is not None:
        run, fresh = await stored(conversations.command(params.idempotency_key, key, request, command))
    else:
        run, fresh = await stored(conversations.submit(params.idempotency_key, key, request))
    return Sent(run_id=run.id, status="started" if fresh else _status(run))


@method("chat.abort", AbortParams, Aborted, scope=WRITE)
async def chat_abort(call: Call, params: AbortParams) -> Aborted:
    """End an answer, or all of a session; what was written of it stays in the transcript."""
    key = session_key(call, params.session_key)
    conversations = call.core.conversations
    await stored(conversations.ready())
    if params.run_id is not None:
        run = await stored(conversations.store.run(params.run_id))
        if run is not None and run.session != key:
            raise RpcError("runId does not match sessionKey")
    ids = await stored(conversations.abort(key, params.run_id))
    return Aborted(True, bool(ids), ids)


@method("chat.inject", InjectParams, Injected, scope=ADMIN)
async def chat_inject(call: Call, params: InjectParams) -> Injected:
    """Add a message of the assistant's to a session that exists, without asking a model."""
    key = session_key(call, params.session_key)
    text = f"[{params.label}]\n\n{params.message}" if params.label else params.message
    message = {
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "timestamp": int(time.time() * 1000),
        "stopReason": "injected",
        "usage": {"input": 0, "output": 0, "totalTokens": 0},
    }
    row = await stored(call.core.conversations.inject(key, message))
    if row is None:
        raise RpcError("session not found")
    return Injected(True, row.id)


def _status(run: Run) -> str:
    """Of a run whose id comes again."""
    if run.unfinished:
        return "in_flight"
    return "error" if run.state in ("failed", "interrupted") else "ok"


async def _history(call: Call, text: str, page: Page) -> History:
    key = session_key(call, text)
    conversations = call.core.conversations
    await stored(conversations.ready())
    live = conversations.runs.live(conversations.runs.running(key) or "")
    if live is not None:
        await conversations.runs.settle()
        # Before the rows are read: a message that is completed meanwhile is told twice, and not left out.
        under_way = {"runId": live.run.id, "startedAt": live.run.started, "text": live.text}
    session, rows = await stored(conversations.store.page(key, page.limit + page.offset))
    first = (session.messages if session else 0) - len(rows) + 1
    chosen = rows[: len(rows) - page.offset] if page.offset else rows
    known = [_message(row, number, call.peer.protocol) for number, row in enumerate(chosen, max(first, 1))]
    messages = _within(known, min(page.max_bytes or MAX_HISTORY_BYTES, MAX_HISTORY_BYTES))
    answer = History(key, messages)
    if session is not None:
        answer.session_id = session.id
    if call.peer.protocol < 4:
        answer.thinking_level = (session.entry.get("thinkingLevel") if session else None) or "off"
        return answer
    total = session.messages if session else 0
    seen = page.offset + len(messages)
    answer.total_messages, answer.has_more = total, seen < total
    if answer.has_more:
        answer.next_offset = seen
    pending = await stored(conversations.pending(key))
    answer.pending_inputs = {"items": pending, "total": len(pending)}
    model = defaults(call.core)
    answer.defaults = {**model, "agentRuntime": RUNTIME, "modelSelectionTarget": "session"}
    answer.session_info = shown_row(call, key, session)
    if live is not None and not live.aborting:
        answer.in_flight_run = under_way
    return answer


def _message(row: Row, number: int, protocol: int) -> dict[str, Any]:
    return shown.message(row, number) if protocol >= 4 else row.message


def _within(messages: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The newest that have so many bytes together."""
    kept: list[dict[str, Any]] = []
    for message in reversed(messages):
        most -= len(msgspec.json.encode(message))
        if most < 0:
            break
        kept.append(message)
    return kept[::-1]
