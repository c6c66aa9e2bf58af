"""OpenClaw's file of rules for commands, as it lies in the state folder.

This gateway runs no command; the file is shown because users look for it here.
"""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.config.tree import section
from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import NoParams
from gateway.protocol.scopes import ADMIN
from gateway.rpc.registry import Call, method

MAX_BYTES = 1_048_576
_DEFAULTS: dict[str, Any] = {"security": "full", "ask": "off", "askFallback": "deny", "autoAllowSkills": False}


class Approvals(Struct, rename="camel"):
    path: str
    exists: bool
    hash: str
    """SHA-256 of the file's text; of an empty text if there is no file."""
    file: dict[str, Any]
    resolved_defaults: dict[str, Any] | UnsetType = UNSET


@method("exec.approvals.get", NoParams, Approvals, scope=ADMIN)
async def exec_approvals_get(call: Call, params: NoParams) -> Approvals:
    """The rules in `exec-approvals.json` of the state folder, without the secret of its socket."""
    path = call.core.paths.state / "exec-approvals.json"
    try:
        raw = await asyncio.to_thread(_read, path)
    except OSError as error:
        raise RpcError(WireError("UNAVAILABLE", f"{path.name} cannot be read: {error.strerror}")) from None
    stored = _parse(raw or b"{}")
    shown = {
        "version": 1,
        "socket": {"path": section(stored, "socket").get("path", str(path.with_suffix(".sock")))},
        "defaults": section(stored, "defaults"),
        "agents": section(stored, "agents"),
    }
    answer = Approvals(str(path), raw is not None, hashlib.sha256(raw or b"").hexdigest(), shown)
    if call.peer.protocol >= 4:
        answer.resolved_defaults = _DEFAULTS | section(stored, "defaults")
    return answer


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES)
    except FileNotFoundError:
        return None


def _parse(raw: bytes) -> dict[str, Any]:
    """The object in the file; {} if there is none, as in OpenClaw."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
