"""The MCP servers of a config, and what is said of those that are none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.servers import MAX_SERVERS, problems, servers
from gateway.link.messages import Server


def tree(**entries: Any) -> dict[str, Any]:
    return {"mcp": {"servers": entries}}


def test_a_command() -> None:
    entry = {"command": "npx", "args": ["-y", "x"], "env": {"A": "1", "N": 2, "B": True}, "workingDirectory": "/w"}
    assert servers(tree(files=entry)) == [
        Server("files", command="npx", args=["-y", "x"], env={"A": "1", "N": "2", "B": "true"}, cwd="/w")
    ]


def test_an_address() -> None:
    entry = {"url": "https://h/mcp", "transport": "streamable-http", "headers": {"Authorization": "Bearer s3cret"}}
    (found,) = servers(tree(docs=entry))
    assert found == Server("docs", url="https://h/mcp", headers={"Authorization": "Bearer s3cret"})
    assert "s3cret" not in repr(found)


def test_switched_off() -> None:
    off = tree(a={"command": "x", "enabled": False}, b={"url": "http://h", "disabled": True}, c={"enabled": False})
    assert servers(off) == [] and problems(off) == []


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (5, "mcp.servers.x: not an object; write it as {command: …} or {url: …}"),
        ({}, "mcp.servers.x: it has neither a command nor a url; set one of them"),
        ({"url": "h"}, 'mcp.servers.x.url: not an address; set it to a URL such as "https://mcp.example/mcp"'),
        (
            {"url": "http://h", "transport": "sse"},
            'mcp.servers.x.transport: "sse" is not supported; use "streamable-http"',
        ),
        (
            {"url": "http://h", "auth": "oauth"},
            'mcp.servers.x.auth: "oauth" is not supported; put a token into headers.Authorization',
        ),
        ({"command": "x", "args": "y"}, 'mcp.servers.x.args: not a list of texts; write it as ["one", "two"]'),
        ({"command": "x", "env": []}, 'mcp.servers.x.env: not an object; write it as {"name": "value"}'),
        ({"command": "x", "env": {"A": None}}, "mcp.servers.x.env.A: not a text; write it in quotes"),
    ],
)
def test_what_is_wrong_is_said_and_leaves_the_others_alone(entry: Any, sentence: str) -> None:
    config = tree(x=entry, fine={"command": "y"})
    assert problems(config) == [sentence]
    assert [each.name for each in servers(config)] == ["fine"]


def test_at_the_bound() -> None:
    config = tree(**{f"s{number}": {"command": "x"} for number in range(MAX_SERVERS)})
    assert len(servers(config)) == MAX_SERVERS and problems(config) == []
    config["mcp"]["servers"] |= {"more": {"command": "x"}, "and more": {"command": "x"}}
    assert len(servers(config)) == MAX_SERVERS
    assert problems(config) == [
        f"mcp.servers: there are more than {MAX_SERVERS} servers; those from more on are left out; disable some"
    ]


KEYS = st.sampled_from(["mcp", "servers", "command", "args", "env", "url", "headers", "enabled", "transport", "x"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just("http://h"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(ANYTHING)
def test_nothing_in_a_file_can_break_it(entries: Any) -> None:
    for config in ({"mcp": entries}, {"mcp": {"servers": entries}}, tree(a=entries, b=entries)):
        assert all(each.command or each.url for each in servers(config))
        problems(config)
