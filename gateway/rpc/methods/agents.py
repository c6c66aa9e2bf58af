"""Agents, models and skills: what the config file names. No agent runs here yet."""

from pathlib import Path
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from gateway.config import catalog
from gateway.core import Core
from gateway.protocol.params import NoParams, Params, cut
from gateway.protocol.scopes import READ
from gateway.rpc.registry import Call, RpcError, method

THINKING_OFF: dict[str, Any] = {
    "thinkingLevels": [{"id": "off", "label": "off"}],
    "thinkingOptions": ["off"],
    "thinkingDefault": "off",
}
RUNTIME: dict[str, Any] = {
    "id": "auto",
    "cloudPlacementSupported": False,
    "devicePlacementSupported": False,
    "source": "implicit",
}


class Agents(Struct, rename="camel"):
    default_id: str
    main_key: str
    scope: str
    """`per-sender` or `global`, as `session.scope` says."""
    agents: list[dict[str, Any]]
    ownership: str | UnsetType = UNSET
    selection_required: bool | UnsetType = UNSET


class IdentityParams(Params, frozen=True):
    agent_id: str | None = None
    session_key: str | None = None


class Identity(Struct, rename="camel"):
    agent_id: str
    name: str
    avatar: str
    emoji: str | UnsetType = UNSET
    name_source: str | UnsetType = UNSET
    """`default` while nobody has named the agent; left out otherwise."""


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


class SkillsParams(Params, frozen=True):
    agent_id: str | None = None
    session_key: str | None = None


class Skills(Struct, rename="camel"):
    workspace_dir: str
    managed_skills_dir: str
    skills: list[dict[str, Any]]
    agent_id: str | UnsetType = UNSET


@method("agents.list", NoParams, Agents, scope=READ)
def agents_list(call: Call, params: NoParams) -> Agents:
    """The agents that the config names, and which of them is the default; `main` alone when it names none."""
    tree = call.core.snapshot.merged
    found = catalog.agents(tree)
    answer = Agents(
        default_id=catalog.default_id(tree),
        main_key=main_key(tree),
        scope="global" if catalog.section(tree, "session").get("scope") == "global" else "per-sender",
        agents=[_row(each) for each in found],
    )
    if call.peer.protocol >= 4:
        answer.ownership = "sole" if len(found) == 1 else "legacy"
        answer.selection_required = False
        for row, agent in zip(answer.agents, found, strict=True):
            row |= {"workspace": workspace(call.core, agent), "agentRuntime": RUNTIME, **THINKING_OFF}
            row |= {"model": {"primary": agent.model}} if agent.model else {}
    return answer


@method("agent.identity.get", IdentityParams, Identity, scope=READ)
def agent_identity_get(call: Call, params: IdentityParams) -> Identity:
    """Name and avatar of an agent, or of the agent that a session key belongs to; `Assistant`, `A` when unnamed."""
    tree = call.core.snapshot.merged
    asked = (params.agent_id or "").strip().lower()
    id = owner(tree, params.session_key) if params.session_key else asked or catalog.default_id(tree)
    if asked and asked != id:
        raise RpcError(
            f'invalid agent.identity.get params: agent "{cut(asked)}" does not match session key agent "{cut(id)}"'
        )
    agent = next((each for each in catalog.agents(tree) if each.id == id), None)
    identity = agent.identity if agent else {}
    assistant = catalog.section(tree, "ui", "assistant")
    name = assistant.get("name") or identity.get("name") or (agent and agent.name)
    avatar = assistant.get("avatar") or identity.get("avatar") or identity.get("emoji")
    answer = Identity(id, str(name or "Assistant"), str(avatar or "A"))
    if "emoji" in identity:
        answer.emoji = identity["emoji"]
    if call.peer.protocol >= 4 and not name:
        answer.name_source = "default"
    return answer


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


@method("skills.status", SkillsParams, Skills, scope=READ)
def skills_status(call: Call, params: SkillsParams) -> Skills:
    """Where skills would lie; none is loaded by this gateway."""
    tree = call.core.snapshot.merged
    id = (params.agent_id or owner(tree, params.session_key or "")).strip().lower()
    agent = next((each for each in catalog.agents(tree) if each.id == id), None)
    if agent is None:
        raise RpcError(f'unknown agent id "{cut(id)}"')
    answer = Skills(workspace(call.core, agent), str(call.core.paths.state / "skills"), [])
    if call.peer.protocol >= 4:
        answer.agent_id = agent.id
    return answer


def main_key(tree: dict[str, Any]) -> str:
    """The last part of the main session's key."""
    key = catalog.section(tree, "session").get("mainKey")
    return key.strip().lower() if isinstance(key, str) and key.strip() else catalog.MAIN


def owner(tree: dict[str, Any], session_key: str) -> str:
    """The agent in `agent:<id>:<rest>`; the default agent for a key of another form."""
    parts = session_key.strip().lower().split(":", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "agent" and parts[1] else catalog.default_id(tree)


def workspace(core: Core, agent: catalog.Agent) -> str:
    """Its own folder; unset, OpenClaw's place for it under the state folder."""
    if agent.workspace:
        return str(Path(agent.workspace).expanduser())
    first = agent.id == catalog.default_id(core.snapshot.merged)
    return str(core.paths.state / ("workspace" if first else f"workspace-{agent.id}"))


def _row(agent: catalog.Agent) -> dict[str, Any]:
    row: dict[str, Any] = {"id": agent.id}
    row |= {"name": agent.name} if agent.name else {}
    row |= {"identity": agent.identity} if agent.identity else {}
    return row
