"""The models that may be chosen besides those of the config, and names of models that cannot be understood. Pure."""

from collections.abc import Mapping
from typing import Any

from gateway.config import old_keys
from gateway.config.catalog import Agent
from gateway.config.parse import dotted
from gateway.config.providers import BUILTIN
from gateway.config.tree import ConfigTree, Unusable, abbreviate, as_list, as_text, section

_SHARED = "agents.defaults"


def require_allowed(
    tree: ConfigTree, agent: Agent, name: str, configured: list[str], aliases: Mapping[str, str]
) -> None:
    """Raises Unusable for a model that `modelPolicy.allow` does not allow.

    An agent's own policy replaces the shared one; an empty one allows all models. Entries are full
    names, aliases, or beginnings such as `openai/*`.
    """
    place = agent.key if "modelPolicy" in agent.entry else _SHARED
    policy = section(agent.entry if place == agent.key else section(tree, "agents", "defaults"), "modelPolicy")
    allowed = [as_text(each) for each in as_list(policy.get("allow"))]
    if not allowed or name in configured:
        return
    if not any(each and _fits(aliases.get(each.lower(), each), name) for each in allowed):
        what = f'it does not let "{abbreviate(name)}" answer'
        raise Unusable(f"{place}.modelPolicy.allow", what, "add it there, or choose another model")


def why_no_echo(tree: ConfigTree) -> Unusable | None:
    """Why the echo must not answer for a config without a model: it means to name one. None: it may."""
    if problem := misspelt(section(tree, "agents", "defaults"), _SHARED):
        return problem
    old = old_keys.old_model_key(tree)
    if old:
        return Unusable(dotted(old.path), str(old), old_keys.MIGRATE_COMMAND)
    for name in section(tree, "models", "providers"):
        if name != BUILTIN:
            way_out = f'list models there, or set {_SHARED}.model to "{abbreviate(name)}/…"'
            return Unusable(f"models.providers.{abbreviate(name)}", "it lists no model", way_out)
    return None


def misspelt(entry: dict[str, Any], place: str) -> Unusable | None:
    """An error for a value of `model` that names no model; None if there is no value."""
    if entry.get("model") in (None, "", {}):
        return None
    return Unusable(f"{place}.model", "it names no model", 'write it as "provider/model"')


def _fits(allowed: str, name: str) -> bool:
    return name.startswith(allowed[:-1]) if allowed.endswith("/*") else allowed.lower() == name.lower()
