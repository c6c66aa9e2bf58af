import json
from typing import Any

import pytest

from gateway.config import edit, json5, move
from gateway.config.parse import MAX_DEPTH


def value(text: str) -> Any:
    return json5.parse(text, MAX_DEPTH).root.value


def test_a_value_goes_with_its_form_and_its_comments() -> None:
    text = "{\n  // of a\n  /* too */\n  a: { x: 1, /* in */ y: [1,2] }, // behind\n  b: 1, // of b\n}\n"
    assert move.move(text, ("a",), ("c", "d")) == (
        "{\n  b: 1, // of b\n  c: {\n    // of a\n    /* too */\n    // behind\n"
        '    "d": { x: 1, /* in */ y: [1,2] }\n  },\n}\n'
    )


def test_on_one_line_comments_stay_comments() -> None:
    text = "{\n// of a\na: 1,\nb: {c: 2} }"
    assert move.move(text, ("a",), ("b", "a")) == "{\nb: {c: 2, a: /* of a */ 1} }"


def test_plain_json_stays_plain_json() -> None:
    text = '{\n  "a": {"x": 1},\n  "b": 2\n}\n'
    assert json.loads(move.move(text, ("b",), ("a", "b"))) == {"a": {"x": 1, "b": 2}}


def test_an_item_is_copied_and_a_text_over_two_lines_keeps_its_blanks() -> None:
    text = "{\n  list: [\n    // first\n    { a: 'x\\\n    y' },\n  ],\n}"
    moved = move.move(text, ("list", 0), ("e", "k"), keep=True)
    assert value(moved)["e"]["k"] == value(text)["list"][0] and moved.count("// first") == 2
    assert value(move.remove(moved, ("list",))) == {"e": {"k": {"a": "x    y"}}}


def test_a_comment_in_a_text_is_none() -> None:
    assert move.comments("{a: '// no', b: \"/* no */\", /* c */ d: 1 // e\n}") == ["/* c */", "// e"]


def test_no_comment_is_lost() -> None:
    old = "{ // a\n /* b */ x: 1 }"
    assert move.with_comments_of("{y: 1}", old) == "{\n  // a\n  /* b */\ny: 1}"
    assert move.with_comments_of(old, old) == old
    assert move.with_comments_of("{y: 1 /* a */, /*b*/ }", old) == "{y: 1 /* a */, /*b*/ }"


def test_lines_end_as_before() -> None:
    assert move.with_comments_of("{\ny: 1\r\n}", "{\r\n// a\r\n}") == "{\r\n  // a\r\n\r\ny: 1\r\n}"


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(edit.CannotEdit):
        move.move("{a: 1, b: 2}", ("a",), ("b", "c"))


def test_comments_above_go_alone() -> None:
    assert move.without_lead("{\n  // a\n  a: 1,\n}", ("a",)) == "{\n  a: 1,\n}"
