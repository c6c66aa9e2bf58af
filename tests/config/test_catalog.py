from typing import Any

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
    assert catalog.agents(CONFIG) == (
        catalog.Agent("helper", "Help", {"emoji": "🦞"}, None, "mock/m2"),
        catalog.Agent("boss", None, {}, "/ws", "mock/m1"),
    )
    assert catalog.default_id(CONFIG) == "boss"


def test_without_a_list_there_is_main() -> None:
    assert catalog.agents({}) == (catalog.Agent("main", None, {}, None, None),)
    assert catalog.default_id({}) == "main"
    assert catalog.default_id({"agents": {"list": [{"id": "a"}, {"id": "b"}]}}) == "a"


def test_models() -> None:
    assert catalog.models(CONFIG) == (
        catalog.Model("mock", "m1", "Mock 1", 5000, False, ("text",), True),
        catalog.Model("mock", "m2", "m2", None, None, (), True),
    )


def test_the_default_model_and_its_window() -> None:
    assert catalog.default_model(CONFIG) == ("mock", "m1", 5000)
    own = {"agents": {"defaults": {"model": "m9", "contextTokens": 7}}}
    assert catalog.default_model(own) == (None, "m9", 7)
    assert catalog.default_model({}) == (None, None, None)


def test_providers_with_a_key() -> None:
    providers = {"a": {"apiKey": "k"}, "b": {}, "c": 5, "d": {"apiKey": ""}}
    assert catalog.providers_with_key({"models": {"providers": providers}}) == ("a",)


def test_who_answers_by_default() -> None:
    found = catalog.defaults(CONFIG | {"session": {"mainKey": " Home ", "scope": "global"}})
    assert (found.agent, found.agents, found.main_key) == ("boss", ("helper", "boss"), "home")
    assert (found.main_session, found.has_model, found.ownership) == ("global", True, "legacy")
    assert catalog.defaults({}) == catalog.Defaults("main", ("main",), "main", "per-sender", False)
    assert catalog.defaults({}).main_session == "agent:main:main"


def test_how_a_page_calls_an_agent() -> None:
    assert catalog.assistant(CONFIG, "helper") == ("Help", "🦞")
    assert catalog.assistant(CONFIG, "boss") == catalog.assistant({}, "none") == (None, None)
    shared = CONFIG | {"ui": {"assistant": {"name": "Ada", "avatar": " "}}}
    assert catalog.assistant(shared, "helper") == ("Ada", "🦞")


NAMES = ["agents", "list", "defaults", "id", "default", "model", "models", "providers", "primary", "identity", "x"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=5))
def test_nothing_in_a_file_can_break_it(tree: dict[str, Any]) -> None:
    assert catalog.default_id(tree) in {each.id for each in catalog.agents(tree)}
    catalog.models(tree)
    catalog.default_model(tree)
    catalog.providers_with_key(tree)
    found = catalog.defaults(tree)
    assert found.agent in found.agents
    catalog.assistant(tree, found.agent)
