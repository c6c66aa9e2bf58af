"""Sessions, to look up: how they end, and which one a name means."""

import time
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.params import Params, cut
from gateway.protocol.scopes import READ
from gateway.rpc.methods.conversation import stored
from gateway.rpc.methods.sessions import MAX_ROWS, Count, Key, Label, plain
from gateway.rpc.registry import Call, RpcError, method
from gateway.sessions.keys import BadKey
from gateway.sessions.records import Filter, Row, text_of

MAX_PREVIEW_CHARS = 20_000
"""Of one message, whatever is asked for."""


class PreviewParams(Params, frozen=True):
    keys: Annotated[list[Key], Meta(min_length=1, max_length=64)]
    limit: Count = 12
    max_chars: Annotated[int, Meta(ge=20)] = 240


class Previews(Struct):
    ts: int
    previews: list[dict[str, Any]]


class ResolveParams(Params, frozen=True):
    key: Key | None = None
    session_id: Key | None = None
    label: Label | None = None
    agent_id: str | None = None
    spawned_by: str | None = None
    include_global: bool = False
    include_unknown: bool = False
    allow_missing: bool = False
    """Protocol 4: nothing found is an answer and no error."""
    reference: dict[str, Any] | None = None
    short_id: str | None = None
    slug_hint: str | None = None


class Resolved(Struct, rename="camel"):
    ok: bool
    key: str | UnsetType = UNSET
    agent_id: str | UnsetType = UNSET


class BranchesParams(Params, frozen=True):
    session_key: Key
    agent_id: str | None = None


class Branches(Struct):
    branches: list[dict[str, Any]]


class ProgressCard(Struct):
    card: dict[str, Any] | None


@method("sessions.preview", PreviewParams, Previews, scope=READ)
async def sessions_preview(call: Call, params: PreviewParams) -> Previews:
    """The last messages of some sessions, in short."""
    conversations = call.core.conversations
    await stored(conversations.ready())
    keys = {each: _maybe_key(call, each) for each in params.keys}
    found = await stored(
        conversations.store.last_rows([key for key in keys.values() if key], min(params.limit, MAX_ROWS))
    )
    most = min(params.max_chars, MAX_PREVIEW_CHARS)
    rows = []
    for asked, key in keys.items():
        items = [item for row in found.get(key or "", ()) if (item := _item(row, most))]
        status = "missing" if key not in found else "ok" if items else "empty"
        rows.append({"key": asked, "status": status, "items": items})
    return Previews(int(time.time() * 1000), rows)


@method("sessions.resolve", ResolveParams, Resolved, scope=READ)
async def sessions_resolve(call: Call, params: ResolveParams) -> Resolved:
    """The canonical key of a session that is there, by its key, its id or its label."""
    conversations = call.core.conversations
    await stored(conversations.ready())
    if params.key is not None:
        key = _maybe_key(call, params.key)
        found = await stored(conversations.store.session(key)) if key else None
        missing = f"No session found: {cut(params.key)}"
    elif params.session_id is not None:
        found = await stored(conversations.store.session_by_id(params.session_id))
        missing = f"No session found: {cut(params.session_id)}"
    elif params.label is not None:
        which = Filter(agent=plain(params.agent_id), entry={"label": params.label.strip()})
        page = await stored(conversations.store.sessions(which, 2))
        if page.total > 1:
            keys = ", ".join(each.key for each in page.sessions)
            raise RpcError(f"Multiple sessions found with label: {cut(params.label)} ({keys})")
        found = next(iter(page.sessions), None)
        missing = f"No session found with label: {cut(params.label)}"
    else:
        raise RpcError("Either key, sessionId, or label is required")
    if found is None:
        if params.allow_missing and call.peer.protocol >= 4:
            return Resolved(False)
        raise RpcError(missing)
    return Resolved(True, found.key, found.agent if call.peer.protocol >= 4 else UNSET)


@method("sessions.branches.list", BranchesParams, Branches, scope=READ, since=4)
def sessions_branches_list(call: Call, params: BranchesParams) -> Branches:
    """The branches of one session: none."""
    return Branches([])


@method("progressCard.get", BranchesParams, ProgressCard, scope=READ, since=4)
def progress_card_get(call: Call, params: BranchesParams) -> ProgressCard:
    """How far the work of one session is: null, because there is none."""
    return ProgressCard(None)


def _item(row: Row, most: int) -> dict[str, Any] | None:
    """A message in short: `role` user, assistant or tool; None for one without words."""
    role = {"toolResult": "tool"}.get(row.message.get("role") or "", row.message.get("role") or "other")
    text = text_of(row.message).strip()
    if not text:
        return None
    return {"role": role, "text": text if len(text) <= most else text[: most - 3] + "..."}


def _maybe_key(call: Call, text: str) -> str | None:
    try:
        return call.core.conversations.key(text)
    except BadKey:
        return None
