"""Schemas of tools in the form that providers take."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import Tool

from gateway.agent.mcp.schemas import LEFT_OUT, MAX_DEPTH, MAX_SCHEMA, mend, mend_listing

TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ({}, {"type": "object", "properties": {}}),
        ({"properties": {"a": TEXT}}, {"type": "object", "properties": {"a": TEXT}}),
        ({"type": ["object", "null"]}, {"type": "object", "properties": {}}),
        ({"type": "object", "properties": {"a": True}}, {"type": "object", "properties": {"a": {}}}),
        (
            {"anyOf": [{"properties": {"a": TEXT}, "required": ["a"]}, {"properties": {"b": TEXT}, "required": ["a"]}]},
            {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "required": ["a"]},
        ),
        (
            {"allOf": [{"properties": {"a": TEXT}, "required": ["a"]}, {"properties": {"b": TEXT}, "required": ["b"]}]},
            {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "required": ["a", "b"]},
        ),
        (
            {"type": "object", "properties": {"a": TEXT}, "required": ["a", "gone"]},
            {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
        ),
        (
            {
                "$ref": "#/$defs/In",
                "$defs": {"In": {"type": "object", "properties": {"a": {"$ref": "#/$defs/T"}}}, "T": TEXT},
            },
            {
                "$defs": {"In": {"type": "object", "properties": {"a": {"$ref": "#/$defs/T"}}}, "T": TEXT},
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/T"}},
            },
        ),
        (
            {"properties": {"a": {"$ref": "https://example.com/x", "title": "A"}, "b": {"$ref": "#/gone"}}},
            {"type": "object", "properties": {"a": {"title": "A"}, "b": {}}},
        ),
    ],
)
def test_what_can_be_said_as_an_object_is(written: dict[str, Any], sent: dict[str, Any]) -> None:
    assert mend(written) == (sent, None)


def deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ([], "its schema is no object"),
        ({"$ref": "#/$defs/gone"}, "its schema refers to what is not in it"),
        ({"anyOf": [], "$ref": "#/anyOf/" + "9" * 5000}, "its schema refers to what is not in it"),
        ({"$ref": "#"}, "its schema refers to what is not in it"),
        ({"$ref": "https://example.com/x"}, "its schema refers to what is not in it"),
        (deep(MAX_DEPTH + 1), f"its schema is nested deeper than {MAX_DEPTH} levels"),
        ({"x": float("nan")}, "its schema has a number that is none"),
    ],
)
def test_what_cannot_leaves_the_tool_out_and_says_why(written: Any, why: str) -> None:
    assert mend(written) == ({}, why)


def test_at_the_bounds() -> None:
    assert mend(deep(MAX_DEPTH))[1] is None
    room = MAX_SCHEMA - len(json.dumps({"x": ""}))
    assert mend({"x": "y" * room})[1] is None
    assert "characters" in (mend({"x": "y" * (room + 1)})[1] or "")


KEYS = st.sampled_from(["type", "properties", "required", "anyOf", "allOf", "$ref", "$defs", "a", "items"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["object", "#/$defs/a", "#", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@given(ANYTHING)
def test_whatever_is_written_is_an_object_or_left_out(written: Any) -> None:
    schema, why = mend(written)
    if why is None:
        assert schema["type"] == "object" and all(isinstance(each, dict) for each in schema["properties"].values())
        assert set(schema.get("required", [])) <= set(schema["properties"])
        assert not {"anyOf", "oneOf", "allOf", "$ref"} & set(schema)
        assert mend(schema) == (schema, None)


@given(ANYTHING, st.lists(ANYTHING, max_size=3))
def test_a_listing_has_what_can_be_listed(written: Any, others: list[Any]) -> None:
    result = {"tools": [{"name": "a", "inputSchema": written}, *others]}
    mend_listing(result)
    assert result["tools"][0]["name"] == "a"
    for tool in result["tools"]:
        Tool.model_validate(tool, by_name=False)
        assert (tool["inputSchema"].get(LEFT_OUT) is None) or len(tool["inputSchema"]) == 2


def test_what_is_no_listing_stays_as_it_is() -> None:
    for result in ({}, {"tools": 5}, {"content": []}):
        before = dict(result)
        mend_listing(result)
        assert result == before
