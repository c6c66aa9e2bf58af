import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.runs.written import GrowingText
from tests.slack import slack

places = st.integers(0, 12)


@given(st.lists(st.tuples(st.text(max_size=3), places, places, st.none() | places)))
def test_it_is_what_a_string_would_be(steps: list[tuple[str, int, int, int | None]]) -> None:
    written, text = GrowingText("be\r\n"), "be\r\n"
    for piece, start, end, cut in steps:
        written.add(piece)
        text += piece
        assert written.between(start, end) == text[start:end]
        if cut is not None:
            written.cut(cut)
            text = text[:cut]
        assert len(written) == len(text) and str(written) == text
    written.clear()
    assert str(written) == ""


@pytest.mark.serial
def test_letter_by_letter_takes_linear_time() -> None:
    began, written = time.process_time(), GrowingText()
    for number in range(1_000_000):
        written.add("x")
        assert written.between(number, number + 1) == "x"
    assert time.process_time() - began < slack(5.0)
