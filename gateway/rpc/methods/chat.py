"""Chats, as a gateway without sessions shows them: no message, and nothing that pretends."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config import catalog
from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.methods.agents import RUNTIME, owner
from gateway.rpc.methods.models import ModelsParams, models_list
from gateway.rpc.methods.sessions import Count, Key, Offset, defaults
from gateway.rpc.registry import Call, RpcError, method


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
    model = defaults(call.core)
    tree = call.core.snapshot.merged
    agent = owner(tree, key)
    main = key in (catalog.MAIN, catalog.main_key(tree), f"agent:{agent}:{catalog.main_key(tree)}")
    answer.pending_inputs, answer.has_more, answer.total_messages = {"items": [], "total": 0}, False, 0
    answer.defaults = {**model, "agentRuntime": RUNTIME, "modelSelectionTarget": "session"}
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
        **{name: value for name, value in model.items() if value is not None},
    }
    return answer
