"""The target of a request of OpenAI's API: the agent, the model and the session that its headers and `model` name."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config import catalog, models
from gateway.config.tree import ConfigTree, Unusable
from gateway.protocol.params import cut
from gateway.rpc.core import Core
from gateway.sessions.keys import BadKey
from gateway.web.openai.requests import BadRequest

DEFAULTS = ("openclaw", "openclaw/default")
INVALID_MODEL = "Invalid `model`. Use `openclaw` or `openclaw/<agentId>`."
MAX_NAMED = 20
"""How many agents an error names."""
_AGENT = re.compile(r"(?:openclaw[:/]|agent:)([a-z0-9][a-z0-9_-]{0,63})", re.I)
_RESERVED = re.compile(r"(agent:[^:]*:)?(subagent|cron|acp):", re.I)


@dataclass(frozen=True)
class RunTarget:
    agent: str
    model: str | None
    """`provider/model`; None: the agent's."""
    session: str
    keeps: bool
    """Whether the session stays, with its messages."""


def target(core: Core, headers: Mapping[str, str], model: str, user: str | None) -> RunTarget:
    """`user`: the request's field. Raises BadRequest."""
    named, wanted = _named(core, model)
    named = (headers.get("x-openclaw-agent-id") or headers.get("x-openclaw-agent") or "").strip() or named
    agent = _known(core.tree, named) if named else catalog.default_id(core.tree)
    asked, user = headers.get("x-openclaw-session-key", "").strip(), (user or "").strip()
    if asked:
        session = _session(core, asked, agent)
        owner = core.conversations.sessions.agent(session)
        if named and owner != agent:
            raise BadRequest(f"`x-openclaw-session-key` names a session of agent '{cut(owner)}'.")
        agent = owner
    else:
        session = _key(core, f"agent:{agent}:" + (f"openai-user:{user}" if user else f"openai:{uuid.uuid4()}"))
    wanted = headers.get("x-openclaw-model", "").strip() or wanted
    if wanted:
        try:
            models.chain(core.tree, core.env, agent, wanted)
        except Unusable as error:
            raise BadRequest(f"Invalid model: {error}") from None
    return RunTarget(agent, wanted, session, keeps=bool(asked or user))


def names(core: Core) -> list[tuple[str, str]]:
    """Values of `model` and their owners: the agents, then the models of the config that can be used."""
    agents = [f"openclaw/{each.id}" for each in catalog.agents(core.tree)]
    found = [(name, "openclaw") for name in dict.fromkeys((*DEFAULTS, *agents))]
    return found + [
        (str(each.ref), each.ref.provider) for each in models.list_models(core.tree, core.env) if each.available
    ]


def _named(core: Core, model: str) -> tuple[str | None, str | None]:
    """The agent and the model that `model` names; None for what the config decides. Raises BadRequest."""
    name = model.strip()
    if not name or name.lower() in DEFAULTS:
        return None, None
    if found := _AGENT.fullmatch(name):
        return found[1], None
    if name in (each for each, _ in names(core)):
        return None, name
    raise BadRequest(INVALID_MODEL)


def _known(tree: ConfigTree, id: str) -> str:
    found = catalog.find_agent(tree, id)
    if found is not None:
        return found.id
    if id.lower() == catalog.MAIN:
        return catalog.default_id(tree)  # a client's name for the agent that is always there
    known = ", ".join(each.id for each in catalog.agents(tree)[:MAX_NAMED])
    raise BadRequest(f"Unknown agent '{cut(id)}'. This gateway has: {known}.")


def _session(core: Core, asked: str, agent: str) -> str:
    """The session's canonical key. A key without an agent belongs to `agent`. Raises BadRequest."""
    if _RESERVED.match(asked):
        raise BadRequest("`x-openclaw-session-key` cannot use reserved internal session namespaces.")
    whole = asked.lower().startswith("agent:") or agent == catalog.default_id(core.tree)
    return _key(core, asked if whole else f"agent:{agent}:{asked}")


def _key(core: Core, text: str) -> str:
    try:
        return core.conversations.sessions.key(text)
    except BadKey as error:
        raise BadRequest(f"Invalid session: {error}") from None
