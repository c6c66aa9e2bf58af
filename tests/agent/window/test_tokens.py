"""Estimates: never nothing for something, more for more, and whatever a transcript has."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agent.window import tokens

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(("text", "least", "most"), [("", 0, 0), ("x" * 350, 100, 101), ("漢" * 100, 100, 101)])
def test_a_text(text: str, least: int, most: int) -> None:
    assert least <= tokens.of_text(text) <= most


@given(st.text(max_size=50), st.text(max_size=50))
def test_more_text_takes_more(one: str, other: str) -> None:
    assert tokens.of_text(one + other) >= max(tokens.of_text(one), tokens.of_text(other)) - 1
    assert tokens.of_text("x" * tokens.chars(100)) <= 100


@given(st.dictionaries(st.sampled_from(["role", "content", "summary"]), JSON))
def test_any_message_has_a_size(message: dict[str, Any]) -> None:
    assert tokens.of_message(message) >= tokens.MESSAGE


def test_what_blocks_take() -> None:
    picture, sealed = {"type": "image", "data": "A" * 10**6}, {"type": "thinking", "thinking": "x" * 70}
    assert tokens.of_blocks([picture]) == tokens.PICTURE
    assert tokens.of_blocks([sealed]) == 0 and tokens.of_blocks([{**sealed, "thinkingSignature": "s"}]) == 21
    call = {"type": "toolCall", "name": "look", "arguments": {"at": "x" * 70}}
    assert tokens.of_blocks([call]) > 36
    assert tokens.of_messages([{"role": "compaction", "summary": "x" * 35}]) == tokens.MESSAGE + 11


def test_what_a_provider_has_measured() -> None:
    usage = {"input": 1, "cacheRead": 2.0, "cacheWrite": 4, "output": 8, "totalTokens": 99}
    assert tokens.reported({"role": "assistant", "usage": usage}) == 7
    for nonsense in ({}, {"role": "assistant"}, {"role": "assistant", "usage": {"input": "x", "output": -1}}):
        assert tokens.reported(nonsense) == 0
