"""Filters and layers: which tools a model may call."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agent.mcp.policy import forbidding, passes_filter, unmatched_patterns
from gateway.link.spec import Server, ToolRule

TOOLS = ["query", "admin_drop", "Query"]


@pytest.mark.parametrize(
    ("include", "exclude", "left"),
    [
        ([], [], TOOLS),
        ([], ["admin_*"], ["query", "Query"]),
        (["query"], [], ["query"]),
        ([" query "], [], ["query"]),
        (["db__query"], [], []),
        (["*"], ["*drop"], ["query", "Query"]),
        (["*u*r*"], [], ["query", "Query"]),
    ],
)
def test_a_filter_speaks_of_the_servers_own_names(include: list[str], exclude: list[str], left: list[str]) -> None:
    server = Server("db", include=include, exclude=exclude)
    assert [tool for tool in TOOLS if passes_filter(server, tool)] == left


def test_an_include_that_matches_nothing_is_found() -> None:
    server = Server("db", include=["query", "db__query", "read_*"])
    assert unmatched_patterns(server, TOOLS) == ["db__query", "read_*"]


def test_deny_wins_and_each_layer_counts() -> None:
    layers = [ToolRule("a", allow=["db__*"]), ToolRule("b", deny=["db__admin_*"])]
    found = [forbidding(layers, name) for name in ("db__query", "DB__Admin_drop", "web__get")]
    assert found == [None, "b", "a"]


def test_a_long_pattern_costs_no_more_than_its_length() -> None:
    assert forbidding([ToolRule("a", deny=["*a" * 20_000])], "a" * 64 + "b") is None


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_a_star_stands_for_any_characters(pattern: str, name: str) -> None:
    wanted = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None and pattern != ""
    assert passes_filter(Server("s", include=[pattern]), name) is wanted
