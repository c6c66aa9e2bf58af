"""Models and providers of the config file. No provider is asked."""

from typing import Any

from msgspec import Struct

from gateway.config import models, providers
from gateway.config.tree import as_list, as_positive_int
from gateway.machine.clock import now_ms
from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.registry import Call, method
from gateway.sessions.shown import thinking_levels


class ModelsParams(Params, frozen=True):
    view: str | None = None
    agent_id: str | None = None
    session_key: str | None = None
    prepared_only: bool = False
    refresh: bool = False
    provider: str | None = None
    include_details: bool = False
    include_provider_capabilities: bool = False


class ModelList(Struct):
    models: list[dict[str, Any]]


class AuthParams(Params, frozen=True):
    agent_id: str | None = None
    refresh: bool = False


class ModelAuth(Struct, rename="camel"):
    ts: int
    providers: list[dict[str, Any]]
    """Rows; `status` is always `static`: a key that does not expire."""
    provider_capabilities: list[dict[str, Any]]


@method("models.list", ModelsParams, ModelList, scope=READ)
def models_list(call: Call, params: ModelsParams) -> ModelList:
    """The models of the config, or the built-in echo if there are none. All `view`s are the same.

    `available`: the config and the environment have what a request needs. The provider is not asked.
    """
    rows = []
    for each in models.list_models(call.core.tree, call.core.env):
        if params.provider and each.ref.provider != params.provider:
            continue
        row: dict[str, Any] = {"id": each.ref.id, "name": each.name, "provider": each.ref.provider}
        window, reasoning = as_positive_int(each.row.get("contextWindow")), each.row.get("reasoning")
        row |= {"contextWindow": window} if window else {}
        row |= {"reasoning": reasoning} if isinstance(reasoning, bool) else {}
        input = [kind for kind in as_list(each.row.get("input")) if isinstance(kind, str)]
        row |= {"input": input} if input else {}
        if call.peer.protocol >= 4:
            row["tags"] = list(each.tags)
            levels = thinking_levels(call.core.tree, each.ref)
            row |= {key: levels[key] for key in ("thinkingLevels", "thinkingDefault")}
            row["available"] = each.available
        rows.append(row)
    return ModelList(rows)


@method("models.authStatus", AuthParams, ModelAuth, scope=READ, since=4)
def models_auth_status(call: Call, params: AuthParams) -> ModelAuth:
    """The providers with a key in the config or the environment. There is no way to sign in."""
    tree = call.core.tree
    rows = [
        {
            "provider": each.name,
            "authProvider": each.name,
            "displayName": each.name,
            "status": "static",
            "profiles": [],
            "apiKey": {"source": source},
        }
        for each, source in providers.with_key(tree, models.environment(tree, call.core.env))
    ]
    return ModelAuth(now_ms(), rows, [])
