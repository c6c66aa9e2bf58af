"""The layers of the tool policy, and the values of it that cannot be honoured."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agent.mcp.policy import forbidding
from gateway.config.tool_policy import PROFILES, faults, rules
from gateway.link.spec import ToolRule

ENTRIES = {"work": {}, "home": {"tools": {"deny": ["db__admin_drop"]}}}


def offered(tree: dict[str, Any], agent: str = "main", provider: str = "openai", model: str = "gpt-5") -> list[str]:
    names = ["db__query", "db__admin_drop", "web__get"]
    layers = rules(tree, agent, provider, model)
    return [name for name in names if forbidding(layers, name) is None]


@pytest.mark.parametrize(
    ("tools", "left"),
    [
        ({}, "db__query db__admin_drop web__get"),
        ({"deny": ["db__admin_drop"]}, "db__query web__get"),
        ({"deny": ["DB__ADMIN_*"]}, "db__query web__get"),
        ({"deny": ["bundle-mcp"]}, ""),
        ({"deny": ["group:plugins"]}, ""),
        ({"deny": ["*"], "allow": ["*"]}, ""),
        ({"deny": ["browser", "group:fs", " "]}, "db__query db__admin_drop web__get"),
        ({"allow": ["web__*"]}, "web__get"),
        ({"allow": ["exec"]}, ""),
        ({"allow": ["group:plugins"], "deny": ["web__get"]}, "db__query db__admin_drop"),
        ({"allow": []}, "db__query db__admin_drop web__get"),
        ({"alsoAllow": ["exec"]}, "db__query db__admin_drop web__get"),
        ({"profile": "minimal"}, ""),
        ({"profile": "minimal", "alsoAllow": ["web__get"]}, "web__get"),
        ({"profile": "coding"}, "db__query db__admin_drop web__get"),
        ({"byProvider": {"OpenAI": {"deny": ["db__*"]}}}, "web__get"),
        ({"byProvider": {"openai/gpt-5": {"profile": "minimal"}}}, ""),
        ({"byProvider": {"openai/gpt-5": {}, "openai": {"deny": ["*"]}}}, "db__query db__admin_drop web__get"),
        ({"byProvider": {"anthropic": {"deny": ["*"]}}}, "db__query db__admin_drop web__get"),
        ({"toolsBySender": {"*": {"deny": ["db__*"]}, "id:1": {"deny": ["*"]}}}, "web__get"),
    ],
)
def test_what_the_tools_of_a_config_leave(tools: dict[str, Any], left: str) -> None:
    assert offered({"tools": tools}) == left.split()
    assert offered({"agents": {"defaults": {"tools": tools}}}) == left.split()
    assert offered({"agents": {"list": [{"id": "main", "tools": tools}]}}) == left.split()


def test_an_agents_own_layers_come_on_top() -> None:
    tree: dict[str, Any] = {"agents": {"entries": ENTRIES}, "tools": {"deny": ["web__*"]}}
    assert offered(tree, "work") == ["db__query", "db__admin_drop"]
    assert offered(tree, "home") == ["db__query"]
    tree["tools"] = {"profile": "minimal"}
    ENTRIES_WITH = {"own": {"tools": {"profile": "full"}}, "more": {"tools": {"alsoAllow": ["db__query"]}}}
    tree["agents"] = {"entries": ENTRIES_WITH}
    assert len(offered(tree, "own")) == 3 and offered(tree, "more") == ["db__query"]


def test_a_layer_names_its_key() -> None:
    tree = {"agents": {"entries": ENTRIES}}
    assert rules(tree, "home", "p", "m") == [ToolRule("agents.entries.home.tools", [], ["db__admin_drop"])]
    tree = {"tools": {"byProvider": {"p": {"profile": "minimal"}}}}
    assert rules(tree, "main", "p", "m")[0].key == "tools.byProvider.p.profile"


@pytest.mark.parametrize(
    ("tools", "where"),
    [
        ({"deny": "db__admin_drop"}, ("tools", "deny")),
        ({"allow": [1]}, ("tools", "allow")),
        ({"profile": "strict"}, ("tools", "profile")),
        ({"profile": ["minimal"]}, ("tools", "profile")),
        ({"allow": ["a"], "alsoAllow": ["b"]}, ("tools", "alsoAllow")),
        ({"byProvider": []}, ("tools", "byProvider")),
        ({"byProvider": {"p": {"deny": {"a": 1}}}}, ("tools", "byProvider", "p", "deny")),
        ({"toolsBySender": {"*": 5}}, ("tools", "toolsBySender", "*")),
        ([], ("tools",)),
    ],
)
def test_what_cannot_be_honoured_is_named_with_the_way_out(tools: Any, where: tuple[str, ...]) -> None:
    ((path, what, way_out),) = faults({"tools": tools})
    assert path == where and what and way_out
    assert [each[0] for each in faults({"agents": {"list": [{"id": "a", "tools": tools}]}})] == [
        ("agents", "list", 0, *where)
    ]


def test_the_tools_of_the_defaults_restrict_nobody_who_is_listed() -> None:
    tree = {"agents": {"entries": {"a": {}}, "defaults": {"tools": {"deny": ["x"]}}}}
    assert [path for path, _, _ in faults(tree)] == [("agents", "defaults", "tools")]


def test_all_profiles_of_openclaw_are_known() -> None:
    assert set(PROFILES) == {"minimal", "coding", "messaging", "full"}


KEYS = st.sampled_from(["allow", "alsoAllow", "deny", "profile", "byProvider", "toolsBySender", "*", "openai", "x"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["minimal", "full", "*", "db__query", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(ANYTHING)
def test_whatever_is_written_is_honoured_or_wrong_and_breaks_nothing(written: Any) -> None:
    for tree in ({"tools": written}, {"agents": {"list": [{"id": "main", "tools": written}, written]}}):
        offered(tree)
        list(faults(tree))
