"""Every letter is printed once, whatever the pieces are; lines are broken between words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gateway.cli.conversation.wrap import Wrap
from gateway.text.visible import Inked, visible

ANSI = re.compile(r"\x1b\[\d+m")


def wrapped(*pieces: str, width: int = 20, colour: bool = False, margin: str = "") -> str:
    wrap = Wrap(lambda: width, colour, margin)
    return Inked().join((*map(wrap.feed, pieces), wrap.flush()))


def test_lines_are_broken_between_words() -> None:
    assert wrapped("The quick brown fox jumps over the lazy dog") == "The quick brown fox\njumps over the lazy\ndog"


def test_a_line_may_be_full_to_its_last_column() -> None:
    assert wrapped("12345 789", width=9) == "12345 789"
    assert wrapped("12345 789", width=8) == "12345\n789"


def test_a_word_is_held_back_until_its_end_is_known() -> None:
    wrap = Wrap(lambda: 10, False)
    assert [wrap.feed(piece) for piece in ("Hel", "lo wor", "ld", ", ok\n")] == ["", "Hello", "", "\nworld, ok\n"]
    assert (wrap.feed("more"), wrap.column) == ("", 0)
    assert (wrap.flush(), wrap.column) == ("more", 4)
    assert (wrap.finish(), wrap.column) == ("\n", 0)


def test_a_word_longer_than_the_line_is_left_to_the_terminal() -> None:
    assert wrapped("see http://example.com/abc/def ok", width=10) == "see\nhttp://example.com/abc/def ok"
    assert wrapped("http://example.com/ok next", width=21) == "http://example.com/ok\nnext"
    assert wrapped("0123456789abcd ef", width=10) == "0123456789abcd ef"


def test_scripts_without_blanks_are_broken_anywhere() -> None:
    assert wrapped("日本語のテキスト", width=6) == "日本語\nのテキ\nスト"


def test_the_width_is_that_of_the_moment() -> None:
    widths = [20, 20, 20, 8, 8, 8, 8]
    wrap = Wrap(lambda: widths.pop(0), False)
    assert wrap.feed("one two three four five ") == "one two three\nfour\nfive"


def test_items_hang_below_themselves() -> None:
    assert wrapped("- one two three four\n12. one two three four", width=12) == (
        "- one two\n  three four\n12. one two\n    three\n    four"
    )


def test_a_margin_stands_before_each_line_that_follows() -> None:
    wrap = Wrap(lambda: 12, False, "  ")
    wrap.column = 2
    assert wrap.feed("one two three\nfour\n\n    five six seven\n") == (
        "one two\n  three\n  four\n\n      five\n  six seven\n"
    )


CODE = "```python\nif True:\n    print('a line that is longer than others')  # x\n\n``x\n```\nand words again, wrapped"


def test_code_is_as_it_is() -> None:
    assert wrapped(CODE) == CODE.replace("again, ", "again,\n")
    tildes = "~~~~\n~~~ a very long line of code, indeed\n~~~~~\nshort"
    assert wrapped(tildes) == tildes


def test_a_table_is_as_it_is() -> None:
    table = "| a | b |\n|---|---|\n| a long cell that is not broken | x |"
    assert wrapped(table) == table


def test_what_only_looks_like_a_code_block() -> None:
    assert wrapped("```code``` and then some words") == "```code``` and then\nsome words"


@pytest.mark.parametrize(
    ("text", "painted"),
    [
        ("# Head", "\x1b[1m#\x1b[0m \x1b[1mHead\x1b[0m"),
        ("a `b c` d", "a \x1b[36m`\x1b[0m\x1b[36mb\x1b[0m \x1b[36mc\x1b[0m\x1b[36m`\x1b[0m d"),
        ("**b c** d", "\x1b[1m**\x1b[0m\x1b[1mb\x1b[0m \x1b[1mc\x1b[0m\x1b[1m**\x1b[0m d"),
        ("2**3 * ** x", "2**3 * ** x"),
        ("`2**3`", "\x1b[36m`\x1b[0m\x1b[36m2\x1b[0m\x1b[36m**\x1b[0m\x1b[36m3\x1b[0m\x1b[36m`\x1b[0m"),
        ("`open\nnext", "\x1b[36m`\x1b[0m\x1b[36mopen\x1b[0m\nnext"),
        ("```\nx y\n```", "\x1b[2m```\x1b[0m\n\x1b[36mx\x1b[0m\x1b[36m y\x1b[0m\n\x1b[2m```\x1b[0m"),
        ("> so", "\x1b[2m>\x1b[0m \x1b[2mso\x1b[0m"),
    ],
)
def test_markdown_is_coloured_and_not_rewritten(text: str, painted: str) -> None:
    assert wrapped(text, colour=True) == painted


def test_nothing_steers_the_terminal() -> None:
    assert wrapped("a\x1b[2Jb\r\nc\u202e\ud800") == r"a\x1b[2Jb" + "\n" + r"c\u202e\ud800"


text = st.lists(
    st.sampled_from([*"ab `*#>|-~\n\t日\r\x1b", "```", "**", "- ", "1. ", "word", "\n\n", "    "]), max_size=40
).map("".join)


@given(text, st.lists(st.integers(1, 9), max_size=60), st.integers(1, 30))
def test_pieces_make_no_difference(text: str, cuts: list[int], width: int) -> None:
    pieces, rest = [], text
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    whole = wrapped(text, width=width)
    assert wrapped(*pieces, rest, width=width) == whole
    assert re.sub(r"\s", "", whole) == re.sub(r"\s", "", visible(text.replace("\r", "")))
    assert ANSI.sub("", wrapped(*pieces, rest, width=width, colour=True)) == whole


@given(st.lists(st.sampled_from(["a", "bcd", "efghijk", "日本"]), max_size=30), st.integers(7, 20))
def test_no_line_is_longer_than_it_may_be(words: list[str], width: int) -> None:
    assert all(cell_len(line) <= width for line in wrapped(" ".join(words), width=width).split("\n"))
