"""The files in an agent's workspace that tell it who it is: `agents.files.list`, `.get` and `.set`."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config import catalog
from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import Body, Params, cut
from gateway.protocol.scopes import ADMIN, READ
from gateway.rpc.methods.sessions import Key
from gateway.rpc.registry import Call, method
from gateway.runs import workspace
from gateway.runs.workspace import MAX_FILE_BYTES, NAMES, Conflict, WorkspaceFile

_ALWAYS = ("AGENTS.md", "SOUL.md", "USER.md", "MEMORY.md")
"""What a list shows also where it is missing."""
_OPTIONAL = ("MEMORY.md",)
_NEWER = ("expectedAbsent", "hash")
"""What a client of protocol 3 does not know of a file."""


class ListParams(Params, frozen=True, kw_only=True):
    agent_id: Key


class GetParams(ListParams, frozen=True, kw_only=True):
    name: Key


class FileSetParams(GetParams, frozen=True, kw_only=True):
    content: Body
    expected_hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the text that the client read; the file is not changed if it has another one."""


class Files(Struct, rename="camel"):
    agent_id: str
    workspace: str
    files: list[dict[str, Any]]


class One(Struct, rename="camel"):
    agent_id: str
    workspace: str
    file: dict[str, Any]
    ok: bool | UnsetType = UNSET


@method("agents.files.list", ListParams, Files, scope=READ)
async def agents_files_list(call: Call, params: ListParams) -> Files:
    """The files of an agent's workspace that are part of each prompt, also those that are missing."""
    id, place = _place(call, params.agent_id)
    found = await asyncio.to_thread(lambda: {name: workspace.look(place, name) for name in NAMES})
    shown = _ALWAYS if call.peer.protocol >= 4 else NAMES
    rows = [_row(call, place, name, file) for name, file in found.items() if file is not None or name in shown]
    return Files(id, str(place), rows)


@method("agents.files.get", GetParams, One, scope=READ)
async def agents_files_get(call: Call, params: GetParams) -> One:
    """One file of an agent's workspace, with its text."""
    id, place = _place(call, params.agent_id)
    name = _name(params.name)
    file = await asyncio.to_thread(workspace.look, place, name, text=True)
    return One(id, str(place), _row(call, place, name, file))


@method("agents.files.set", FileSetParams, One, scope=ADMIN)
async def agents_files_set(call: Call, params: FileSetParams) -> One:
    """Write one file of an agent's workspace. The workspace is created if there is none."""
    id, place = _place(call, params.agent_id)
    name = _name(params.name)
    if len(params.content.encode()) > MAX_FILE_BYTES:
        raise RpcError(f"content is larger than {MAX_FILE_BYTES} bytes")
    try:
        file = await asyncio.to_thread(workspace.write, place, name, params.content, params.expected_hash)
    except Conflict as error:
        why = f"{name} changed since it was read; re-read it and retry"
        details = {"type": "agent_file_conflict", "currentHash": error.hash}
        raise RpcError(WireError("INVALID_REQUEST", why, details)) from None
    except OSError as error:
        why = f"{place / name} cannot be written: {error.strerror}"
        raise RpcError(WireError("UNAVAILABLE", why)) from None
    return One(id, str(place), _row(call, place, name, file), True)


def _place(call: Call, asked: str) -> tuple[str, Path]:
    tree = call.core.snapshot.merged
    agent = catalog.find_agent(tree, asked)
    if agent is None:
        modern = call.peer.protocol >= 4
        raise RpcError(f'agent "{cut(asked.strip().lower())}" not found' if modern else "unknown agent id")
    return agent.id, workspace.folder(tree, call.core.paths.state, agent.id)


def _name(asked: str) -> str:
    if asked not in NAMES:
        raise RpcError(f'unsupported file "{cut(asked)}"')
    return asked


def _row(call: Call, place: Path, name: str, file: WorkspaceFile | None) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "path": str(place / name), "missing": file is None}
    if file is None:
        row |= {"expectedAbsent": True} if name in _OPTIONAL else {}
    else:
        row |= {"size": file.size, "updatedAtMs": file.modified_ms}
        row |= {"hash": file.hash, "content": file.text} if file.text is not None else {}
    return row if call.peer.protocol >= 4 else {key: value for key, value in row.items() if key not in _NEWER}
