"""Methods that list, describe and subscribe to sessions."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config import catalog, models
from gateway.machine.clock import now_ms
from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.core import Core
from gateway.rpc.methods.conversation import or_refuse, session_key
from gateway.rpc.registry import Call, method
from gateway.sessions import shown
from gateway.sessions.records import Filter, Session, Summary
from gateway.sessions.shown import RUNTIME

Count = Annotated[int, Meta(ge=1)]
Offset = Annotated[int, Meta(ge=0)]
Key = Annotated[str, Meta(min_length=1)]
Label = Annotated[str, Meta(min_length=1, max_length=512)]
DEFAULT_LIMIT = 100
"""Rows in protocol 4 if the client names no limit."""
MAX_ROWS = 1000
"""Most rows in one answer, whatever the limit."""
MAX_OFFSET = 2**31
_STORES = "(multiple)"
"""`path` in OpenClaw if each agent has a store of its own."""


class SessionsListParams(Params, frozen=True):
    limit: Count | None = None
    offset: Offset = 0
    active_minutes: Count | None = None
    active_only: bool = False
    require_last_interaction: bool = False
    sort_by: Literal["updatedAt", "lastInteractionAt", "activity"] | None = None
    include_global: bool = False
    include_unknown: bool = False
    exclude_subagents: bool = False
    exclude_cron: bool = False
    exclude_system: bool = False
    configured_agents_only: bool = False
    include_derived_titles: bool = False
    include_last_message: bool = False
    include_activity_summary: bool = False
    label: Label | None = None
    project_id: str | None = None
    workspace_dir: str | None = None
    group: str | None = None
    category: str | None = None
    pinned: bool | None = None
    unread: bool | None = None
    status: str | None = None
    board_face: str | None = None
    has_board: bool | None = None
    creator_id: str | None = None
    owner_id: str | None = None
    owner_first: bool = False
    involving_me: bool = False
    profile_relation: dict[str, Any] | None = None
    involving_profile_id: str | None = None
    include_people: bool = False
    spawned_by: str | None = None
    agent_id: str | None = None
    search: str | None = None
    archived: bool | Literal["all"] = False


class Sessions(Struct, rename="camel"):
    ts: int
    path: str
    count: int
    defaults: dict[str, Any]
    sessions: list[dict[str, Any]]
    total_count: int | UnsetType = UNSET
    limit_applied: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    next_offset: int | None | UnsetType = UNSET
    has_more: bool | UnsetType = UNSET
    owners: list[dict[str, Any]] | UnsetType = UNSET


class SubscribeParams(SessionsListParams, frozen=True):
    """The params of `sessions.list`: with any of them the answer has the list."""


class Subscribed(Struct, rename="camel"):
    subscribed: bool
    key: str | UnsetType = UNSET
    agent_id: str | UnsetType = UNSET
    list: Sessions | UnsetType = UNSET


class KeyParams(Params, frozen=True):
    key: Key
    agent_id: str | None = None
    include_approvals: bool = False
    include_derived_titles: bool = False
    include_last_message: bool = False


class Described(Struct):
    session: dict[str, Any] | None


@method("sessions.list", SessionsListParams, Sessions, scope=READ)
async def sessions_list(call: Call, params: SessionsListParams) -> Sessions:
    """Sessions, the most recently updated first; in protocol 4, pinned ones before them, and archived ones on request.

    There are at most 1000 rows; the default of `limit` is 100 in protocol 4. Filters for features that this gateway
    does not have, such as owners and projects, match nothing.
    """
    core, modern = call.core, call.peer.protocol >= 4
    limit = min(params.limit or (DEFAULT_LIMIT if modern else MAX_ROWS), MAX_ROWS)
    now, offset = now_ms(), min(params.offset, MAX_OFFSET)
    answer = Sessions(now, _STORES, 0, defaults(core), [])
    await or_refuse(core.conversations.ready())
    total = 0
    if (which := _filter(call, params, now)) is not None:
        page = await or_refuse(core.conversations.store.sessions(which, limit, offset))
        answer.sessions, total = await _rows(call, page.sessions, params), page.total
    answer.count = len(answer.sessions)
    if modern:
        ref = models.default_model(core.tree)
        levels = shown.thinking_levels(core.tree, ref, catalog.default_id(core.tree))
        answer.defaults |= {"agentRuntime": RUNTIME, **levels, "modelSelectionTarget": "session"}
        seen = offset + answer.count
        answer.total_count, answer.limit_applied, answer.owners = total, limit, []
        answer.has_more, answer.next_offset = seen < total, seen if seen < total else None
        if params.offset:
            answer.offset = params.offset
    return answer


@method("sessions.subscribe", SubscribeParams, Subscribed, scope=READ, since=4)
async def sessions_subscribe(call: Call, params: SubscribeParams) -> Subscribed:
    """Subscribe to changes of sessions, which all clients that may read get anyway. With params it lists sessions."""
    answer = Subscribed(True)
    if params != SubscribeParams():
        answer.list = await sessions_list.handler(call, params)
    return answer


@method("sessions.messages.subscribe", KeyParams, Subscribed, scope=READ, since=4)
def sessions_messages_subscribe(call: Call, params: KeyParams) -> Subscribed:
    """Subscribe to messages of a session. All clients that may read get them anyway."""
    key = session_key(call, params.key)
    return Subscribed(True, key, call.core.conversations.sessions.agent(key))


@method("sessions.messages.unsubscribe", KeyParams, Subscribed, scope=READ, since=4)
def sessions_messages_unsubscribe(call: Call, params: KeyParams) -> Subscribed:
    """Accepted without effect: the client can ignore the events of a session."""
    key = session_key(call, params.key)
    return Subscribed(False, key, call.core.conversations.sessions.agent(key))


@method("sessions.describe", KeyParams, Described, scope=READ, since=4)
async def sessions_describe(call: Call, params: KeyParams) -> Described:
    """One session's row, as in `sessions.list`; null if there is none."""
    key = session_key(call, params.key)
    conversations = call.core.conversations
    await or_refuse(conversations.ready())
    session = await or_refuse(conversations.store.session(key))
    return Described(None if session is None else (await _rows(call, [session], params))[0])


def defaults(core: Core) -> dict[str, Any]:
    """`defaults`: `modelProvider`, `model` and `contextTokens` of a new session."""
    ref = models.default_model(core.tree)
    return {"modelProvider": ref.provider, "model": ref.id, "contextTokens": models.window(core.tree, ref)}


def shown_row(call: Call, key: str, session: Session | None) -> dict[str, Any]:
    """The row of a session in protocol 4 (`sessions/shown:row`), also of one that is not stored yet."""
    conversations = call.core.conversations
    new = session or Session(key, "", conversations.sessions.agent(key), 0, 0, {})
    moment = conversations.sessions.row_context(new, None, titled=False, previewed=False)
    return shown.row(session, moment, 4) if session else shown.absent(key, new.agent, moment)


def _filter(call: Call, params: SessionsListParams, now: int) -> Filter | None:
    """The filter of the store; None if no session can match. `now`: milliseconds since 1970."""
    modern = call.peer.protocol >= 4
    unknown = (params.creator_id, params.owner_id, params.project_id, params.workspace_dir, params.profile_relation)
    if any(unknown) or params.involving_profile_id or params.has_board or params.status:
        return None
    entry: dict[str, str | bool] = {}
    for name, value in (("label", params.label), ("spawnedBy", params.spawned_by), ("boardFace", params.board_face)):
        if value and value.strip():
            entry[name] = value.strip()
    group = params.group if params.group is not None else params.category
    if group is not None:
        entry["category"] = group or False
    flags = {"pinned": params.pinned, "unread": params.unread}
    entry |= {name: flag for name, flag in flags.items() if flag is not None}
    if modern and params.archived != "all":
        entry["archived"] = params.archived
    hidden = [] if params.include_global else [catalog.GLOBAL]
    hidden += [] if params.include_unknown else ["unknown"]
    tree, runs = call.core.tree, call.core.conversations.runs
    return Filter(
        agent=plain(params.agent_id),
        since=max(0, now - params.active_minutes * 60_000) if params.active_minutes else None,
        search=(params.search or "").strip() or None,
        entry=entry,
        but=tuple(hidden),
        keys=runs.sessions if params.active_only else None,
        agents=tuple(each.id for each in catalog.agents(tree)) if params.configured_agents_only else None,
        without=(*((":subagent:",) if params.exclude_subagents else ()), *((":cron:",) if params.exclude_cron else ())),
        pinned_first=modern and params.sort_by in (None, "updatedAt"),
    )


async def _rows(call: Call, sessions: list[Session], params: SessionsListParams | KeyParams) -> list[dict[str, Any]]:
    conversations = call.core.conversations
    titled, previewed = params.include_derived_titles, params.include_last_message
    found: dict[str, Summary] = {}
    if titled or previewed:
        found = await or_refuse(conversations.store.summaries([each.key for each in sessions]))
    return [
        shown.row(
            each,
            conversations.sessions.row_context(each, found.get(each.key), titled=titled, previewed=previewed),
            call.peer.protocol,
        )
        for each in sessions
    ]


def plain(agent: str | None) -> str | None:
    return (agent or "").strip().lower() or None
