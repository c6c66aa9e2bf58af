"""Agents and models as the config file names them: sections that this gateway shows and does not use yet.

They are not in `schema`, so nothing has validated them: whatever stands there, a reader gets only well-formed parts.
"""

from dataclasses import dataclass
from typing import Any

MAIN = "main"
GLOBAL = "global"
ASSISTANT, AVATAR = "Assistant", "A"
"""What a page shows for an agent that nobody has named."""


@dataclass(frozen=True)
class Agent:
    id: str
    name: str | None
    identity: dict[str, str]
    """Of name, theme, emoji and avatar what is set."""
    workspace: str | None
    model: str | None
    """`provider/model`, its own or the default of all agents."""


@dataclass(frozen=True)
class Model:
    provider: str
    id: str
    name: str
    context_window: int | None
    reasoning: bool | None
    input: tuple[str, ...]
    has_key: bool

    @property
    def ref(self) -> str:
        return f"{self.provider}/{self.id}"


@dataclass(frozen=True)
class Defaults:
    """Who answers a client that names nobody, and where: what every hello and every `health` says of the config."""

    agent: str
    agents: tuple[str, ...]
    """All of them, in the order of the file."""
    main_key: str
    scope: str
    """`per-sender` or `global`."""
    has_model: bool

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
        has_model=any(each.model for each in found if each.id == first),
    )


def main_key(tree: dict[str, Any]) -> str:
    """The last part of the main session's key."""
    return (_text(section(tree, "session").get("mainKey")) or MAIN).lower()


def assistant(tree: dict[str, Any], id: str) -> tuple[str | None, str | None]:
    """Name and avatar that a page shows for an agent: those of `ui.assistant`, else its own; None for what is unset."""
    shared = section(tree, "ui", "assistant")
    agent = next((each for each in agents(tree) if each.id == id), None)
    own = agent.identity if agent else {}
    name = _text(shared.get("name")) or own.get("name") or (agent.name if agent else None)
    return name, _text(shared.get("avatar")) or own.get("avatar") or own.get("emoji")


def agents(tree: dict[str, Any]) -> tuple[Agent, ...]:
    """At least one: a config without a list has the agent `main`. The default agent is not always the first."""
    entries = [each for each in _listed(tree) if _text(each.get("id"))]
    shared = _model(section(tree, "agents", "defaults").get("model"))
    first = default_id(tree)
    workspace = _text(section(tree, "agents", "defaults").get("workspace"))
    found: dict[str, Agent] = {}
    for entry in entries or [{"id": MAIN}]:
        id = entry["id"].strip().lower()
        identity = {key: text for key in ("name", "theme", "emoji", "avatar") if (text := _part(entry, key))}
        own = _text(entry.get("workspace")) or (workspace if id == first else None)
        found.setdefault(id, Agent(id, _text(entry.get("name")), identity, own, _model(entry.get("model")) or shared))
    return tuple(found.values())


def default_id(tree: dict[str, Any]) -> str:
    entries = [each for each in _listed(tree) if _text(each.get("id"))]
    marked = [each for each in entries if each.get("default") is True]
    chosen = next(iter([*marked, *entries]), {"id": MAIN})
    return str(chosen["id"]).strip().lower()


def models(tree: dict[str, Any]) -> tuple[Model, ...]:
    """Those of `models.providers`, in the order of the file."""
    return tuple(
        Model(
            provider=provider,
            id=row["id"],
            name=_text(row.get("name")) or row["id"],
            context_window=_whole(row.get("contextWindow")),
            reasoning=row["reasoning"] if isinstance(row.get("reasoning"), bool) else None,
            input=tuple(each for each in _rows(row.get("input")) if isinstance(each, str)),
            has_key=bool(entry.get("apiKey")),
        )
        for provider, entry in section(tree, "models", "providers").items()
        if isinstance(entry, dict)
        for row in _rows(entry.get("models"))
        if isinstance(row, dict) and _text(row.get("id"))
    )


def providers_with_key(tree: dict[str, Any]) -> tuple[str, ...]:
    """Those of `models.providers` that have an `apiKey`, in the order of the file."""
    entries = section(tree, "models", "providers").items()
    return tuple(name for name, entry in entries if isinstance(entry, dict) and entry.get("apiKey"))


def default_model(tree: dict[str, Any]) -> tuple[str | None, str | None, int | None]:
    """Provider, model and context window of the model that a new session would get; None for what the file leaves."""
    ref = next((each.model for each in agents(tree) if each.id == default_id(tree)), None)
    if ref is None:
        return None, None, None
    provider, slash, model = ref.partition("/")
    window = next((each.context_window for each in models(tree) if each.ref == ref), None)
    own = _whole(section(tree, "agents", "defaults").get("contextTokens"))
    return (provider, model, own or window) if slash else (None, ref, own)


def section(tree: dict[str, Any], *path: str) -> dict[str, Any]:
    """{} where there is none, or where something else stands."""
    found: Any = tree
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _listed(tree: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in _rows(section(tree, "agents").get("list")) if isinstance(each, dict)]


def _part(entry: dict[str, Any], key: str) -> str | None:
    return _text(section(entry, "identity").get(key))


def _model(value: Any) -> str | None:
    """It is written as a name, or as an object with `primary`."""
    return _text(value.get("primary") if isinstance(value, dict) else value)


def _rows(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
