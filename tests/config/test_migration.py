import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import json5, migration, move, old_keys
from gateway.config.parse import MAX_DEPTH

MOLTBOT = """{
  // who I am
  identity: { name: "Sam", /* a sloth */ theme: "x" },
  // my agent
  agent: {
    model: "anthropic/claude-opus-4-5", // the big one
    // where it works
    workspace: "~/clawd",
    modelFallbacks: ["openai/gpt-5"],
    modelAliases: { opus: "anthropic/claude-opus-4-5" },
    allowedModels: ["openai/gpt-5"], // no other
    tools: { deny: ["browser"] }, // no browser
    // dangling
  },
  gateway: { port: 18789, token: "secret" }, // the door
  routing: {
    agents: { work: { model: "openai/gpt-5", tools: { deny: ["x"] } }, home: {} }, // two of them
    defaultAgentId: "work",
    bindings: [{ agentId: "home" }],
  },
  telegram: { botToken: "x" },
  env: { OPENAI_API_KEY: "sk" },
}
"""
TODAY = {
    "gateway": {"port": 18789, "auth": {"token": "secret"}},
    "agents": {
        "defaults": {
            "model": {"primary": "anthropic/claude-opus-4-5", "fallbacks": ["openai/gpt-5"]},
            "modelPolicy": {"allow": ["openai/gpt-5"]},
            "models": {"anthropic/claude-opus-4-5": {"alias": "opus"}},
            "workspace": "~/clawd",
        },
        "entries": {
            "work": {
                "model": "openai/gpt-5",
                "tools": {"deny": ["x"]},
                "default": True,
                "identity": {"name": "Sam", "theme": "x"},
            },
            "home": {},
        },
    },
    "bindings": [{"agentId": "home"}],
    "channels": {"telegram": {"botToken": "x"}},
    "tools": {"deny": ["browser"]},
    "env": {"vars": {"OPENAI_API_KEY": "sk"}},
}


def value(text: str) -> Any:
    return json5.parse(text, MAX_DEPTH).root.value


def test_a_config_of_the_moltbot_days() -> None:
    done = migration.migrate(MOLTBOT)
    assert value(done.text) == TODAY and not done.unmoved and not done.dropped
    assert ("agent.model", "agents.defaults.model") in done.moved
    for comment in ("who I am", "a sloth", "my agent", "the big one", "where it works", "no other", "no browser",
                    "dangling", "the door", "two of them"):  # fmt: skip
        assert done.text.count(comment) == 1, comment
    assert migration.migrate(done.text).text == done.text
    assert not old_keys.find_old_keys(TODAY, working=True)


@pytest.mark.parametrize(
    ("old", "today"),
    [
        ({"agent": {"model": "a/b", "workspace": "~/c"}, "identity": {"name": "Sam"}},
         {"agents": {"defaults": {"model": "a/b", "workspace": "~/c"},
                     "entries": {"main": {"identity": {"name": "Sam"}}}}}),
        ({"model": "a/b"}, {"agents": {"defaults": {"model": "a/b"}}}),
        ({"agents": {"list": [{"id": "Main", "default": True}, {"id": "b"}]}, "identity": {"name": "S"}},
         {"agents": {"entries": {"Main": {"default": True, "identity": {"name": "S"}}, "b": {}}}}),
        ({"agents": {"list": [{"id": "a"}, {"id": "b"}]}},  # the first one answered, and does
         {"agents": {"entries": {"a": {"default": True}, "b": {}}}}),
        ({"agents": {"list": [{"id": "a"}, {"id": "b"}], "ownership": "explicit"}},
         {"agents": {"entries": {"a": {}, "b": {}}, "ownership": "explicit"}}),
        ({"routing": {"agents": {"a": {}, "b": {}}}}, {"agents": {"entries": {"a": {"default": True}, "b": {}}}}),
        ({"mcpServers": {"x": {"command": "y", "disabled": True}}},
         {"mcp": {"servers": {"x": {"command": "y", "enabled": False}}}}),
        ({"mcp": {"servers": {"x": {"url": "u", "type": "sse"}}}},
         {"mcp": {"servers": {"x": {"url": "u", "transport": "sse"}}}}),
        ({"session": {"idleMinutes": 5}, "env": {"A": "x", "vars": {"A": "y"}, "shellEnv": {"enabled": True}}},
         {"session": {"reset": {"idleMinutes": 5}}, "env": {"vars": {"A": "y"}, "shellEnv": {"enabled": True}}}),
        ({"routing": {"allowFrom": ["+1", "+2"]}, "whatsapp": {"allowFrom": ["+1"]}},
         {"channels": {"whatsapp": {"allowFrom": ["+1"]}}}),
        ({"agent": {"model": "a/b"}, "agents": {"defaults": {"model": "c/d"}}},
         {"agents": {"defaults": {"model": "c/d"}}}),
    ],
)  # fmt: skip
def test_each_name(old: dict[str, Any], today: dict[str, Any]) -> None:
    assert value(migration.migrate(json.dumps(old)).text) == today


def test_what_is_dropped_and_what_stays_is_told() -> None:
    done = migration.migrate("{agent: {model: 'a/b'}, agents: {defaults: {model: 'c/d'}, list: [{name: 'x'}]}}")
    assert done.dropped == [("agent.model", "agents.defaults.model")]
    assert done.unmoved == [("agents.list.0", "an entry has no id, or two have the same")]


_KEYS = """
    agent agents identity routing defaults entries list model models modelFallbacks modelAliases tools deny id env vars
    mcpServers mcp servers disabled gateway token auth telegram default defaultAgentId
"""
_keys = st.sampled_from(_KEYS.split())
_trees = st.recursive(
    st.none() | st.booleans() | st.integers(0, 5) | st.sampled_from(["a/b", "main", ""]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(_keys, below, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_keys, _trees, max_size=4))
def test_whatever_stands_there_is_written_anew_once(tree: dict[str, Any]) -> None:
    text = "{ // first\n" + json.dumps(tree, indent=2).removeprefix("{").replace(",\n", ", // c\n")
    done = migration.migrate(text)
    again = migration.migrate(done.text)
    assert again.text == done.text
    said = sorted(each.strip("/* ") for each in move.comments(done.text))
    assert said == sorted(each.strip("/* ") for each in move.comments(text))


def test_so_many_names_in_one_go() -> None:
    old = json.dumps({"agent": {f"k{number}": number for number in range(migration.MAX_MOVED + 1)}})
    once = migration.migrate(old)
    assert len(once.moved) == migration.MAX_MOVED and value(once.text)["agent"] == {"k100": 100}
    twice = migration.migrate(once.text)
    assert twice.moved == [("agent.k100", "agents.defaults.k100")] and "agent" not in value(twice.text)
    listed = [{"id": f"a{number}"} for number in range(migration.MAX_MOVED + 1)]
    assert migration.migrate(json.dumps({"agents": {"list": listed}})).unmoved == [
        ("agents.list.0", "there are more than 100")
    ]
