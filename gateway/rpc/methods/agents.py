"""Agents, as the config file names them."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from gateway.config import catalog, models
from gateway.protocol.frames import RpcError
from gateway.protocol.params import NoParams, Params, cut
from gateway.protocol.scopes import READ
from gateway.rpc.core import Core
from gateway.rpc.registry import Call, method
from gateway.runs.workspace import folder
from gateway.sessions.shown import RUNTIME, thinking_levels


class Agents(Struct, rename="camel"):
    default_id: str
    main_key: str
    scope: str
    """`session.scope` of the config: `per-sender` or `global`."""
    agents: list[dict[str, Any]]
    ownership: str | UnsetType = UNSET
    selection_required: bool | UnsetType = UNSET


class IdentityParams(Params, frozen=True):
    agent_id: str | None = None
    session_key: str | None = None


class AgentIdentity(Struct, rename="camel"):
    agent_id: str
    name: str
    avatar: str
    emoji: str | UnsetType = UNSET
    name_source: str | UnsetType = UNSET
    """`default` if the config names no name for the agent; else it is left out."""


@method("agents.list", NoParams, Agents, scope=READ)
def agents_list(call: Call, params: NoParams) -> Agents:
    """The agents of the config, and the id of the default one. A config without agents has `main`."""
    tree = call.core.snapshot.merged
    found = catalog.agents(tree)
    who = call.core.snapshot.defaults
    answer = Agents(who.agent, who.main_key, who.scope, [_row(each) for each in found])
    if call.peer.protocol >= 4:
        answer.ownership = who.ownership
        answer.selection_required = False
        for row, agent in zip(answer.agents, found, strict=True):
            chosen = models.default_model(tree, agent.id)
            row |= {"workspace": workspace(call.core, agent.id), "agentRuntime": RUNTIME}
            row |= {**thinking_levels(tree, chosen, agent.id), "model": {"primary": str(chosen)}}
    return answer


@method("agent.identity.get", IdentityParams, AgentIdentity, scope=READ)
def agent_identity_get(call: Call, params: IdentityParams) -> AgentIdentity:
    """Name and avatar of an agent, or of the agent of a session key. An agent without a name is `Assistant`, `A`."""
    tree = call.core.snapshot.merged
    asked = (params.agent_id or "").strip().lower()
    id = owner(tree, params.session_key) if params.session_key else asked or catalog.default_id(tree)
    if asked and asked != id:
        raise RpcError(
            f'invalid agent.identity.get params: agent "{cut(asked)}" does not match session key agent "{cut(id)}"'
        )
    name, avatar = catalog.assistant(tree, id)
    answer = AgentIdentity(id, name or catalog.ASSISTANT, avatar or catalog.AVATAR)
    agent = catalog.find_agent(tree, id)
    if agent and "emoji" in agent.identity:
        answer.emoji = agent.identity["emoji"]
    if call.peer.protocol >= 4 and not name:
        answer.name_source = "default"
    return answer


def find(tree: dict[str, Any], asked: str) -> catalog.Agent:
    """The agent with an id, in any case. Raises RpcError if the config has none."""
    found = catalog.find_agent(tree, asked)
    if found is None:
        raise RpcError(f'unknown agent id "{cut(asked.strip().lower())}"')
    return found


def owner(tree: dict[str, Any], session_key: str) -> str:
    """The agent id in `agent:<id>:<rest>`; that of the default agent for another key."""
    parts = session_key.strip().lower().split(":", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "agent" and parts[1] else catalog.default_id(tree)


def workspace(core: Core, agent: str) -> str:
    """The folder of an agent's files; if the config names none, OpenClaw's default in the state folder."""
    return str(folder(core.snapshot.merged, core.paths.state, agent))


def _row(agent: catalog.Agent) -> dict[str, Any]:
    row: dict[str, Any] = {"id": agent.id}
    row |= {"name": agent.name} if agent.name else {}
    row |= {"identity": agent.identity} if agent.identity else {}
    return row
