"""Names of tools for models."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agent.names import MAX_NAME, unique_name
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
    assert unique_name(prefixes([server])[server], tool, set()) == name


def test_names_are_short_enough_and_each_is_another() -> None:
    assert len(unique_name("s", "t" * (MAX_NAME - 3), set())) == MAX_NAME
    assert unique_name("s", "t" * 100, {"s__" + "t" * 61}) == "s__" + "t" * 59 + "-2"
    assert unique_name("a", "b", {"a__b", "a__b-2"}) == "a__b-3"


def test_servers_whose_names_become_one_are_told_apart_in_their_order() -> None:
    assert prefixes(["a b", "a-b", "A b"]) == {"a b": "a-b", "a-b": "a-b-2", "A b": "A-b-3"}
    long = prefixes([f"{'x' * 40}{number}" for number in range(200)])
    assert len(set(long.values())) == 200 and max(map(len, long.values())) == MAX_PREFIX


@given(st.lists(st.text(max_size=50), unique=True, max_size=8), st.lists(st.text(max_size=80), max_size=8))
def test_every_name_is_one_that_providers_take(servers: list[str], tools: list[str]) -> None:
    taken: set[str] = set()
    for prefix in prefixes(servers).values():
        for tool in tools:
            name = unique_name(prefix, tool, taken)
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name) and name.lower() not in taken
            taken.add(name.lower())
    assert len(taken) == len(servers) * len(tools)
