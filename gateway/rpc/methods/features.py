"""Features of OpenClaw that this gateway does not have and that its pages ask for: each answer says that they are off.

Without an answer a page shows an error where it could say that there is nothing.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config import catalog, models
from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import ADMIN, READ
from gateway.rpc.core import Core
from gateway.rpc.methods.agents import find, workspace
from gateway.rpc.methods.work import Text
from gateway.rpc.registry import Call, method

THEMES = {
    **{"claw": "Claw", "knot": "Knot", "dash": "Dash", "absolutely": "Absolutely", "tide": "Tide", "beacon": "Beacon"},
    **{"phosphor": "Phosphor", "crt": "CRT", "manuscript": "Manuscript", "rose": "Rosé", "miami": "Miami"},
}
"""Those that the pages of 2026.9.6 have in themselves; they offer only what the gateway lists."""
PROFILES = {"minimal": "Minimal", "coding": "Coding", "messaging": "Messaging", "full": "Full"}
"""Sets of OpenClaw's own tools, whose place a page shows though there are none."""
NO_MEMORY = "this gateway keeps no memory"
NO_SEARCH = "Not available on this gateway"


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


class Plugins(Struct, rename="camel"):
    plugins: list[dict[str, Any]]
    diagnostics: list[Any]
    mutation_allowed: bool


class BrowseParams(Params, frozen=True):
    query: Annotated[str, Meta(max_length=200)] | None = None
    search_source: str | None = None
    intent: Literal["all", "bundled", "trending", "official", "featured"] | None = None
    category: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    cursor: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    page_size: Annotated[int, Meta(ge=1, le=100)] | None = None


class Catalog(Struct):
    items: list[dict[str, Any]]


class TalkParams(Params, frozen=True):
    provider: Text | None = None
    model: Text | None = None


class TalkCatalog(Struct):
    modes: list[str]
    transports: list[str]
    brains: list[str]
    speech: dict[str, Any]
    transcription: dict[str, Any]
    realtime: dict[str, Any]


class Themes(Struct):
    current: dict[str, Any]
    theme: dict[str, Any]
    themes: list[dict[str, Any]]


class GitHubParams(Params, frozen=True):
    agent_id: Text
    selected_scope: Literal["agent", "system"]


class GitHubIdentity(Struct, rename="camel"):
    agent_id: str
    selected_scope: str
    selected: dict[str, Any]
    effective: dict[str, Any]


class TranscriptsParams(Params, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: str | None = None
    query: str | None = None
    provider_id: str | None = None
    account_id: str | None = None
    agent_id: str | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None


class Transcripts(Struct, rename="camel"):
    sessions: list[dict[str, Any]]
    next_cursor: str | None


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


@method("plugins.list", NoParams, Plugins, scope=READ, since=4)
def plugins_list(call: Call, params: NoParams) -> Plugins:
    """Plugins, installed or to be had: none, and none can be added."""
    return Plugins([], [], False)


@method("plugins.catalog.browse", BrowseParams, Catalog, scope=READ, since=4)
def plugins_catalog_browse(call: Call, params: BrowseParams) -> Catalog:
    """Plugins in a public registry: this gateway asks none, so it finds none."""
    return Catalog([])


@method("talk.catalog", TalkParams, TalkCatalog, scope=READ, since=4)
def talk_catalog(call: Call, params: TalkParams) -> TalkCatalog:
    """Ways to speak with an agent: none."""
    off = {"ready": False, "providers": []}
    return TalkCatalog([], [], [], {"providers": []}, off, off)


@method("themes.list", NoParams, Themes, scope=READ, since=4)
def themes_list(call: Call, params: NoParams) -> Themes:
    """The themes that a page has in itself. The gateway adds none and keeps no choice, so the first one is in force."""
    rows = [
        {"id": id, "name": name, "description": "", "source": "builtin", "modes": ["light", "dark"]}
        for id, name in THEMES.items()
    ]
    return Themes({"id": rows[0]["id"], "mode": "system", "scope": "gateway", "overrides": {}}, rows[0], rows)


@method("doctor.memory.status", AgentIdParams, MemoryStatus, scope=READ)
def doctor_memory_status(call: Call, params: AgentIdParams) -> MemoryStatus:
    """An agent's memory: it has none."""
    agent = _agent(call.core, params.agent_id).id
    if call.peer.protocol < 4:
        return MemoryStatus(agent, {"ok": False, "error": NO_MEMORY})
    embedding = {"ok": False, "checked": False, "error": NO_MEMORY}
    return MemoryStatus(agent, embedding, "none", False)


@method("tools.catalog", CatalogParams, ToolCatalog, scope=READ)
def tools_catalog(call: Call, params: CatalogParams) -> ToolCatalog:
    """The tools that an agent is born with: none. Those of MCP servers are known when a run has started them."""
    profiles = [{"id": id, "label": label} for id, label in PROFILES.items()]
    return ToolCatalog(_agent(call.core, params.agent_id).id, profiles, [])


@method("migrations.memory.plan", ImportParams, ImportPlan, scope=ADMIN, since=4)
def migrations_memory_plan(call: Call, params: ImportParams) -> ImportPlan:
    """What could be taken over from other assistants: this gateway looks at none."""
    agent = _agent(call.core, params.agent_id)
    return ImportPlan(agent.id, workspace(call.core, agent.id), [])


@method("tools.github.status", GitHubParams, GitHubIdentity, scope=READ, since=4)
def tools_github_status(call: Call, params: GitHubParams) -> GitHubIdentity:
    """The GitHub account that agents use: none is configured and none is looked for."""
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


@method("transcripts.list", TranscriptsParams, Transcripts, scope=READ, since=4)
def transcripts_list(call: Call, params: TranscriptsParams) -> Transcripts:
    """Recorded meetings: none, whatever the filter."""
    return Transcripts([], None)


@method("webSearch.status", WebSearchParams, WebSearch, scope=READ, since=4)
def web_search_status(call: Call, params: WebSearchParams) -> WebSearch:
    """How agents search the Web: they do not."""
    ref = models.default(call.core.tree)
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
