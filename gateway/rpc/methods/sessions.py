"""Sessions and their chats, as a gateway without sessions shows them: empty lists, and nothing that pretends.

What would make or change one is an unknown method until sessions exist here.
"""

import time
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config import catalog
from gateway.core import Core
from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.methods.agents import RUNTIME, THINKING_OFF, ModelsParams, main_key, models_list, owner
from gateway.rpc.registry import Call, RpcError, method

Count = Annotated[int, Meta(ge=1)]
Offset = Annotated[int, Meta(ge=0)]
Key = Annotated[str, Meta(min_length=1)]
DEFAULT_LIMIT = 100
_STORES = "(multiple)"
"""The `path` of sessions that lie in one store for each agent, even where there is one agent."""


class SessionsListParams(Params, frozen=True):
    limit: Count | None = None
    offset: Offset = 0
    active_minutes: Count | None = None
    active_only: bool = False
    require_last_interaction: bool = False
    sort_by: str | None = None
    include_global: bool = False
    include_unknown: bool = False
    exclude_subagents: bool = False
    exclude_cron: bool = False
    exclude_system: bool = False
    configured_agents_only: bool = False
    include_derived_titles: bool = False
    include_last_message: bool = False
    include_activity_summary: bool = False
    label: str | None = None
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
    archived: bool | str = False


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


class PreviewParams(Params, frozen=True):
    keys: Annotated[list[Key], Meta(min_length=1, max_length=64)]
    limit: Count = 12
    max_chars: Annotated[int, Meta(ge=20)] = 240


class Previews(Struct):
    ts: int
    previews: list[dict[str, Any]]


class SubscribeParams(SessionsListParams, frozen=True):
    """Those of `sessions.list`: with any of them, the answer carries the list."""


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
    thinking_level: str | UnsetType = UNSET
    pending_inputs: dict[str, Any] | UnsetType = UNSET
    has_more: bool | UnsetType = UNSET
    total_messages: int | UnsetType = UNSET
    defaults: dict[str, Any] | UnsetType = UNSET
    session_info: dict[str, Any] | UnsetType = UNSET


class MetadataParams(Params, frozen=True):
    agent_id: str | None = None
    session_key: str | None = None


class Metadata(Struct):
    commands: list[dict[str, Any]]
    models: list[dict[str, Any]]


@method("sessions.list", SessionsListParams, Sessions, scope=READ)
def sessions_list(call: Call, params: SessionsListParams) -> Sessions:
    """The sessions: none, whatever the filter; with the model that the config gives a new one."""
    answer = Sessions(int(time.time() * 1000), _STORES, 0, _defaults(call.core), [])
    if call.peer.protocol >= 4:
        answer.defaults |= {"agentRuntime": RUNTIME, **THINKING_OFF, "modelSelectionTarget": "session"}
        answer.total_count, answer.has_more, answer.next_offset, answer.owners = 0, False, None, []
        answer.limit_applied = params.limit or DEFAULT_LIMIT
        if params.offset:
            answer.offset = params.offset
    return answer


@method("sessions.preview", PreviewParams, Previews, scope=READ)
def sessions_preview(call: Call, params: PreviewParams) -> Previews:
    """The last messages of some sessions: each of them is `missing`."""
    rows = [{"key": key, "status": "missing", "items": []} for key in params.keys]
    return Previews(int(time.time() * 1000), rows)


@method("sessions.subscribe", SubscribeParams, Subscribed, scope=READ, since=4)
def sessions_subscribe(call: Call, params: SubscribeParams) -> Subscribed:
    """Hear of sessions as they change; with params of `sessions.list`, get the list too. There is nothing to hear."""
    answer = Subscribed(True)
    if params != SubscribeParams():
        answer.list = sessions_list.handler(call, params)
    return answer


@method("sessions.messages.subscribe", KeyParams, Subscribed, scope=READ, since=4)
def sessions_messages_subscribe(call: Call, params: KeyParams) -> Subscribed:
    """Hear the messages of one session. There is nothing to hear."""
    return Subscribed(True, params.key, owner(call.core.snapshot.merged, params.key))


@method("sessions.messages.unsubscribe", KeyParams, Subscribed, scope=READ, since=4)
def sessions_messages_unsubscribe(call: Call, params: KeyParams) -> Subscribed:
    """Hear no more of one session."""
    return Subscribed(False, params.key, owner(call.core.snapshot.merged, params.key))


@method("sessions.describe", KeyParams, Described, scope=READ, since=4)
def sessions_describe(call: Call, params: KeyParams) -> Described:
    """One session's row: null, because there is none."""
    return Described(None)


@method("chat.history", HistoryParams, History, scope=READ)
def chat_history(call: Call, params: HistoryParams) -> History:
    """A session's messages: none."""
    return _history(call, params.session_key)


@method("chat.startup", StartupParams, History, scope=READ, since=4)
def chat_startup(call: Call, params: StartupParams) -> History:
    """What a page needs to open a chat: `chat.history` of a session, by its key. No short link leads anywhere."""
    if params.session_key is None:
        raise RpcError("session not found" if params.short_id else "sessionKey required")
    return _history(call, params.session_key)


@method("chat.metadata", MetadataParams, Metadata, scope=READ, since=4)
def chat_metadata(call: Call, params: MetadataParams) -> Metadata:
    """The models that the config names, and the commands of a chat, of which there are none."""
    return Metadata([], models_list.handler(call, ModelsParams()).models)


def _history(call: Call, key: str) -> History:
    answer = History(key, [])
    if call.peer.protocol < 4:
        answer.thinking_level = "off"
        return answer
    defaults = _defaults(call.core)
    tree = call.core.snapshot.merged
    agent = owner(tree, key)
    main = key in (catalog.MAIN, main_key(tree), f"agent:{agent}:{main_key(tree)}")
    answer.pending_inputs, answer.has_more, answer.total_messages = {"items": [], "total": 0}, False, 0
    answer.defaults = {**defaults, "agentRuntime": RUNTIME, "modelSelectionTarget": "session"}
    answer.session_info = {
        "key": key,
        "kind": "direct",
        "agentId": agent,
        "isMain": main,
        "isBackground": False,
        "updatedAt": None,
        "archived": False,
        "pinned": False,
        "unread": False,
        "permissionModePending": False,
        "effectiveFastMode": False,
        "effectiveFastModeSource": "default",
        "totalTokensFresh": False,
        "hasAutomation": False,
        "effectiveResponseUsage": "off",
        "effectiveQueueMode": "steer",
        "modelOverrideSource": None,
        "runtimeSelectionLocked": False,
        "agentRuntime": RUNTIME,
        **({"classification": "main"} if main else {}),
        **{name: value for name, value in defaults.items() if value is not None},
    }
    return answer


def _defaults(core: Core) -> dict[str, Any]:
    provider, model, window = catalog.default_model(core.snapshot.merged)
    return {"modelProvider": provider, "model": model, "contextTokens": window}
