"""The MCP servers of a config, and what is said of those that are none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.servers import MAX_SERVERS, MAX_WAIT_MS, faults, problems, servers, unusable
from gateway.link.spec import Server


def tree(**entries: Any) -> dict[str, Any]:
    return {"mcp": {"servers": entries}}


def test_a_command() -> None:
    entry = {"command": "npx", "args": ["-y", "x"], "env": {"A": "1", "N": 2, "B": True}, "workingDirectory": "/w"}
    assert servers(tree(f=entry)) == [
        Server("f", command="npx", args=["-y", "x"], env={"A": "1", "N": "2", "B": "true"}, cwd="/w", prefix="f")
    ]


def test_an_address() -> None:
    entry = {"url": "https://h/mcp", "transport": "streamable-http", "headers": {"Authorization": "Bearer s3cret"}}
    (found,) = servers(tree(docs=entry))
    headers = {"Authorization": "Bearer s3cret"}
    assert found == Server("docs", url="https://h/mcp", headers=headers, prefix="docs", transport="streamable-http")
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
            {"url": "http://h", "type": "websocket"},
            'mcp.servers.x.type: "websocket" is not for a url; use "streamable-http" or "sse"',
        ),
        ({"baseUrl": "https://x/mcp"}, "mcp.servers.x.baseUrl: not a key of a server; call it url"),
        (
            {"command": "npx -y some-server"},
            'mcp.servers.x.command: arguments stand in the command; write command: "npx", args: ["-y", "some-server"]',
        ),
        ({"command": "x", "args": ["-y", {}]}, "mcp.servers.x.args[1]: not a text; write it in quotes"),
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
    wrong = tree(**{f"s{number}": {"command": "x y"} for number in range(2000)})
    assert len(problems(wrong)) == MAX_SERVERS + 1


def test_transports_by_the_words_of_openclaw_and_of_others() -> None:
    written: list[dict[str, Any]] = [{}, {"transport": "sse"}, {"type": "SSE"}, {"type": "http"}, {"transport": "http"}]
    found = servers(tree(**{f"s{index}": {"url": "http://h", **each} for index, each in enumerate(written)}))
    assert [each.transport for each in found] == ["", "sse", "sse", "streamable-http", "streamable-http"]


def test_a_number_among_the_arguments_is_its_text_and_a_path_may_have_spaces() -> None:
    (found,) = servers(tree(x={"command": "/opt/my tools/srv", "args": ["-y", 1, 2.0, True]}))
    assert (found.command, found.args) == ("/opt/my tools/srv", ["-y", "1", "2", "true"])


def test_what_restricts_and_how_long_is_waited() -> None:
    entry = {
        **{"url": "https://h", "connectionTimeoutMs": 2000, "requestTimeoutMs": 1500.5, "sslVerify": False},
        **{"clientCert": "~/c.pem", "clientKey": "~/k.pem"},
        "toolFilter": {"include": ["search_*"], "exclude": ["admin_*"]},
    }
    (found,) = servers(tree(x=entry))
    assert (found.connect_ms, found.request_ms, found.verify) == (2000, 1501, False)
    assert (found.client_cert, found.client_key) == ("~/c.pem", "~/k.pem")
    assert (found.include, found.exclude) == (["search_*"], ["admin_*"])
    assert not problems(tree(x=entry)) and not list(faults(tree(x=entry)))
    (found,) = servers(tree(x={"command": "x", "connectionTimeoutMs": 10**12}))
    assert found.connect_ms == MAX_WAIT_MS


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        ({"toolFilter": []}, "toolFilter"),
        ({"toolFilter": {"include": "query"}}, "toolFilter.include"),
        ({"toolFilter": {"exclude": []}}, "toolFilter.exclude"),
        ({"toolFilter": {"exclude": [" "]}}, "toolFilter.exclude"),
        ({"toolFilter": {"deny": ["x"]}}, "toolFilter.deny"),
        ({"sslVerify": "false"}, "sslVerify"),
        ({"clientCert": 1}, "clientCert"),
        ({"excludeTools": ["x"]}, "excludeTools"),
        ({"ssl_verify": False}, "ssl_verify"),
    ],
)
def test_what_restricts_and_cannot_be_honoured_is_an_error(entry: dict[str, Any], where: str) -> None:
    config = tree(x={"command": "x", **entry})
    ((path, what, way_out),) = faults(config)
    assert ".".join(map(str, path)) == f"mcp.servers.x.{where}" and what and way_out
    assert not list(faults(tree(x={"command": "x", "enabled": False, **entry})))


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"timeout": 5}, "mcp.servers.x.timeout: not read; it is called requestTimeoutMs (milliseconds) here"),
        (
            {"connectionTimeoutMs": "2s"},
            "mcp.servers.x.connectionTimeoutMs: not a number of milliseconds above 0; the usual time counts",
        ),
        (
            {"toolFilter": {"include": ["x__query"]}},
            'mcp.servers.x.toolFilter.include: "x__query" matches nothing: names stand without the server\'s, "query"',
        ),
    ],
)
def test_what_does_not_do_what_it_seems_to_is_a_warning(entry: dict[str, Any], sentence: str) -> None:
    config = tree(x={"command": "y", **entry})
    assert problems(config) == [sentence] and len(servers(config)) == 1


KEYS = st.sampled_from(
    [
        *("mcp", "servers", "command", "args", "env", "url", "headers", "enabled", "transport", "x", "toolFilter"),
        *("include", "exclude", "sslVerify", "requestTimeoutMs", "type", "baseUrl"),
    ]
)
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
        list(faults(config))
        assert not set(unusable(config)) & {each.name for each in servers(config)}
