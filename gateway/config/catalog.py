"""The agents of the config. `models` has their models.

The section is not in `schema`, so nothing has validated it: parts of a wrong type are ignored.
"""

import re
from typing import Any

from msgspec import Struct

from gateway.config.tree import as_list, as_text, section

MAIN = "main"
GLOBAL = "global"
MAX_AGENT_ID = 64
_AGENT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_NO_ID = re.compile(r"[^a-z0-9_-]+")
ASSISTANT, AVATAR = "Assistant", "A"
"""Shown by a page for an agent without a name."""


class Agent(Struct, frozen=True):
    id: str
    name: str | None
    identity: dict[str, str]
    """Those of name, theme, emoji and avatar that are set."""
    workspace: str | None
    models: tuple[str, ...]
    """Names of its models in the order of trying, its own or those of all agents; () if the file names none."""
    entry: dict[str, Any] = {}
    """Its whole entry in the file."""
    key: str = ""
    """The dotted key of `entry`; "" if there is none."""


class Defaults(Struct, frozen=True):
    """The default agent and session, as every hello and every `health` has them."""

    agent: str
    agents: tuple[str, ...]
    """Ids of all agents, in the order of the file."""
    main_key: str
    scope: str
    """`per-sender` or `global`."""

    @property
    def main_session(self) -> str:
        return self.scope if self.scope == GLOBAL else f"agent:{self.agent}:{self.main_key}"

    @property
    def ownership(self) -> str:
        return "sole" if len(self.agents) == 1 else "legacy"


def defaults(tree: dict[str, Any]) -> Defaults:
    found = agents(tree)
    first = default_id(tree)
    return Defaults(
        agent=first,
        agents=tuple(each.id for each in found),
        main_key=main_key(tree),
        scope=GLOBAL if section(tree, "session").get("scope") == GLOBAL else "per-sender",
    )


def main_session(tree: dict[str, Any], agent: str) -> str:
    """The key of an agent's main session."""
    shared = section(tree, "session").get("scope") == GLOBAL
    return GLOBAL if shared else f"agent:{agent}:{main_key(tree)}"


def main_key(tree: dict[str, Any]) -> str:
    """The last part of the main session's key."""
    return (as_text(section(tree, "session").get("mainKey")) or MAIN).lower()


def assistant(tree: dict[str, Any], id: str) -> tuple[str | None, str | None]:
    """Name and avatar that a page shows for an agent: those of `ui.assistant`, else its own; None if unset."""
    shared = section(tree, "ui", "assistant")
    agent = find_agent(tree, id)
    own = agent.identity if agent else {}
    name = as_text(shared.get("name")) or own.get("name") or (agent.name if agent else None)
    return name, as_text(shared.get("avatar")) or own.get("avatar") or own.get("emoji")


def agents(tree: dict[str, Any]) -> tuple[Agent, ...]:
    """All agents; a config without any has the agent `main`. The default agent is not always the first."""
    shared = section(tree, "agents", "defaults")
    first = default_id(tree)
    found: dict[str, Agent] = {}
    for key, id, entry in _listed(tree) or [("", MAIN, {})]:
        identity = {key: part for key in ("name", "theme", "emoji", "avatar") if (part := _part(entry, key))}
        workspace = as_text(entry.get("workspace")) or (as_text(shared.get("workspace")) if id == first else None)
        names = _models(entry.get("model"), shared.get("model"))
        found.setdefault(id, Agent(id, as_text(entry.get("name")), identity, workspace, names, entry, key))
    return tuple(found.values())


def agent_id(name: str) -> str:
    """The id of an agent with this name, as OpenClaw makes it: it names folders, and is a part of session keys."""
    plain = name.strip().lower()
    if _AGENT_ID.fullmatch(plain):
        return plain
    return _NO_ID.sub("-", plain).strip("-")[:MAX_AGENT_ID] or MAIN


def find_agent(tree: dict[str, Any], id: str) -> Agent | None:
    """The agent with an id, or with a name in the config; None if there is none."""
    plain = id.strip().lower()
    wanted = agent_id(plain) if _NO_ID.sub("", plain) else plain
    return next((each for each in agents(tree) if each.id == wanted), None)


def default_models(tree: dict[str, Any]) -> tuple[str, ...]:
    """The models of an agent without own models, in the order of trying."""
    return _models(None, section(tree, "agents", "defaults").get("model"))


def default_id(tree: dict[str, Any]) -> str:
    """The agent that is marked as default, else the first, else `main`."""
    listed = _listed(tree)
    marked = [id for _, id, entry in listed if entry.get("default") is True]
    return next(iter([*marked, *(id for _, id, _ in listed)]), MAIN)


def _listed(tree: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(key, id, entry) of `agents.entries.<id>` and of the older `agents.list[]`."""
    listed = [
        *((f"agents.entries.{id}", id, each) for id, each in section(tree, "agents", "entries").items()),
        *(
            (f"agents.list[{index}]", each.get("id"), each)
            for index, each in enumerate(as_list(section(tree, "agents").get("list")))
            if isinstance(each, dict)
        ),
    ]
    return [
        (key, agent_id(id), each) for key, named, each in listed if isinstance(each, dict) and (id := as_text(named))
    ]


def _part(entry: dict[str, Any], key: str) -> str | None:
    return as_text(section(entry, "identity").get(key))


def _models(own: Any, shared: Any) -> tuple[str, ...]:
    """A model is a name, or an object with `primary` and `fallbacks`. An agent with its own primary inherits no
    fallbacks (OpenClaw's docs/concepts/model-failover.md); otherwise each of the two is inherited."""
    first = _primary(own) or _primary(shared)
    sources = (own,) if _primary(own) else (own, shared)
    listed = [value["fallbacks"] for value in sources if isinstance(value, dict) and "fallbacks" in value]
    names = [first, *(as_text(each) for each in as_list(next(iter(listed), None)))]
    return tuple(dict.fromkeys(name for name in names if name))


def _primary(value: Any) -> str | None:
    return as_text(value.get("primary") if isinstance(value, dict) else value)
