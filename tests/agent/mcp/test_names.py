"""Names of tools for models."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agent.mcp.names import MAX_NAME, ToolNames
from gateway.config.servers import MAX_PREFIX, prefixes


@pytest.mark.parametrize(
    ("server", "tool", "name"),
    [
        ("a", "b", "a__b"),
        ("a.b/c", "d e", "a-b-c__d-e"),
        ("Outlook Graph", "send_mail", "Outlook-Graph__send_mail"),
        ("ü", "ö", "mcp--__tool--"),
        ("1password", "2fa", "mcp-1password__tool-2fa"),
        ("", " ", "mcp__tool"),
    ],
)
def test_names_are_openclaws(server: str, tool: str, name: str) -> None:
    assert ToolNames().unique(prefixes([server])[server], tool) == name


def test_names_are_short_enough_and_each_is_another() -> None:
    names = ToolNames()
    assert len(names.unique("s", "t" * (MAX_NAME - 3))) == MAX_NAME
    assert names.unique("s", "t" * 100) == "s__" + "t" * 59 + "-2"
    assert [names.unique("a", tool) for tool in ("b", "b-2", "B", "b", "b-2")] == [
        *("a__b", "a__b-2", "a__B-3", "a__b-4", "a__b-2-2"),
    ]


def test_thousands_of_tools_whose_names_become_one_are_named_in_the_time_of_each() -> None:
    """A server may list five thousand: told apart by trying each number from the first one, they took seconds."""
    names = ToolNames()
    found = [names.unique("s", "ä" * (number % 3 + 1)) for number in range(5000)]
    assert len(set(found)) == 5000
    assert {found[0], found[3], found[4998]} == {"s__tool--", "s__tool---2", "s__tool---1667"}


def test_servers_whose_names_become_one_are_told_apart_in_their_order() -> None:
    assert prefixes(["a b", "a-b", "A b"]) == {"a b": "a-b", "a-b": "a-b-2", "A b": "A-b-3"}
    long = prefixes([f"{'x' * 40}{number}" for number in range(200)])
    assert len(set(long.values())) == 200 and max(map(len, long.values())) == MAX_PREFIX


@given(st.lists(st.text(max_size=50), unique=True, max_size=8), st.lists(st.text(max_size=80), max_size=8))
def test_every_name_is_one_that_providers_take(servers: list[str], tools: list[str]) -> None:
    names, taken = ToolNames(), set[str]()
    for prefix in prefixes(servers).values():
        for tool in tools:
            name = names.unique(prefix, tool)
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name) and name.lower() not in taken
            taken.add(name.lower())
    assert len(taken) == len(servers) * len(tools)
