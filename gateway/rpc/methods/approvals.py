"""Approvals: OpenClaw's file of rules for commands as it lies there, and what waits for a person, which is nothing.

No command is run by this gateway; the file is shown because its owner looks for it here.
"""

import asyncio
import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config.untyped import section
from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import ADMIN, APPROVALS, QUESTIONS
from gateway.rpc.registry import Call, method

MAX_BYTES = 1_048_576
_DEFAULTS: dict[str, Any] = {"security": "full", "ask": "off", "askFallback": "deny", "autoAllowSkills": False}


class Approvals(Struct, rename="camel"):
    path: str
    exists: bool
    hash: str
    """SHA-256 of the file's text; of nothing when there is no file."""
    file: dict[str, Any]
    resolved_defaults: dict[str, Any] | UnsetType = UNSET


class ApprovalHistoryParams(Params, frozen=True):
    cursor: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] | None = None
    kind: Literal["exec", "plugin", "system-agent"] | None = None


class ApprovalHistory(Struct):
    items: list[dict[str, Any]]


class GrantsParams(Params, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=500)] | None = None


class Grants(Struct):
    grants: list[dict[str, Any]]


class Questions(Struct):
    questions: list[dict[str, Any]]


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


@method("exec.approval.list", NoParams, list[dict[str, Any]], scope=APPROVALS, since=4)
def exec_approval_list(call: Call, params: NoParams) -> list[dict[str, Any]]:
    """Commands that wait for a decision: none."""
    return []


@method("exec.approval.grants.list", GrantsParams, Grants, scope=APPROVALS, since=4)
def exec_approval_grants_list(call: Call, params: GrantsParams) -> Grants:
    """Commands that scheduled jobs may run without asking again: none."""
    return Grants([])


@method("plugin.approval.list", NoParams, list[dict[str, Any]], scope=APPROVALS, since=4)
def plugin_approval_list(call: Call, params: NoParams) -> list[dict[str, Any]]:
    """What plugins want to do and wait for: nothing."""
    return []


@method("openclaw.approval.list", NoParams, list[dict[str, Any]], scope=APPROVALS, since=4)
def openclaw_approval_list(call: Call, params: NoParams) -> list[dict[str, Any]]:
    """Changes of the installation that wait for a decision: none."""
    return []


@method("approval.history", ApprovalHistoryParams, ApprovalHistory, scope=APPROVALS, since=4)
def approval_history(call: Call, params: ApprovalHistoryParams) -> ApprovalHistory:
    """What was decided: nothing."""
    return ApprovalHistory([])


@method("question.list", NoParams, Questions, scope=QUESTIONS, since=4)
def question_list(call: Call, params: NoParams) -> Questions:
    """Questions of agents that wait for an answer: none."""
    return Questions([])


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES)
    except FileNotFoundError:
        return None


def _parse(raw: bytes) -> dict[str, Any]:
    """What is not an object of rules holds no rules, as OpenClaw has it too."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
