"""Sessions, as a gateway without sessions shows them: empty lists, and nothing that pretends.

What would make or change one is an unknown method until sessions exist here.
"""

import time
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config import models
from gateway.core import Core
from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.methods.agents import RUNTIME, THINKING_OFF, owner
from gateway.rpc.registry import Call, method

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


class BranchesParams(Params, frozen=True):
    session_key: Key
    agent_id: str | None = None


class Branches(Struct):
    branches: list[dict[str, Any]]


class ProgressCard(Struct):
    card: dict[str, Any] | None


class Described(Struct):
    session: dict[str, Any] | None


@method("sessions.list", SessionsListParams, Sessions, scope=READ)
def sessions_list(call: Call, params: SessionsListParams) -> Sessions:
    """The sessions: none, whatever the filter; with the model that the config gives a new one."""
    answer = Sessions(int(time.time() * 1000), _STORES, 0, defaults(call.core), [])
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


@method("sessions.branches.list", BranchesParams, Branches, scope=READ, since=4)
def sessions_branches_list(call: Call, params: BranchesParams) -> Branches:
    """The branches of one session: none."""
    return Branches([])


@method("progressCard.get", BranchesParams, ProgressCard, scope=READ, since=4)
def progress_card_get(call: Call, params: BranchesParams) -> ProgressCard:
    """How far the work of one session is: null, because there is none."""
    return ProgressCard(None)


def defaults(core: Core) -> dict[str, Any]:
    """The model that a new session would get."""
    ref = models.default(core.tree)
    return {"modelProvider": ref.provider, "model": ref.id, "contextTokens": models.window(core.tree, ref)}
