import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.logline import Line, parse

NOON = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)


def line(**entry: object) -> str:
    return json.dumps({"time": "2026-11-22T12:00:00.500Z", "_meta": {"logLevelName": "WARN"}, **entry})


def test_a_subsystem_and_its_message() -> None:
    text = line(**{"0": '{"subsystem":"gateway/ws"}', "1": "hello"})
    assert parse(text) == Line("hello", NOON, "warn", "gateway/ws")


def test_a_message_alone() -> None:
    assert parse(line(**{"0": "hello"})) == Line("hello", NOON, "warn", "")


def test_further_arguments_in_their_order() -> None:
    entry = {"0": '{"module":"cron"}', "2": {"a": 1}, "1": "first", "10": "last"}
    assert parse(line(**entry)).message == 'first {"a": 1} last'


def test_the_subsystem_of_the_logger() -> None:
    entry = {"0": "text", "_meta": {"logLevelName": "INFO", "name": '{"subsystem":"x"}'}}
    assert parse(line(**entry)) == Line("text", NOON, "info", "x")


def test_newer_lines_have_the_message_by_name() -> None:
    assert parse(line(**{"0": '{"subsystem":"x"}', "message": "named"})).message == "named"


def test_the_date_where_the_time_is_missing() -> None:
    entry = {"0": "x", "_meta": {"date": "2026-11-22T12:00:00.500Z"}}
    assert parse(json.dumps(entry)).time == NOON


@pytest.mark.parametrize("text", ["plain", "{", "[1]", "3", "{}", '{"0":"x","time":"yesterday"}', '{"time": 5}'])
def test_what_is_no_log_line_is_its_own_message(text: str) -> None:
    assert parse(text) == Line(text)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["0", "1", "_meta", "time", "name", "x"]), inner)
        ),
        max_leaves=8,
    )
)
def test_nothing_makes_it_fail(value: object) -> None:
    parse(json.dumps(value))
