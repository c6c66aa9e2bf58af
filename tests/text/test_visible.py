import io
import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.text.visible import (
    BOLD,
    ERASE,
    RED,
    RESET,
    RETURN,
    EscapingStream,
    Inked,
    hanging,
    one_line,
    paint,
    visible,
    visible_json,
)

JOINERS = {0x200C, 0x200D}
"""What emoji and several scripts are joined by."""
SEEN = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
"""Format characters that have a glyph: signs around Arabic, Syriac and Kaithi numbers."""
any_text = st.text(
    st.characters() | st.characters(categories=["Cs"]) | st.sampled_from("\x1b\x9b\r\n\u200d\ufe0f\u202e")
)


def test_what_steers_or_hides_is_unicodes() -> None:
    for code in range(sys.maxunicode + 1):
        letter = chr(code)
        unfit = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and code not in JOINERS | SEEN
        if unfit and letter not in "\n\t":
            assert visible(letter).isascii() and visible(letter).startswith("\\"), hex(code)
            assert json.loads(f'"{visible_json(letter)}"') == letter or 0xD800 <= code < 0xE000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb\rc", "a\nb\\x0dc"),
        ("\x1b]52;c;eA==\x07", "\\x1b]52;c;eA==\\x07"),
        ("\x9b2J\x7f\x85", "\\x9b2J\\x7f\\x85"),
        ("\u202e\u2066\u200f\u061c", "\\u202e\\u2066\\u200f\\u061c"),
        ("\u2028\u2029\u200b\ufeff\xad", "\\u2028\\u2029\\u200b\\ufeff\\xad"),
        ("\U000e0041\U000e0100\ud800\udcff", "\\U000e0041\\U000e0100\\ud800\\udcff"),
        ("❤\ufe0f\u200d🔥 نمی\u200cخواهم", "❤\ufe0f\u200d🔥 نمی\u200cخواهم"),
        ("a\u200c\u200d\u200c", "a\u200c\\u200d\\u200c"),
        ("a\ufe00\ufe01\u200d\ufe02", "a\ufe00\\ufe01\u200d\\ufe02"),
        ("日本 é ±", "日本 é ±"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert one_line(text) == shown.replace("\n", "\\n")
    assert hanging(text, "> ") == shown.replace("\n", "\n> ")


@given(any_text)
def test_once_is_enough(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert Inked(text) == visible(text)
    assert "\x1b" not in visible(text) and "\n" not in one_line(text)


@given(st.recursive(any_text, lambda inner: st.lists(inner) | st.dictionaries(any_text, inner)))
def test_json_means_the_same(value: object) -> None:
    text = visible_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == json.loads(json.dumps(value))
    assert visible(text) == text


def test_only_our_own_ink_steers() -> None:
    painted = paint("a\x1b[2Jb", RED)
    assert painted == f"{RED}a\\x1b[2Jb{RESET}"
    assert "\x9b" + painted + "\x07" == f"\\x9b{RED}a\\x1b[2Jb{RESET}\\x07"
    assert Inked("\x07").join(["\x1b", painted]) == f"\\x1b\\x07{painted}".replace("\\x07\\x1b[31m", "\\x07" + RED)
    assert type(painted + "x") is type("x" + painted) is type(Inked().join([painted])) is Inked
    assert visible(f"{painted}") == "\\x1b[31ma\\x1b[2Jb\\x1b[0m", "an f-string has forgotten that it was inked"


def test_what_is_cut_stays_inked() -> None:
    text = paint("a", BOLD) + "\nb\n"
    assert [type(line) for line in text.splitlines()] == [Inked, Inked]
    assert text.rpartition("\nb") == (paint("a", BOLD), "\nb", "\n")
    assert visible(text.rpartition("\nb")[0]) == paint("a", BOLD)
    assert visible(text.rstrip("\n")) == paint("a", BOLD) + "\nb"
    assert one_line(text) == paint("a", BOLD) + "\\nb\\n"
    assert text.colourless == "a\nb\n"
    assert (RETURN + ERASE).colourless == "\r\r\x1b[K"


def test_no_style_is_no_code() -> None:
    assert paint("a\x07", "") == "a\\x07"
    with pytest.raises(AssertionError):
        paint("a", "\x1b]0;x")


def test_a_guarded_terminal_takes_nothing_as_it_is_but_ink() -> None:
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    guard = EscapingStream(out)
    assert guard.write("\x1b[31m\n") == 6
    guard.write(paint("é", RED))
    guard.flush()
    assert out.buffer.getvalue() == b"\\x1b[31m\n\x1b[31m\\xe9\x1b[0m"  # type: ignore[attr-defined]
