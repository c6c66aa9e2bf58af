from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.patch import EntriesLost, merge_careful, merge_patch


@pytest.mark.parametrize(
    ("base", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a"], {"a": "c"}, {"a": "c"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ],
)
def test_the_examples_of_the_rfc(base: Any, patch: Any, merged: Any) -> None:
    assert merge_patch(base, patch) == merged


LIST = {"agents": {"list": [{"id": "a", "x": 1, "y": {"z": 1}}, {"id": "b"}]}}


def test_arrays_of_objects_merge_by_id() -> None:
    patch = {"agents": {"list": [{"id": "c", "n": None}, {"id": "a", "x": None, "y": {"w": 2}}]}}
    assert merge_careful(LIST, patch) == {
        "agents": {"list": [{"id": "a", "y": {"z": 1, "w": 2}}, {"id": "b"}, {"id": "c"}]}
    }


def test_an_array_that_is_named_is_replaced() -> None:
    patch = {"agents": {"list": [{"id": "b"}]}}
    assert merge_careful(LIST, patch, ["agents.list"]) == patch


@pytest.mark.parametrize("new", [["a"], [], "a", {"a": 1}, ["a", "c"]])
def test_an_array_loses_no_entry_unasked(new: Any) -> None:
    with pytest.raises(EntriesLost, match=r"entries of x\.y; name it in replacePaths") as caught:
        merge_careful({"x": {"y": ["a", "b"]}}, {"x": {"y": new}})
    assert caught.value.path == "x.y"
    assert merge_careful({"x": {"y": ["a", "b"]}}, {"x": {"y": new}}, ["x.y"]) == {"x": {"y": new}}


@pytest.mark.parametrize("new", [["b", "a"], ["a", "b", "c"]])
def test_an_array_may_grow_and_change_its_order(new: list[str]) -> None:
    assert merge_careful({"y": ["a", "b"]}, {"y": new}) == {"y": new}


def test_null_deletes_an_array() -> None:
    assert merge_careful({"y": ["a"], "z": 1}, {"y": None}) == {"z": 1}


PLAIN = st.recursive(
    st.none() | st.integers(0, 3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN, PLAIN)
def test_without_arrays_both_merges_agree(base: Any, patch: Any) -> None:
    assert merge_careful(base, patch) == merge_patch(base, patch)
