"""`sessions.patch`: the settings of sessions, their values, and the scopes that they need."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.config import catalog, models
from gateway.config.models import THINKING
from gateway.machine.clock import now_ms
from gateway.protocol import scopes
from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import Params
from gateway.protocol.scopes import ADMIN, WRITE, Scope
from gateway.rpc.methods.conversation import or_refuse, session_key
from gateway.rpc.methods.sessions import Key
from gateway.rpc.registry import Call, method
from gateway.runs.service import StillActive
from gateway.sessions import shown
from gateway.sessions.transcripts import LabelTaken, SessionChanged

T = TypeVar("T")
MAX_LABEL = {3: 64, 4: 512}
"""Characters of a label, by protocol."""
MAX_SETTING = 512
"""Characters of any other text: each list of sessions carries all of them to each client."""
Text = Key | UnsetType | None
Flag = bool | UnsetType

_THINKING = {
    **{level: level for level in THINKING},
    **{"on": "low", "enable": "low", "enabled": "low", "think": "minimal", "min": "minimal", "mid": "medium"},
    **{"med": "medium", "max": "high", "highest": "high", "ultra": "high", "ultrathink": "high", "x-high": "xhigh"},
}
_ON_OFF = {"off": "off", "false": "off", "no": "off", "0": "off", "on": "on", "true": "on", "yes": "on", "1": "on"}
_VERBOSE = {**_ON_OFF, "minimal": "on", "full": "full", "all": "full", "everything": "full"}
_USAGE = {**_ON_OFF, "on": "tokens", "tokens": "tokens", "full": "full"}
_LEVELS: dict[str, tuple[Mapping[str, str], str]] = {
    "thinkingLevel": (_THINKING, "|".join(THINKING)),
    "verboseLevel": (_VERBOSE, '"on"|"off"|"full"'),
    "traceLevel": (_VERBOSE, '"on"|"off"|"full"'),
    "reasoningLevel": ({**_ON_OFF, "stream": "stream"}, '"on"|"off"|"stream"'),
    "responseUsage": (_USAGE, '"off"|"tokens"|"full"'),
    "elevatedLevel": ({**_ON_OFF, "ask": "ask", "full": "full"}, '"on"|"off"|"ask"|"full"'),
    "sendPolicy": ({"allow": "allow", "deny": "deny"}, '"allow"|"deny"'),
    "groupActivation": ({"mention": "mention", "always": "always"}, '"mention"|"always"'),
    "execHost": ({each: each for each in ("sandbox", "gateway", "node")}, '"sandbox"|"gateway"|"node"'),
    "execSecurity": ({each: each for each in ("deny", "allowlist", "full")}, '"deny"|"allowlist"|"full"'),
    "execAsk": ({each: each for each in ("off", "on-miss", "always")}, '"off"|"on-miss"|"always"'),
}
"""For each setting with levels: the stored level by its names, and the text of the choice."""
_NOTHING = {"thinkingLevel", "reasoningLevel", "responseUsage"}
"""Settings whose `off` is stored as not set."""
_ORGANISING = {
    *("label", "autoLabel", "icon", "color", "category", "boardFace", "boardPresentation", "statusNote", "attention"),
    *("ttlMinutes", "archived", "pinned", "unread", "model", "thinkingLevel", "fastMode"),
}
"""Settings for which `operator.write` is enough in protocol 4; others, and all in protocol 3, need `operator.admin`."""
_ABSENT = ("contextWindow", "permissionMode", "sandboxMode", "nativeRuntimeConsent", "toolOverrides", "agentRuntime")
"""Settings of OpenClaw's whose feature this gateway does not have."""


class SessionPatchParams(Params, frozen=True, kw_only=True):
    """Settings to change; null clears a setting."""

    key: Key
    agent_id: str | None = None
    expected_session_id: Key | None = None
    expected_lifecycle_revision: Key | None = None
    """The same as `expected_session_id`, because a reset changes both."""
    expected_permission_mode: Any = None
    expected_sandbox_mode: Any = None
    expected_native_runtime_consent: Any = None
    expected_tool_overrides: Any = None
    expected_marked_unread_at: Any = None
    label: Text = UNSET
    auto_label: Text = UNSET
    icon: Text = UNSET
    color: Text = UNSET
    category: Text = UNSET
    board_face: Text = UNSET
    board_presentation: Text = UNSET
    status_note: Text = UNSET
    attention: Text = UNSET
    ttl_minutes: int | UnsetType = UNSET
    archived: Flag = UNSET
    pinned: Flag = UNSET
    unread: Flag = UNSET
    model: Text = UNSET
    thinking_level: Text = UNSET
    fast_mode: bool | str | UnsetType | None = UNSET
    verbose_level: Text = UNSET
    trace_level: Text = UNSET
    reasoning_level: Text = UNSET
    response_usage: Text = UNSET
    elevated_level: Text = UNSET
    exec_host: Text = UNSET
    exec_security: Text = UNSET
    exec_ask: Text = UNSET
    exec_node: Text = UNSET
    send_policy: Text = UNSET
    group_activation: Text = UNSET
    spawned_by: Text = UNSET
    context_window: Any = UNSET
    permission_mode: Any = UNSET
    sandbox_mode: Any = UNSET
    native_runtime_consent: Any = UNSET
    tool_overrides: Any = UNSET
    agent_runtime: Any = UNSET


class Patched(Struct, rename="camel"):
    ok: bool
    path: str
    key: str
    entry: dict[str, Any]
    resolved: dict[str, Any] | UnsetType = UNSET


@method("sessions.patch", SessionPatchParams, Patched, scope=WRITE, old_scope=ADMIN)
async def sessions_patch(call: Call, params: SessionPatchParams) -> Patched:
    """Set names, model and other settings of a session. A session that does not exist is created.

    In protocol 4 `operator.write` is enough for names, model, thinking, and to sort and archive; other settings, and
    all in protocol 3, need `operator.admin`. To archive or restore a session, the client must send its id.
    """
    conversations, modern = call.core.conversations, call.peer.protocol >= 4
    asked = _settings(params)
    if any(name not in _ORGANISING for name in asked):
        require(call, ADMIN)
    key = session_key(call, params.key)
    wanted = checked_settings(call, key, asked)
    await or_refuse(conversations.ready())
    if "archived" in wanted:
        await _may_archive(call, key, params)
    expected = params.expected_session_id or params.expected_lifecycle_revision
    work = conversations.sessions.patch(key, change_of(wanted), expected=expected)
    changed = await change_or_refuse(key, "patch", work)
    answer = Patched(True, str(call.core.paths.database), key, shown.entry(changed, call.peer.protocol))
    if modern:
        answer.resolved = shown.resolved(changed, call.core.tree)
    return answer


def require(call: Call, scope: Scope) -> None:
    """Raises RpcError if the client does not have the scope."""
    error = scopes.refuse(call.peer.protocol, call.peer.role, call.peer.scopes, scope)
    if error is not None:
        raise RpcError(error)


def _settings(params: SessionPatchParams) -> dict[str, Any]:
    """The settings that the client sends, by their names on the wire."""
    return {
        field.encode_name: value
        for field in msgspec.structs.fields(params)
        if field.name not in ("key", "agent_id")
        and not field.name.startswith("expected_")
        and (value := getattr(params, field.name)) is not UNSET
    }


def checked_settings(call: Call, key: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The settings to store by name; None clears one. Raises RpcError for a setting that cannot be set."""
    for name in _ABSENT:
        if asked.pop(name, None) is not None:
            raise RpcError(f"{name} is not supported by this gateway")
    found: dict[str, Any] = {}
    for name, value in asked.items():
        if value is None or value is False:
            found[name] = None
        elif name in _LEVELS:
            found[name] = _level(name, value)
        elif name == "label":
            found[name] = _short(name, value, MAX_LABEL[4 if call.peer.protocol >= 4 else 3])
        elif name == "model":
            found[name] = _model(call, key, value)
        elif name == "spawnedBy" and ":subagent:" not in key:
            raise RpcError("spawnedBy is only supported for subagent:* sessions")
        else:
            found[name] = _short(name, value, MAX_SETTING) if isinstance(value, str) else value
        if found[name] == "":
            raise RpcError(f"invalid {name}: empty")
    return found


def _level(name: str, value: str) -> str | None:
    names, choice = _LEVELS[name]
    level = names.get(value.strip().lower())
    if level is None:
        raise RpcError(f"invalid {name} (use {choice})")
    return None if level == "off" and name in _NOTHING else level


def _short(name: str, value: str, most: int) -> str:
    text = value.strip()
    if len(text) > most:
        raise RpcError(f"invalid {name}: too long (max {most})")
    return text


def _model(call: Call, key: str, value: str) -> str:
    """The full name `provider/model` of a model or an alias. Raises RpcError."""
    if problem := call.core.conversations.sessions.refuse_model(key, value):
        raise RpcError(f"invalid model: {problem}")
    agent = catalog.find_agent(call.core.tree, call.core.conversations.sessions.agent(key))
    return str(models.parse(call.core.tree, "model", value, agent))


async def _may_archive(call: Call, key: str, params: SessionPatchParams) -> None:
    """Raises RpcError for a main session. The runs of a session that is archived are aborted."""
    conversations = call.core.conversations
    if key == catalog.main_session(call.core.tree, conversations.sessions.agent(key)) or key == catalog.GLOBAL:
        raise RpcError("Cannot archive an agent's main session.")
    if params.expected_session_id is None:
        raise RpcError(f"expectedSessionId required for session lifecycle patch: {key}")
    if params.archived:
        await change_or_refuse(key, "patch", conversations.sessions.end_runs(key))


def change_of(wanted: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that applies settings to an entry, for `Store.patch`."""
    now = now_ms()

    def change(entry: dict[str, Any]) -> dict[str, Any]:
        new = {name: value for name, value in (entry | wanted).items() if value is not None}
        if wanted.get("pinned") and new.get("archived"):
            raise RpcError("cannot pin an archived session; restore it first")
        if new.get("archived"):
            new.pop("pinned", None)
        for flag, since in (("archived", "archivedAt"), ("pinned", "pinnedAt")):
            if not new.get(flag):
                new.pop(since, None)
            elif flag in wanted:
                new[since] = now
        return new

    return change


async def change_or_refuse(key: str, verb: str, work: Awaitable[T]) -> T:
    """The result of a change of a session; its errors become RpcError in OpenClaw's words."""
    try:
        return await or_refuse(work)
    except LabelTaken as error:
        raise RpcError(f"label already in use: {error}") from None
    except SessionChanged:
        refusal = f"Session {key} changed before {verb}. Retry."
        raise RpcError(WireError("INVALID_REQUEST", refusal, {"reason": "session-changed"})) from None
    except StillActive:
        refusal = f"Session {key} is still active; try again in a moment."
        raise RpcError(WireError("UNAVAILABLE", refusal, retryable=True)) from None
