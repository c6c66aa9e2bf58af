"""The messages of a chat: its transcript, queued messages, and the answer that is being written."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.link.spec import COMPACTION
from gateway.protocol.frames import RpcError
from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.methods.conversation import or_refuse, session_key
from gateway.rpc.methods.session_lookup import with_short_id
from gateway.rpc.methods.sessions import Count, Key, Offset, defaults, shown_row
from gateway.rpc.registry import Call, method
from gateway.sessions import shown
from gateway.sessions.records import MessageRow
from gateway.sessions.shown import RUNTIME

MAX_HISTORY_BYTES = 6 * 1024 * 1024
"""Bytes of JSON in one answer; the oldest messages are left out."""
MAX_PENDING = 20
"""Queued messages in one answer."""


class HistoryPage(Params, frozen=True):
    """The part of a session's messages to read."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 200
    agent_id: str | None = None
    cursor: str | None = None
    max_bytes: Annotated[int, Meta(ge=1024)] | None = None
    offset: Offset = 0
    pending_before: Count | None = None
    """Accepted and not used: all queued messages fit into one answer."""
    input_run_ids: Annotated[list[str], Meta(max_length=50)] | None = None
    message_id: str | None = None
    session_id: str | None = None
    max_chars: Annotated[int, Meta(ge=1, le=500_000)] | None = None


class ChatHistoryParams(HistoryPage, frozen=True, kw_only=True):
    session_key: Key


class StartupParams(HistoryPage, frozen=True, kw_only=True):
    session_key: Key | None = None
    short_id: str | None = None
    slug_hint: str | None = None


class ChatHistory(Struct, rename="camel"):
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
    input_receipts: list[dict[str, str]] | UnsetType = UNSET
    """`{runId, state: pending}` or `{runId, state: consumed, consumedByEventId}` for `inputRunIds`."""
    in_flight_run: dict[str, Any] | UnsetType = UNSET
    """The running run: `runId`, `startedAt` (milliseconds since 1970), and `text` of the incomplete message."""


@method("chat.history", ChatHistoryParams, ChatHistory, scope=READ)
async def chat_history(call: Call, params: ChatHistoryParams) -> ChatHistory:
    """The newest `limit` messages of a session, oldest first, at most 6 MiB of JSON."""
    return await _history(call, params.session_key, params)


@method("chat.startup", StartupParams, ChatHistory, scope=READ, since=4)
async def chat_startup(call: Call, params: StartupParams) -> ChatHistory:
    """`chat.history` for a page that opens a chat, by session key or by the short id of a URL."""
    key = params.session_key
    if key is None:
        if params.short_id is None:
            raise RpcError("sessionKey required")
        await or_refuse(call.core.conversations.ready())
        found = await with_short_id(call, params.short_id, params.agent_id)
        if len(found) != 1:
            raise RpcError("session not found")
        key = found[0].key
    return await _history(call, key, params)


async def _history(call: Call, text: str, page: HistoryPage) -> ChatHistory:
    key = session_key(call, text)
    conversations = call.core.conversations
    await or_refuse(conversations.ready())
    live = conversations.runs.active(conversations.runs.running(key) or "")
    if live is not None:
        await conversations.runs.flush()
        # Read before the rows: a message that is completed meanwhile is told twice rather than left out.
        under_way = {
            "runId": live.run.id,
            "startedAt": live.run.started,
            "text": live.text,
            "sessionAbortable": True,
        }
    session, rows = await or_refuse(conversations.store.page(key, page.limit + page.offset))
    first = (session.messages if session else 0) - len(rows) + 1
    chosen = rows[: len(rows) - page.offset] if page.offset else rows
    known = [
        _message(row, number, call.peer.protocol)
        for number, row in enumerate(chosen, max(first, 1))
        if call.peer.protocol >= 4 or row.message.get("role") != COMPACTION
    ]
    messages = _within(known, min(page.max_bytes or MAX_HISTORY_BYTES, MAX_HISTORY_BYTES))
    answer = ChatHistory(key, messages)
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
    pending = [shown.pending(run) for run in await or_refuse(conversations.pending(key))]
    answer.pending_inputs = {"items": pending[:MAX_PENDING], "total": len(pending)}
    if page.input_run_ids is not None:
        answer.input_receipts = [each async for each in _receipts(call, key, page.input_run_ids)]
    model = defaults(call.core)
    answer.defaults = {**model, "agentRuntime": RUNTIME, "modelSelectionTarget": "session"}
    answer.session_info = shown_row(call, key, session)
    if live is not None and not live.aborting:
        answer.in_flight_run = under_way
    return answer


def _message(row: MessageRow, number: int, protocol: int) -> dict[str, Any]:
    return shown.message(row, number) if protocol >= 4 else shown.with_error_text(row.message)


async def _receipts(call: Call, key: str, ids: list[str]) -> AsyncIterator[dict[str, str]]:
    store = call.core.conversations.store
    for id in ids:
        run = await or_refuse(store.run(id))
        if run is None or run.session != key:
            continue
        if run.state == "queued":
            yield {"runId": id, "state": "pending"}
        elif said := await or_refuse(store.messages_of_run(key, id, 1)):
            yield {"runId": id, "state": "consumed", "consumedByEventId": said[0].row.id}


def _within(messages: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The newest messages that have `most` bytes together."""
    kept: list[dict[str, Any]] = []
    for message in reversed(messages):
        most -= len(msgspec.json.encode(message))
        if most < 0:
            break
        kept.append(message)
    return kept[::-1]
