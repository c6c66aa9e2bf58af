"""Another agent, other words, one less: what the methods do with it is in their tests."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import agent_edit, catalog
from gateway.config.agent_edit import MAX_ID, Unfit


@pytest.mark.parametrize(
    ("name", "id"),
    [("My Helper", "my-helper"), (" Ünï codé ", "n-cod"), ("a_b-1", "a_b-1"), ("x" * (MAX_ID + 1), "x" * MAX_ID)],
)
def test_names_and_ids(name: str, id: str) -> None:
    assert agent_edit.id_of(name) == id


def test_the_value_itself_stays_as_it_is() -> None:
    value = {"agents": {"list": [{"id": "a"}, {"id": "b"}]}, "bindings": [{"agentId": "b"}]}
    before = copy.deepcopy(value)
    agent_edit.add(value, "c", {})
    agent_edit.change(value, "b", lambda entry: {**entry, "x": 1})
    agent_edit.remove(value, "b")
    assert value == before


def test_an_entry_is_found_in_whatever_case() -> None:
    value = {"agents": {"entries": {"a": {}, "Work": {"name": "W"}}}}
    assert agent_edit.change(value, "WORK", lambda entry: {**entry, "x": 1})["agents"]["entries"]["Work"]["x"] == 1
    assert agent_edit.remove(value, "work")[0]["agents"]["entries"] == {"a": {}}


@pytest.mark.parametrize(
    ("agents", "marked"),
    [
        ({}, "main"),
        ({"entries": {"a": {"name": "A"}}}, "a"),
        ({"entries": {"a": {}, "b": {}}}, "a"),
        ({"entries": {"a": {}, "b": {"default": True}}}, "b"),
        ({"list": [{"id": "a"}, {"id": "b"}]}, "a"),
        ({"list": [{"id": "a"}, {"id": "b", "default": True}]}, "b"),
        ({"entries": {"a": {}}, "ownership": "explicit"}, None),
    ],
)
def test_of_several_agents_the_file_says_who_answers(agents: dict[str, Any], marked: str | None) -> None:
    """OpenClaw refuses a roster without: `agents.ownership: multi-agent rosters require …`."""
    added = agent_edit.add({"agents": agents}, "new", {})
    assert [each.id for each in catalog.agents(added) if "default" in each.entry] == ([marked] if marked else [])


@pytest.mark.parametrize(
    "value",
    [
        {"agents": 5},
        {"agents": {"$include": "x"}},
        {"agents": {"entries": {"$include": "x"}}},
    ],
)
def test_agents_that_cannot_be_edited(value: dict[str, Any]) -> None:
    with pytest.raises(Unfit, match="edit that by hand"):
        agent_edit.add(value, "x", {})


def test_entries_that_are_none() -> None:
    with pytest.raises(Unfit, match="agents.entries is no object; edit it by hand"):
        agent_edit.add({"agents": {"entries": 5}}, "x", {})


KEYS = st.sampled_from(["agents", "entries", "list", "id", "main", "x", "defaults", "bindings", "agentId", "default"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["x", "main", "y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, ANYTHING, max_size=4))
def test_an_agent_that_was_added_is_there_and_goes_again(value: dict[str, Any]) -> None:
    try:
        added = agent_edit.add(value, "new", {"name": "N"})
    except Unfit:
        return
    before = {each.id for each in catalog.agents(value)}
    assert {each.id for each in catalog.agents(added)} == before | {"new"}
    assert catalog.default_id(added) == catalog.default_id(value)
    changed = agent_edit.change(added, "new", lambda entry: {**entry, "name": "M"})
    found = catalog.find_agent(changed, "new")
    assert found is not None and found.name == "M"
    removed, _ = agent_edit.remove(changed, "new")
    assert {each.id for each in catalog.agents(removed)} == before
