import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.text.lines import LineSplitter, LineTooLong


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_it_does_not_matter_where_the_stream_is_cut(data: bytes, cuts: list[int]) -> None:
    lines = LineSplitter(1000)
    places = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]
    found = [line for a, b in zip(places, places[1:], strict=False) for line in lines.feed(data[a:b])]
    assert found == [line for line in data.split(b"\n")[:-1] if line]


def test_a_line_may_have_as_many_bytes_as_the_bound_with_its_newline() -> None:
    assert LineSplitter(5).feed(b"1234\n") == [b"1234"]
    with pytest.raises(LineTooLong):
        LineSplitter(5).feed(b"12345\n")


def test_an_unfinished_line_is_refused_as_soon_as_it_is_too_long_and_then_forgotten() -> None:
    lines = LineSplitter(5)
    lines.feed(b"123")
    lines.feed(b"45")
    with pytest.raises(LineTooLong):
        lines.feed(b"6")
    assert lines.feed(b"78\n") == [b"78"]
