import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.closing import Close
from gateway.protocol.limits import MAX_CLOSE_REASON


@given(st.text())
def test_a_reason_fits_and_begins_as_the_text(text: str) -> None:
    reason = Close.because(1008, text).reason
    assert len(reason.encode()) <= MAX_CLOSE_REASON
    assert text.encode("utf-8", "replace").decode().startswith(reason)


@pytest.mark.parametrize(
    ("text", "length"),
    [("x" * 120, 120), ("x" * 121, 120), ("x" * 119 + "é", 119), ("€" * 40, 120), ("€" * 41, 120), ("😀" * 31, 120)],
)
def test_at_the_bound_no_character_is_halved(text: str, length: int) -> None:
    assert len(Close.because(1008, text).reason.encode()) == length
