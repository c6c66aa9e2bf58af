import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol import values
from gateway.protocol.limits import MAX_VALUES
from gateway.protocol.values import SLICE, SMALL, crowded

TEXTS = st.text(st.sampled_from('\\",[]{}aé😀\n'), max_size=12)
JSON = st.recursive(
    TEXTS | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXTS, inner, max_size=6),
    max_leaves=30,
)


def marks(value: Any) -> int:
    """What a decoder would meet: a mark for each container, and one between two of what it holds."""
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(len(value) - 1, 0) + sum(map(marks, value)) if isinstance(value, list) else 0


@given(JSON, st.integers(1, 8), st.booleans())
def test_what_stands_in_strings_is_not_counted(value: Any, slice: int, ascii: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii).encode()
    expected = marks(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "SLICE", slice)
        for most, answer in ((expected, False), (expected - 1, True)):
            patch.setattr(values, "MAX_VALUES", most)
            assert any(crowded(data)) is answer


@pytest.mark.parametrize(("more", "answer"), [(0, False), (1, True)])
def test_the_most_values(more: int, answer: bool) -> None:
    assert any(crowded(b"[" + b",".join([b"0"] * (MAX_VALUES + more)) + b"]")) is answer


@pytest.mark.parametrize("value", [b"[],", b"{},", b'"":0,', b'"a",', b"0,", b'{"":[]},'])
def test_many_values_are_found_in_the_first_slices(value: bytes) -> None:
    answers = list(crowded(b"[" + value * (8 * SLICE // len(value))))
    assert answers.index(True) <= 2


@pytest.mark.parametrize("text", ["hello, world ", "\\,[", '",', "\\\\", "[[[", "😀,"])
def test_a_large_text_is_one_value(text: str) -> None:
    data = json.dumps({"message": text * (3 * SLICE // len(text))}, ensure_ascii=False).encode()
    assert not any(crowded(data))


def test_a_small_message_cannot_be_crowded() -> None:
    assert not any(crowded(b"[" + b"0," * (SMALL // 2 - 1)))
