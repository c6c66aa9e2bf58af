import pytest

from gateway.config.tree import MAX_NAMED, Unusable, abbreviate, as_positive_int, is_enabled, matches, value_at


def test_what_cannot_be_used_says_where_why_and_what_to_do() -> None:
    error = Unusable("models.providers.p.api", "not supported", "use another one")
    assert str(error) == "models.providers.p.api: not supported; use another one"
    assert (error.key, error.problem, error.way_out) == ("models.providers.p.api", "not supported", "use another one")


def test_numbers_as_javascript_writes_them() -> None:
    assert [as_positive_int(each) for each in (5, 5.0, 5.5, 0, -1, True, "5", 2**53, float("inf"))] == [5, 5] + [
        None
    ] * 7


def test_what_stands_at_a_path() -> None:
    tree = {"a": [{"b": 1}], "c": None}
    assert value_at(tree, ("a", 0, "b")) == 1 and value_at(tree, ()) is tree
    assert [value_at(tree, path) for path in (("a", 1), ("a", "b"), ("c", "d"), ("a", 0, 0))] == [None] * 4


def test_what_a_pattern_means() -> None:
    tree = {"a": {"x": {"b": 1}, "y": {"b": 2}, "z": 3}, "l": [{"b": 4}, 5]}
    assert list(matches(tree, ("a", "*", "b"))) == [(("a", "x", "b"), 1), (("a", "y", "b"), 2)]
    assert list(matches(tree, ("l", "*", "b"))) == [(("l", 0, "b"), 4)]
    assert list(matches(tree, ("q", "*"))) == [] and list(matches("x", ("*",))) == []


@pytest.mark.parametrize(("server", "on"), [({}, True), ({"enabled": False}, False), ({"disabled": True}, False)])
def test_whether_a_server_is_to_be_used(server: dict[str, bool], on: bool) -> None:
    assert is_enabled(server) is on


def test_a_name_in_a_message_is_bounded() -> None:
    assert (
        abbreviate("x" * MAX_NAMED) == "x" * MAX_NAMED
        and abbreviate("x" * (MAX_NAMED + 1)) == "x" * (MAX_NAMED - 1) + "…"
    )
