"""Features of agents that this gateway does not have: each answer names the agent and says that the feature is off.

Answers that name no agent are in `absent`.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from gateway.config import catalog, models
from gateway.protocol.params import Params
from gateway.protocol.scopes import ADMIN, READ
from gateway.rpc.core import Core
from gateway.rpc.methods.absent import Text
from gateway.rpc.methods.agents import find, owner, workspace
from gateway.rpc.registry import Call, method

PROFILES = {"minimal": "Minimal", "coding": "Coding", "messaging": "Messaging", "full": "Full"}
"""Sets of OpenClaw's own tools. Pages show a place for them, although there are none."""
NO_MEMORY = "this gateway keeps no memory"
NO_SEARCH = "Not available on this gateway"


class SkillsParams(Params, frozen=True):
    agent_id: str | None = None
    session_key: str | None = None


class Skills(Struct, rename="camel"):
    workspace_dir: str
    managed_skills_dir: str
    skills: list[dict[str, Any]]
    agent_id: str | UnsetType = UNSET


class AgentIdParams(Params, frozen=True):
    agent_id: Text | None = None
    probe: bool = False


class MemoryStatus(Struct, rename="camel"):
    agent_id: str
    embedding: dict[str, Any]
    provider: str | UnsetType = UNSET
    search_runtime_registered: bool | UnsetType = UNSET


class CatalogParams(Params, frozen=True):
    agent_id: Text | None = None
    include_plugins: bool = True


class ToolCatalog(Struct, rename="camel"):
    agent_id: str
    profiles: list[dict[str, str]]
    groups: list[dict[str, Any]]


class ImportParams(Params, frozen=True):
    agent_id: Text
    overwrite: bool = False


class ImportPlan(Struct, rename="camel"):
    agent_id: str
    workspace: str
    providers: list[dict[str, Any]]


class GitHubParams(Params, frozen=True):
    agent_id: Text
    selected_scope: Literal["agent", "system"]


class GitHubIdentity(Struct, rename="camel"):
    agent_id: str
    selected_scope: str
    selected: dict[str, Any]
    effective: dict[str, Any]


class WebSearchParams(Params, frozen=True):
    agent_id: Text | None = None
    model_provider: Text | None = None
    model_id: Text | None = None


class WebSearch(Struct, rename="camel"):
    enabled: bool
    provider: str | None
    agent_id: str
    model: dict[str, str]
    route: dict[str, Any]
    providers: list[dict[str, Any]]


@method("skills.status", SkillsParams, Skills, scope=READ)
def skills_status(call: Call, params: SkillsParams) -> Skills:
    """The folders of skills. This gateway loads none."""
    tree = call.core.snapshot.merged
    agent = find(tree, params.agent_id or owner(tree, params.session_key or ""))
    answer = Skills(workspace(call.core, agent.id), str(call.core.paths.state / "skills"), [])
    if call.peer.protocol >= 4:
        answer.agent_id = agent.id
    return answer


@method("doctor.memory.status", AgentIdParams, MemoryStatus, scope=READ)
def doctor_memory_status(call: Call, params: AgentIdParams) -> MemoryStatus:
    """The memory of an agent: none."""
    agent = _agent(call.core, params.agent_id).id
    if call.peer.protocol < 4:
        return MemoryStatus(agent, {"ok": False, "error": NO_MEMORY})
    embedding = {"ok": False, "checked": False, "error": NO_MEMORY}
    return MemoryStatus(agent, embedding, "none", False)


@method("tools.catalog", CatalogParams, ToolCatalog, scope=READ)
def tools_catalog(call: Call, params: CatalogParams) -> ToolCatalog:
    """The built-in tools of an agent: none. Tools of MCP servers are known when a run has started the servers."""
    profiles = [{"id": id, "label": label} for id, label in PROFILES.items()]
    return ToolCatalog(_agent(call.core, params.agent_id).id, profiles, [])


@method("migrations.memory.plan", ImportParams, ImportPlan, scope=ADMIN, since=4)
def migrations_memory_plan(call: Call, params: ImportParams) -> ImportPlan:
    """Data of other assistants that could be imported: this gateway looks for none."""
    agent = _agent(call.core, params.agent_id)
    return ImportPlan(agent.id, workspace(call.core, agent.id), [])


@method("tools.github.status", GitHubParams, GitHubIdentity, scope=READ, since=4)
def tools_github_status(call: Call, params: GitHubParams) -> GitHubIdentity:
    """The GitHub account of agents: none is configured, and none is looked for."""
    effective: dict[str, Any] = {
        "source": "system-detected",
        "credentialKind": "native",
        "credentialState": "unavailable",
        "account": None,
        "gitAuthor": {"name": None, "email": None},
        "evidence": "none",
        "accessExpiresAtMs": None,
        "refreshState": "not_applicable",
        "oauthScopes": [],
        "repositoryGrants": "unknown",
    }
    selected = {"scope": params.selected_scope, "configured": False, "identity": None}
    return GitHubIdentity(_agent(call.core, params.agent_id).id, params.selected_scope, selected, effective)


@method("webSearch.status", WebSearchParams, WebSearch, scope=READ, since=4)
def web_search_status(call: Call, params: WebSearchParams) -> WebSearch:
    """The web search of agents: none."""
    ref = models.default_model(call.core.tree)
    used = {
        "provider": params.model_provider or ref.provider,
        "id": params.model_id or ref.id,
        "runtime": "unknown",
    }
    route = {"kind": "unavailable", "label": NO_SEARCH, "testable": False}
    return WebSearch(False, None, _agent(call.core, params.agent_id).id, used, route, [])


def _agent(core: Core, asked: str | None) -> catalog.Agent:
    tree = core.snapshot.merged
    return find(tree, asked or catalog.default_id(tree))
