import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.substitute import REFERENCE, config_env, first_of, substitute


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "one"),
        ("x${A}y${B_2}z", "xoneytwoz"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("${a} $A ${} ${1X} ${A-b}", "${a} $A ${} ${1X} ${A-b}"),
        ("${_X}", "under"),
    ],
)
def test_references(text: str, expected: str) -> None:
    tree, missing = substitute({"k": [text]}, {"A": "one", "B_2": "two", "_X": "under"}.get)
    assert (tree, missing) == ({"k": [expected]}, [])


def test_what_nothing_sets_stays_and_is_named() -> None:
    tree, missing = substitute({"a": {"b": ["${X}${EMPTY}"]}, "c": "$${X}"}, {"EMPTY": ""}.get)
    assert tree == {"a": {"b": ["${X}${EMPTY}"]}, "c": "${X}"}
    assert missing == [(("a", "b", 0), "X"), (("a", "b", 0), "EMPTY")]


def test_a_replaced_value_is_not_looked_at_again() -> None:
    assert substitute("${A}", {"A": "${B}", "B": "x"}.get)[0] == "${B}"


def test_the_configs_own_env() -> None:
    assert config_env({"env": {"A": "1", "B": "2", "N": 3, "vars": {"B": "4"}, "shellEnv": {"enabled": True}}}) == {
        "A": "1",
        "B": "4",
    }
    assert config_env([]) == config_env({"env": 1}) == config_env({"env": {"vars": []}}) == {}


def test_the_first_source_that_sets_something_wins() -> None:
    lookup = first_of({"A": "1", "B": ""}, {"A": "2", "B": "3"})
    assert (lookup("A"), lookup("B"), lookup("C")) == ("1", "3", None)


TREES = st.recursive(
    st.text(alphabet=list("${}ABab"), max_size=10) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(TREES)
@settings(deadline=None)
def test_with_nothing_set_only_escapes_change(tree: object) -> None:
    changed, _ = substitute(tree, {}.get)
    if "$${" not in repr(tree):
        assert changed == tree


@given(TREES)
@settings(deadline=None)
def test_with_everything_set_no_reference_is_missing(tree: object) -> None:
    changed, missing = substitute(tree, lambda name: "v")
    assert missing == []
    if "$" not in repr(tree).replace("${", ""):
        assert not REFERENCE.search(repr(changed))
