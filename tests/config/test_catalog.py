from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import catalog

CONFIG: dict[str, Any] = {
    "agents": {
        "defaults": {"model": {"primary": "mock/m1"}, "workspace": "/ws"},
        "list": [
            {"id": "Helper", "name": "Help", "model": "mock/m2", "identity": {"emoji": "🦞", "name": " ", "other": 1}},
            {"id": "boss", "default": True},
            {"id": "helper", "name": "twice"},
            {"name": "nameless"},
            "nonsense",
        ],
    },
    "models": {
        "providers": {
            "mock": {
                "apiKey": "k",
                "models": [
                    {"id": "m1", "name": "Mock 1", "contextWindow": 5000, "reasoning": False, "input": ["text", 1]},
                    {"id": "m2", "contextWindow": True},
                    {"name": "without id"},
                ],
            },
            "broken": 5,
        }
    },
}


def test_agents_of_a_list() -> None:
    helper, boss = catalog.agents(CONFIG)
    assert (helper.id, helper.name, helper.identity, helper.workspace) == ("helper", "Help", {"emoji": "🦞"}, None)
    assert (helper.models, helper.key, helper.entry) == (("mock/m2",), "agents.list[0]", CONFIG["agents"]["list"][0])
    assert (boss.id, boss.name, boss.identity, boss.workspace) == ("boss", None, {}, "/ws")
    assert (boss.models, boss.key) == (("mock/m1",), "agents.list[1]")
    assert catalog.default_id(CONFIG) == "boss"


def test_agents_by_their_ids() -> None:
    """As OpenClaw writes them since 2026.9."""
    tree = {"agents": {"entries": {"Work": {"name": "W", "model": {"primary": "a/b"}}, "home": {}, "odd": 5}}}
    work, home = catalog.agents(tree)
    assert (work.id, work.name, work.models, work.key) == ("work", "W", ("a/b",), "agents.entries.Work")
    assert (home.id, home.models) == ("home", ())
    assert catalog.default_id(tree) == "work"
    assert catalog.find_agent(tree, " HOME ") == home and catalog.find_agent(tree, "other") is None


def test_without_a_list_there_is_main() -> None:
    assert catalog.agents({}) == (catalog.Agent("main", None, {}, None, ()),)
    assert catalog.default_id({}) == "main"
    assert catalog.default_id({"agents": {"list": [{"id": "a"}, {"id": "b"}]}}) == "a"


def test_models_in_the_order_of_trying() -> None:
    shared = {"primary": "p/1", "fallbacks": ["p/2", 5, "p/1", " p/3 "]}
    for own, models in (
        (None, ("p/1", "p/2", "p/3")),
        ("q/1", ("q/1",)),
        ({"primary": "q/1"}, ("q/1",)),
        ({"primary": "q/1", "fallbacks": []}, ("q/1",)),
        ({"primary": "q/1", "fallbacks": ["q/2"]}, ("q/1", "q/2")),
        ({"fallbacks": []}, ("p/1",)),
        ({"fallbacks": ["q/2"]}, ("p/1", "q/2")),
    ):
        tree = {"agents": {"defaults": {"model": shared}, "list": [{"id": "a", "model": own}]}}
        assert catalog.agents(tree)[0].models == models, own
    assert catalog.default_models({"agents": {"defaults": {"model": shared}}}) == ("p/1", "p/2", "p/3")


def test_who_answers_by_default() -> None:
    found = catalog.defaults(CONFIG | {"session": {"mainKey": " Home ", "scope": "global"}})
    assert (found.agent, found.agents, found.main_key) == ("boss", ("helper", "boss"), "home")
    assert (found.main_session, found.ownership) == ("global", "legacy")
    assert catalog.defaults({}) == catalog.Defaults("main", ("main",), "main", "per-sender")
    assert catalog.defaults({}).main_session == "agent:main:main"


def test_how_a_page_calls_an_agent() -> None:
    assert catalog.assistant(CONFIG, "helper") == ("Help", "🦞")
    assert catalog.assistant(CONFIG, "boss") == catalog.assistant({}, "none") == (None, None)
    shared = CONFIG | {"ui": {"assistant": {"name": "Ada", "avatar": " "}}}
    assert catalog.assistant(shared, "helper") == ("Ada", "🦞")


NAMES = [
    *("agents", "list", "entries", "fallbacks", "defaults", "id", "default"),
    *("model", "models", "providers", "primary", "identity", "x"),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=5))
def test_nothing_in_a_file_can_break_it(tree: dict[str, Any]) -> None:
    assert catalog.default_id(tree) in {each.id for each in catalog.agents(tree)}
    catalog.default_models(tree)
    found = catalog.defaults(tree)
    assert found.agent in found.agents
    catalog.assistant(tree, found.agent)


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("Main", "main"),
        (" My Agent! ", "my-agent"),
        ("a_b-c", "a_b-c"),
        ("日本", "main"),
        ("-x-", "x"),
        ("a" * 70, "a" * 64),
    ],
)
def test_an_agents_id_is_made_as_openclaw_makes_it(name: str, id: str) -> None:
    assert catalog.agent_id(name) == id


def test_an_agent_is_found_by_what_it_is_called_and_not_by_what_is_no_name() -> None:
    tree = {"agents": {"entries": {"My Agent": {"name": "x"}}}}
    assert [each.id for each in catalog.agents(tree)] == ["my-agent"]
    for name in ("my-agent", "My Agent", "MY-AGENT"):
        assert catalog.find_agent(tree, name)
    assert catalog.find_agent({}, "日本") is None
