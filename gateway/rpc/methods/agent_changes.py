"""Methods that change agents: entries of the config file, and folders as their workspaces."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config import agent_edit, catalog, models
from gateway.config.agent_edit import Unfit
from gateway.config.files import Snapshot
from gateway.config.tree import Unusable, as_text, section
from gateway.files.paths import expand
from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import Params
from gateway.protocol.scopes import ADMIN
from gateway.rpc.config_text import parse_raw
from gateway.rpc.config_writer import Texts, meaning, rewritten
from gateway.rpc.methods.conversation import or_refuse
from gateway.rpc.methods.session_patch import change_or_refuse
from gateway.rpc.methods.sessions import Key
from gateway.rpc.registry import Call, method
from gateway.sessions.records import Filter

MAX_AVATAR = 3_000_000
"""Characters of a data URL with a picture of 2 MiB."""
Avatar = Annotated[str, Meta(max_length=MAX_AVATAR)]


class AgentCreateParams(Params, frozen=True, kw_only=True):
    name: Key
    workspace: Key | None = None
    model: Key | None = None
    emoji: str | None = None
    avatar: Avatar | None = None


class AgentCreated(Struct, rename="camel"):
    ok: bool
    agent_id: str
    name: str
    workspace: str
    model: str | UnsetType = UNSET


class AgentUpdateParams(Params, frozen=True, kw_only=True):
    agent_id: Key
    name: Key | None = None
    workspace: Key | None = None
    model: Key | UnsetType | None = UNSET
    """null: the model of all agents."""
    agent_runtime: str | None = None
    emoji: str | None = None
    avatar: Avatar | None = None


class AgentUpdated(Struct, rename="camel"):
    ok: bool
    agent_id: str


class AgentDeleteParams(Params, frozen=True, kw_only=True):
    agent_id: Key
    delete_files: bool | None = None
    """Whether its sessions are deleted, too; absent, it is True in protocol 3. The files of its workspace stay."""


class AgentDeleted(Struct, rename="camel"):
    ok: bool
    agent_id: str
    removed_bindings: int
    removed: list[dict[str, Any]] | UnsetType = UNSET
    failed: list[dict[str, Any]] | UnsetType = UNSET


@method("agents.create", AgentCreateParams, AgentCreated, scope=ADMIN)
async def agents_create(call: Call, params: AgentCreateParams) -> AgentCreated:
    """Add an agent to the config file, and create its workspace."""
    try:
        id = agent_edit.id_of(params.name)
    except Unfit as error:
        raise RpcError(str(error)) from None
    _check_model(call, params.model)
    place = _place(call, id, params.workspace)
    entry: dict[str, Any] = {"name": params.name.strip(), "workspace": params.workspace or str(place)}
    entry |= {"model": params.model} if params.model else {}
    entry["identity"] = _identity({}, params.name.strip(), params.emoji, params.avatar)
    await _write(call, lambda value: agent_edit.add(value, id, entry))
    await _make(place)
    return AgentCreated(True, id, params.name.strip(), str(place), params.model or UNSET)


@method("agents.update", AgentUpdateParams, AgentUpdated, scope=ADMIN)
async def agents_update(call: Call, params: AgentUpdateParams) -> AgentUpdated:
    """Change an agent in the config file."""
    if params.model:
        _check_model(call, params.model)

    def edited(entry: dict[str, Any]) -> dict[str, Any]:
        new = dict(entry)
        for key, value in (("name", params.name), ("workspace", params.workspace)):
            if value is not None:
                new[key] = value.strip()
        if params.model is None:
            new.pop("model", None)
        elif params.model is not UNSET:
            new["model"] = params.model
        known = section(new, "identity")
        identity = _identity(known, params.name, params.emoji, params.avatar)
        return {**new, "identity": identity} if identity != known else new

    await _write(call, lambda value: agent_edit.change(value, params.agent_id, edited))
    if params.workspace is not None:
        await _make(_place(call, params.agent_id, params.workspace))
    return AgentUpdated(True, params.agent_id.strip().lower())


@method("agents.delete", AgentDeleteParams, AgentDeleted, scope=ADMIN)
async def agents_delete(call: Call, params: AgentDeleteParams) -> AgentDeleted:
    """Remove an agent and its bindings from the config. Its workspace stays. The default agent cannot be removed."""
    id, bound, modern = params.agent_id.strip().lower(), 0, call.peer.protocol >= 4

    def removed(value: dict[str, Any]) -> dict[str, Any]:
        nonlocal bound
        new, bound = agent_edit.remove(value, id)
        return new

    await _write(call, removed)
    gone = []
    if params.delete_files or (params.delete_files is None and not modern):
        conversations = call.core.conversations
        await or_refuse(conversations.ready())
        for session in (await or_refuse(conversations.store.sessions(Filter(agent=id)))).sessions:
            await change_or_refuse(session.key, "delete", conversations.sessions.delete(session.key))
            gone.append({"path": session.key, "method": "deleted"})
    return AgentDeleted(True, id, bound, gone, []) if modern else AgentDeleted(True, id, bound)


async def _write(call: Call, make: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    def text(before: Snapshot) -> Texts:
        if before.raw is not None:
            parse_raw(before.raw, before.path, before.issues)
        try:
            return rewritten(before, make(meaning(before)))
        except Unfit as error:
            raise RpcError(str(error)) from None

    await call.core.config_writer.change(call.peer.protocol, text)


def _check_model(call: Call, wanted: str | None) -> None:
    if wanted:
        try:
            models.chain(call.core.tree, call.core.env, catalog.default_id(call.core.tree), wanted)
        except Unusable as error:
            raise RpcError(f"invalid model: {error}") from None


def _identity(known: dict[str, Any], name: str | None, emoji: str | None, avatar: str | None) -> dict[str, Any]:
    """The identity with the values that are not None; an empty text clears one."""
    asked = {"name": name, "emoji": emoji, "avatar": avatar}
    merged = known | {key: value.strip() for key, value in asked.items() if value is not None}
    return {key: value for key, value in merged.items() if value != ""}


def _place(call: Call, id: str, asked: str | None) -> Path:
    shared = as_text(section(call.core.tree, "agents", "defaults").get("workspace"))
    own = asked or (f"{shared}/{id}" if shared else str(call.core.paths.state / f"workspace-{id}"))
    return expand(own)


async def _make(place: Path) -> None:
    try:
        await asyncio.to_thread(place.mkdir, mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = f"the workspace {place} cannot be made: {error.strerror}; the agent is in the config"
        raise RpcError(WireError("UNAVAILABLE", why)) from None
