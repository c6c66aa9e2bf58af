"""The models that answer for an agent, and the bounds of their runs.

wanted (a client's, a session's)  ─┐
agents.entries.<id>.model         ─┼▶ name ─▶ alias ─▶ provider/model ─▶ `providers.resolve` ─▶ `Model`
agents.defaults.model             ─┘
no name anywhere: the first model under models.providers, else the built-in echo
"""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from gateway.config import catalog, model_policy, old_keys, providers
from gateway.config.catalog import Agent
from gateway.config.providers import BUILTIN, ECHO, KNOWN, SUPPORTED
from gateway.config.serving import not_honoured
from gateway.config.substitute import Lookup, config_env
from gateway.config.tree import ConfigTree, Unusable, abbreviate, as_positive_int, as_text, section
from gateway.link.spec import Bounds, Model

MAX_MODEL = 512
"""Characters of a model's name: it is stored with a session, and every list of sessions contains it."""
MAX_TIMEOUT_S = 172_800
"""Seconds of a run: the most that a config may set, and the meaning of its 0. Two days, as in OpenClaw."""
THINKING = ("off", "minimal", "low", "medium", "high", "xhigh")
"""The levels of thinking."""
DEFAULT = "agents.defaults.model"


class ModelRef(Struct, frozen=True):
    """A model's full name."""

    provider: str
    id: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.id}"


def chain(tree: ConfigTree, env: Lookup, agent_id: str, wanted: str | None = None) -> list[Model]:
    """The models to try, in this order; at least one. Raises Unusable.

    A `wanted` model is used alone, so that a user who chose a model gets no other. Otherwise the models of the config
    are used without those that are unusable, which `problems` reports; Unusable is raised if none is left.
    """
    agent, lookup = _agent(tree, agent_id), environment(tree, env)
    if wanted:
        ref = parse(tree, "model", wanted, agent)
        named = [str(_parse_or_none(tree, *each, agent)) for each in _names(tree, agent)]
        model_policy.require_allowed(tree, agent, str(ref), named, aliases(tree, agent))
        return [_resolve(tree, ref, lookup)]
    for unclear in _why_no_echo(tree, [agent]):
        raise unclear
    found: list[Model] = []
    failed: list[Unusable] = []
    for place, name in _names(tree, agent):
        try:
            found.append(_resolve(tree, parse(tree, place, name, agent), lookup))
        except Unusable as error:
            failed.append(error)
    if not found:
        raise failed[0]
    unique: dict[tuple[str, str], Model] = {}
    for each in found:
        unique.setdefault((each.provider, each.id), each)
    return list(unique.values())


def refusal(tree: ConfigTree, env: Lookup, agent_id: str, wanted: str) -> str | None:
    """Why a session cannot have a model; None if it can."""
    if len(wanted) > MAX_MODEL:
        return f"its name is too long (max {MAX_MODEL})"
    try:
        chain(tree, env, agent_id, wanted)
    except Unusable as error:
        return str(error)
    return None


def parse(tree: dict[str, Any], place: str, name: str, agent: Agent | None = None) -> ModelRef:
    """The model of a name: an alias, a full name, or the id of a model that one provider lists. Raises Unusable.

    `place` is the key of the name, for the message.
    """
    plain = name.strip()
    if full := aliases(tree, agent).get(plain.lower()):
        plain = full
    provider, slash, id = (part.strip() for part in plain.partition("/"))
    if slash and provider and id:
        found = providers.find_provider(tree, provider)
        return ModelRef(found.name if found else provider.lower(), id)
    listed = [each.name for each in providers.providers(tree) for row in each.models() if as_text(row["id"]) == plain]
    if len(listed) == 1:
        return ModelRef(listed[0], plain)
    what = f'"{abbreviate(plain)}" names no provider'
    raise Unusable(place, what, 'write it as "provider/model", such as "openai/gpt-5.2"')


def aliases(tree: dict[str, Any], agent: Agent | None = None) -> dict[str, str]:
    """Alias in lower case -> full name of the model; an agent's own aliases win."""
    found: dict[str, str] = {}
    for models in (section(tree, "agents", "defaults", "models"), section(agent.entry if agent else {}, "models")):
        for name, entry in models.items():
            alias = as_text(entry.get("alias")) if isinstance(entry, dict) else None
            if alias and "/" in name:
                found[alias.lower()] = name
    return found


def default_model(tree: dict[str, Any], agent_id: str | None = None) -> ModelRef:
    """The model of a new session. A name without a known provider is returned with the provider ""."""
    agent = _agent(tree, agent_id or catalog.default_id(tree))
    place, name = next(_names(tree, agent))
    return _parse_or_none(tree, place, name, agent) or ModelRef("", name)


class Listed(Struct, frozen=True):
    """A model as a client chooses it."""

    ref: ModelRef
    name: str
    row: dict[str, Any]
    """Its entry in the config."""
    available: bool
    """Whether the config has all that a request needs. No request has been made."""
    tags: tuple[str, ...]
    """`default_model`, `fallback`: its part for the default agent."""


def list_models(tree: ConfigTree, env: Lookup) -> list[Listed]:
    """The models that the config lists, then those that it only names; the built-in echo if there are none."""
    agent, lookup = _agent(tree, catalog.default_id(tree)), environment(tree, env)
    named = [ref for place, name in _names(tree, agent) if (ref := _parse_or_none(tree, place, name, agent))]
    refs = [ModelRef(each.name, row["id"].strip()) for each in providers.providers(tree) for row in each.models()]
    refs += named
    refs += [ref for name in aliases(tree, agent).values() if (ref := _parse_or_none(tree, DEFAULT, name, agent))]
    return [_listed(tree, ref, lookup, named) for ref in dict.fromkeys(refs)]


def session_model(tree: dict[str, Any], agent_id: str, wanted: str | None) -> ModelRef:
    """The model of a session: `wanted` if it can be understood, otherwise the agent's."""
    agent = _agent(tree, agent_id)
    return (wanted and _parse_or_none(tree, "model", wanted, agent)) or default_model(tree, agent_id)


def thinking(tree: dict[str, Any], agent_id: str) -> str:
    """The default level of thinking for an agent."""
    agent = _agent(tree, agent_id)
    shared = section(tree, "agents", "defaults")
    wanted = [as_text(entry.get("thinkingDefault")) for entry in (agent.entry, shared)]
    return next((level for level in wanted if level in THINKING), "off")


def reasons(tree: dict[str, Any], ref: ModelRef) -> bool:
    """Whether the config says that a model can think."""
    return _row(tree, ref).get("reasoning") is True


def window(tree: dict[str, Any], ref: ModelRef) -> int | None:
    """Tokens of a model's context window; None if the config does not say it."""
    own = as_positive_int(section(tree, "agents", "defaults").get("contextTokens"))
    row = _row(tree, ref)
    return own or as_positive_int(row.get("contextTokens")) or as_positive_int(row.get("contextWindow"))


def bounds(tree: ConfigTree) -> Bounds:
    """The bounds of a run for all providers (`Model` has more). Invalid values are ignored."""
    wanted = section(tree, "agents", "defaults").get("timeoutSeconds")
    return Bounds(timeout_ms=_milliseconds(wanted, Bounds().timeout_ms))


def problems(tree: ConfigTree, env: Lookup) -> list[str]:
    """A sentence for each model of an agent that cannot be used."""
    lookup = environment(tree, env)
    found: list[str] = []
    agents = catalog.agents(tree)
    # Old keys are reported by `key_review`, with their line.
    found += [str(each) for each in _why_no_echo(tree, agents) if each.way_out != old_keys.MIGRATE_COMMAND]
    for agent in agents:
        for place, name in _names(tree, agent):
            try:
                _resolve(tree, parse(tree, place, name, agent), lookup)
            except Unusable as error:
                found.append(str(error) if error.key == place else f"{place}: {error}")
    for provider in providers.providers(tree):
        found += not_honoured(provider.key, provider.entry)
    return list(dict.fromkeys(found))


def environment(tree: ConfigTree, env: Lookup) -> Lookup:
    """The environment, then the config's own `env` section."""
    own = config_env(tree)
    return lambda name: env(name) or own.get(name)


def _agent(tree: dict[str, Any], id: str) -> Agent:
    """An agent that is not in the config has the defaults."""
    return catalog.find_agent(tree, id) or Agent(id, None, {}, None, catalog.default_models(tree))


def _names(tree: dict[str, Any], agent: Agent) -> Iterator[tuple[str, str]]:
    """(key, name) of an agent's models in the config; at least one."""
    if agent.models:
        place = f"{agent.key}.model" if isinstance(agent.entry.get("model"), str | dict) else DEFAULT
        yield from ((place, name) for name in agent.models)
        return
    listed = (f"{each.name}/{as_text(row['id'])}" for each in providers.providers(tree) for row in each.models())
    yield DEFAULT, next(listed, f"{BUILTIN}/{ECHO}")


def _why_no_echo(tree: ConfigTree, agents: Iterable[Agent]) -> Iterator[Unusable]:
    """Why the echo must not answer for agents without a model: the config means to name one."""
    if any(row for each in providers.providers(tree) for row in each.models()):
        return
    shared: list[Unusable | None] = []
    for agent in agents:
        if not agent.models:
            shared = shared or [model_policy.why_no_echo(tree)]  # once, however many there are
            if problem := model_policy.misspelt(agent.entry, agent.key) or shared[0]:
                yield problem


def _resolve(tree: ConfigTree, ref: ModelRef, env: Lookup) -> Model:
    if ref.provider == BUILTIN:
        return providers.echo(tree, ref.id)
    provider = providers.find_provider(tree, ref.provider)
    if provider is None:
        known = ", ".join(name for name, each in KNOWN.items() if each.api in SUPPORTED)
        what = f'there is no provider "{abbreviate(ref.provider)}"'
        raise Unusable(f"models.providers.{abbreviate(ref.provider)}", what, f"add it there, or use one of {known}")
    return providers.resolve(provider, ref.id, env)


def _parse_or_none(tree: dict[str, Any], place: str, name: str, agent: Agent) -> ModelRef | None:
    try:
        return parse(tree, place, name, agent)
    except Unusable:
        return None


def _listed(tree: ConfigTree, ref: ModelRef, env: Lookup, named: list[ModelRef]) -> Listed:
    row = _row(tree, ref)
    try:
        _resolve(tree, ref, env)
        available = True
    except Unusable:
        available = False
    tags = ("default",) if ref in named[:1] else ("fallback",) if ref in named else ()
    return Listed(ref, as_text(row.get("name")) or ref.id, row, available, tags)


def _row(tree: dict[str, Any], ref: ModelRef) -> dict[str, Any]:
    provider = providers.find_provider(tree, ref.provider)
    return next((row for row in provider.models() if as_text(row["id"]) == ref.id), {}) if provider else {}


def _milliseconds(seconds: Any, usual: int) -> int:
    if seconds == 0 and not isinstance(seconds, bool):
        return MAX_TIMEOUT_S * 1000
    wanted = as_positive_int(seconds)
    return min(wanted, MAX_TIMEOUT_S) * 1000 if wanted else usual
