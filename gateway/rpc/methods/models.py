"""Models and their providers: what the config file names. Nothing has asked a provider."""

import time
from typing import Any

from msgspec import Struct

from gateway.config import catalog
from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.methods.agents import THINKING_OFF
from gateway.rpc.registry import Call, method


class ModelsParams(Params, frozen=True):
    view: str | None = None
    agent_id: str | None = None
    session_key: str | None = None
    prepared_only: bool = False
    refresh: bool = False
    provider: str | None = None
    include_details: bool = False
    include_provider_capabilities: bool = False


class Models(Struct):
    models: list[dict[str, Any]]


class AuthParams(Params, frozen=True):
    agent_id: str | None = None
    refresh: bool = False


class Auth(Struct, rename="camel"):
    ts: int
    providers: list[dict[str, Any]]
    """`status` is `static`: a key that does not expire."""
    provider_capabilities: list[dict[str, Any]]


@method("models.list", ModelsParams, Models, scope=READ)
def models_list(call: Call, params: ModelsParams) -> Models:
    """The models under `models.providers` of the config; there is no catalog beside it, so every `view` is the same.

    `available` says that the provider has an `apiKey` in the config; nothing has asked the provider.
    """
    tree = call.core.snapshot.merged
    rows = []
    for each in catalog.models(tree):
        if params.provider and each.provider != params.provider:
            continue
        row: dict[str, Any] = {"id": each.id, "name": each.name, "provider": each.provider}
        row |= {"contextWindow": each.context_window} if each.context_window else {}
        row |= {"reasoning": each.reasoning} if each.reasoning is not None else {}
        row |= {"input": list(each.input)} if each.input else {}
        if call.peer.protocol >= 4:
            provider, model, _ = catalog.default_model(tree)
            row["tags"] = ["default"] if (each.provider, each.id) == (provider, model) else []
            row |= {key: THINKING_OFF[key] for key in ("thinkingLevels", "thinkingDefault")}
            row["available"] = each.has_key
        rows.append(row)
    return Models(rows)


@method("models.authStatus", AuthParams, Auth, scope=READ, since=4)
def models_auth_status(call: Call, params: AuthParams) -> Auth:
    """The providers that have an `apiKey` in the config. Nobody can sign in to one here, so none offers a way."""
    rows = [
        {
            "provider": name,
            "authProvider": name,
            "displayName": name,
            "status": "static",
            "profiles": [],
            "apiKey": {"source": "config"},
        }
        for name in catalog.providers_with_key(call.core.snapshot.merged)
    ]
    return Auth(int(time.time() * 1000), rows, [])
