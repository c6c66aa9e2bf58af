"""Methods that look up sessions: previews, and the session that a name means."""

import re
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.machine.clock import now_ms
from gateway.protocol.frames import RpcError
from gateway.protocol.params import Params, cut
from gateway.protocol.scopes import READ
from gateway.rpc.methods.conversation import or_refuse
from gateway.rpc.methods.sessions import MAX_ROWS, Count, Key, Label, plain
from gateway.rpc.registry import Call, method
from gateway.sessions.keys import BadKey
from gateway.sessions.records import Filter, MessageRow, Session, text_of

MAX_PREVIEW_CHARS = 20_000
"""Most characters of one message, whatever a client asks for."""
MAX_CANDIDATES = 10
"""Most sessions that an answer lists for an ambiguous short id."""
_SHORT = re.compile(r"[0-9a-f]{8,32}", re.IGNORECASE)


class PreviewParams(Params, frozen=True):
    keys: Annotated[list[Key], Meta(min_length=1, max_length=64)]
    limit: Count = 12
    max_chars: Annotated[int, Meta(ge=20)] = 240


class Previews(Struct):
    ts: int
    previews: list[dict[str, Any]]


class Reference(Params, frozen=True):
    key: Key
    slug: Key | None = None


class ResolveParams(Params, frozen=True):
    key: Key | None = None
    session_id: Key | None = None
    label: Label | None = None
    agent_id: str | None = None
    spawned_by: str | None = None
    include_global: bool = False
    include_unknown: bool = False
    allow_missing: bool = False
    """Protocol 4: answer instead of refusing if there is no such session."""
    reference: Reference | None = None
    short_id: Key | None = None
    """The first 8 to 32 digits of the UUID at the end of a session key, as in the URL of a page."""
    slug_hint: Key | None = None


class SessionResolved(Struct, rename="camel"):
    ok: bool
    key: str | UnsetType = UNSET
    agent_id: str | UnsetType = UNSET
    candidates: list[dict[str, str]] | UnsetType = UNSET
    """The sessions that an ambiguous short id may mean."""


class BranchesParams(Params, frozen=True):
    session_key: Key
    agent_id: str | None = None


class Branches(Struct):
    branches: list[dict[str, Any]]


class ProgressCard(Struct):
    card: dict[str, Any] | None


@method("sessions.preview", PreviewParams, Previews, scope=READ)
async def sessions_preview(call: Call, params: PreviewParams) -> Previews:
    """The last messages of some sessions, shortened."""
    conversations = call.core.conversations
    await or_refuse(conversations.ready())
    keys = {each: _maybe_key(call, each) for each in params.keys}
    found = await or_refuse(
        conversations.store.last_rows([key for key in keys.values() if key], min(params.limit, MAX_ROWS))
    )
    most = min(params.max_chars, MAX_PREVIEW_CHARS)
    rows = []
    for asked, key in keys.items():
        items = [item for row in found.get(key or "", ()) if (item := _item(row, most))]
        status = "missing" if key not in found else "ok" if items else "empty"
        rows.append({"key": asked, "status": status, "items": items})
    return Previews(now_ms(), rows)


@method("sessions.resolve", ResolveParams, SessionResolved, scope=READ)
async def sessions_resolve(call: Call, params: ResolveParams) -> SessionResolved:
    """The canonical key of an existing session, by its key, its id, its label, or the short id of a URL."""
    conversations = call.core.conversations
    await or_refuse(conversations.ready())
    if (named := params.reference.key if params.reference else params.key) is not None:
        key = _maybe_key(call, named)
        found = await or_refuse(conversations.store.session(key)) if key else None
        missing = f"No session found: {cut(named)}"
    elif params.session_id is not None:
        found = await or_refuse(conversations.store.session_by_id(params.session_id))
        missing = f"No session found: {cut(params.session_id)}"
    elif params.label is not None:
        which = Filter(agent=plain(params.agent_id), entry={"label": params.label.strip()})
        page = await or_refuse(conversations.store.sessions(which, 2))
        if page.total > 1:
            keys = ", ".join(each.key for each in page.sessions)
            raise RpcError(f"Multiple sessions found with label: {cut(params.label)} ({keys})")
        found = next(iter(page.sessions), None)
        missing = f"No session found with label: {cut(params.label)}"
    elif params.short_id is not None:
        several = await with_short_id(call, params.short_id, params.agent_id)
        if len(several) > 1:
            return SessionResolved(False, candidates=[{"key": each.key, "agentId": each.agent} for each in several])
        found = next(iter(several), None)
        missing = f"No session found: {cut(params.short_id)}"
    else:
        raise RpcError("Either key, sessionId, label, shortId, or reference is required")
    if found is None:
        if params.allow_missing and call.peer.protocol >= 4:
            return SessionResolved(False)
        raise RpcError(missing)
    return SessionResolved(True, found.key, found.agent if call.peer.protocol >= 4 else UNSET)


async def with_short_id(call: Call, short: str, agent: str | None) -> list[Session]:
    """Sessions with a short id, at most MAX_CANDIDATES. Raises RpcError if it is no short id."""
    if not _SHORT.fullmatch(short):
        raise RpcError("shortId must be 8-32 hexadecimal characters")
    which = Filter(agent=plain(agent), short=short.lower())
    return (await or_refuse(call.core.conversations.store.sessions(which, MAX_CANDIDATES))).sessions


@method("sessions.branches.list", BranchesParams, Branches, scope=READ, since=4)
def sessions_branches_list(call: Call, params: BranchesParams) -> Branches:
    """The branches of one session: none."""
    return Branches([])


@method("progressCard.get", BranchesParams, ProgressCard, scope=READ, since=4)
def progress_card_get(call: Call, params: BranchesParams) -> ProgressCard:
    """The progress card of a session: null, because there is none."""
    return ProgressCard(None)


def _item(row: MessageRow, most: int) -> dict[str, Any] | None:
    """A message as `{role, text}`, its role `user`, `assistant` or `tool`; None if it has no text."""
    role = {"toolResult": "tool"}.get(row.message.get("role") or "", row.message.get("role") or "other")
    text = text_of(row.message).strip()
    if not text:
        return None
    return {"role": role, "text": text if len(text) <= most else text[: most - 3] + "..."}


def _maybe_key(call: Call, text: str) -> str | None:
    try:
        return call.core.conversations.sessions.key(text)
    except BadKey:
        return None
