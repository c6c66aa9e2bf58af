"""Add, change and remove agents in a config's value. Pure.

They are in `agents.entries` by id, or in `agents.list` if the file has one, as OpenClaw wrote it before 2026.9.
"""

import copy
import re
from collections.abc import Callable
from typing import Any

from gateway.config import catalog
from gateway.config.catalog import MAIN
from gateway.config.include import KEY as INCLUDE
from gateway.config.tree import as_list, as_text, section

MAX_ID = 64
"""Characters of an agent's id."""
_NO_ID = re.compile(r"[^a-z0-9_-]+")


class Unfit(ValueError):
    """The change of the agents is not possible; `str()` says why."""


def id_of(name: str) -> str:
    """The id made from a name. Raises Unfit."""
    id = _NO_ID.sub("-", name.strip().lower()).strip("-")[:MAX_ID].strip("-")
    if not id:
        raise Unfit(f'Agent name "{name}" has no valid id characters. Use at least one letter a-z or digit.')
    return id


def add(value: dict[str, Any], id: str, entry: dict[str, Any]) -> dict[str, Any]:
    """The value with one more agent, and with the default agent marked. Raises Unfit."""
    if catalog.find_agent(value, id) is not None:
        raise Unfit(f'agent "{id}" already exists')
    new = _copied(value)
    if not any(each.key for each in catalog.agents(new)):
        _put(new, MAIN, {})
    _put(new, id, entry)
    _mark_default(new, catalog.default_id(value))
    return new


def change(value: dict[str, Any], id: str, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """The value with the agent's entry replaced by `edit(entry)`. Raises Unfit."""
    agent = _find(value, id)
    new = _copied(value)
    if not agent.key:
        _put(new, agent.id, edit({}))
    elif agent.key.startswith("agents.list"):
        listed = new["agents"]["list"]
        listed[:] = [edit(each) if each is _entry_of(new, id) else each for each in listed]
    else:
        entries = new["agents"]["entries"]
        name = _name_of(entries, id)
        entries[name] = edit(entries[name])
    return new


def remove(value: dict[str, Any], id: str) -> tuple[dict[str, Any], int]:
    """The value without the agent and its bindings, and the number of these. Raises Unfit."""
    agent = _find(value, id)
    if agent.id == catalog.default_id(value):
        raise Unfit(f'agent "{agent.id}" is the default agent and cannot be deleted')
    new = _copied(value)
    if agent.key.startswith("agents.list"):
        gone = _entry_of(new, id)
        new["agents"]["list"] = [each for each in new["agents"]["list"] if each is not gone]
    else:
        del new["agents"]["entries"][_name_of(new["agents"]["entries"], id)]
    bindings = as_list(new.get("bindings"))
    left = [each for each in bindings if not _binds(each, agent.id)]
    if len(left) < len(bindings):
        new["bindings"] = left
    return new, len(bindings) - len(left)


def _find(value: dict[str, Any], id: str) -> catalog.Agent:
    agent = catalog.find_agent(value, id)
    if agent is None:
        raise Unfit(f'agent "{id}" not found')
    return agent


def _copied(value: dict[str, Any]) -> dict[str, Any]:
    new = copy.deepcopy(value)
    agents = new.setdefault("agents", {})
    parts = [agents, *(agents.get(name) for name in ("entries", "list"))] if isinstance(agents, dict) else [agents]
    if not isinstance(agents, dict) or any(isinstance(part, dict) and INCLUDE in part for part in parts):
        raise Unfit("the agents stand in a file that the config includes, or are no object; edit that by hand")
    return new


def _put(value: dict[str, Any], id: str, entry: dict[str, Any]) -> None:
    agents = value["agents"]
    if as_list(agents.get("list")):
        agents["list"].append({"id": id, **entry})
    else:
        entries = agents.setdefault("entries", {})
        if not isinstance(entries, dict):
            raise Unfit("agents.entries is no object; edit it by hand")
        entries[id] = entry


def _mark_default(value: dict[str, Any], id: str) -> None:
    """OpenClaw accepts several agents only if one is marked as default, or `ownership` is set."""
    if "ownership" in value["agents"]:
        return
    found = catalog.agents(value)
    if len(found) > 1 and not any(each.entry.get("default") is True for each in found):
        next(each for each in found if each.id == id).entry["default"] = True


def _entry_of(value: dict[str, Any], id: str) -> dict[str, Any]:
    """The object itself in the list."""
    return next(each for each in value["agents"]["list"] if isinstance(each, dict) and _has_id(each.get("id"), id))


def _name_of(entries: dict[str, Any], id: str) -> str:
    return next(name for name in entries if _has_id(name, id))


def _has_id(name: Any, id: str) -> bool:
    plain = as_text(name)
    return plain is not None and catalog.agent_id(plain) == catalog.agent_id(id)


def _binds(binding: Any, id: str) -> bool:
    return isinstance(binding, dict) and _has_id(section({"x": binding}, "x").get("agentId"), id)
