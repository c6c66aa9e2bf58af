"""Skills: where they would lie. None is loaded by this gateway, none is shared, proposed, or looked for elsewhere."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.params import Params
from gateway.protocol.scopes import READ
from gateway.rpc.methods.agents import find, owner, workspace
from gateway.rpc.registry import Call, method

_NEVER = "1970-01-01T00:00:00.000Z"
_MOST_SELECTED = 64
"""As in OpenClaw; a page reads it even where there is nothing to select."""


class SkillsParams(Params, frozen=True):
    agent_id: str | None = None
    session_key: str | None = None


class Skills(Struct, rename="camel"):
    workspace_dir: str
    managed_skills_dir: str
    skills: list[dict[str, Any]]
    agent_id: str | UnsetType = UNSET


class LibraryParams(Params, frozen=True):
    session_key: str | None = None
    scope: Literal["mine", "team", "all"] | None = None


class Library(Struct, rename="camel"):
    entries: list[dict[str, Any]]
    profile_id: str | None
    multiple_profiles: bool
    default_target: str
    can_manage_workspace: bool
    default_selection_limit: int


class ProposalsParams(Params, frozen=True):
    agent_id: str | None = None


class Proposals(Struct, rename="camel"):
    schema: str
    updated_at: str
    proposals: list[dict[str, Any]]
    installed_skills: list[dict[str, Any]]


class SearchParams(Params, frozen=True):
    query: Annotated[str, Meta(min_length=1)] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] | None = None


class SkillsFound(Struct):
    results: list[dict[str, Any]]


@method("skills.status", SkillsParams, Skills, scope=READ)
def skills_status(call: Call, params: SkillsParams) -> Skills:
    """Where skills would lie; none is loaded by this gateway."""
    tree = call.core.snapshot.merged
    agent = find(tree, params.agent_id or owner(tree, params.session_key or ""))
    answer = Skills(workspace(call.core, agent.id), str(call.core.paths.state / "skills"), [])
    if call.peer.protocol >= 4:
        answer.agent_id = agent.id
    return answer


@method("skills.library.list", LibraryParams, Library, scope=READ, since=4)
def skills_library_list(call: Call, params: LibraryParams) -> Library:
    """Skills that were saved to be shared: none, and none can be."""
    return Library([], None, False, "workspace", False, _MOST_SELECTED)


@method("skills.proposals.list", ProposalsParams, Proposals, scope=READ, since=4)
def skills_proposals_list(call: Call, params: ProposalsParams) -> Proposals:
    """Skills that an agent has proposed: none."""
    return Proposals("openclaw.skill-workshop.proposals-manifest.v1", _NEVER, [], [])


@method("skills.search", SearchParams, SkillsFound, scope=READ, since=4)
def skills_search(call: Call, params: SearchParams) -> SkillsFound:
    """Skills in a public registry: this gateway asks none, so it finds none."""
    return SkillsFound([])
