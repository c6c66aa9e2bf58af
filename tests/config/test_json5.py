import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import json5

DEPTH = 64

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def value(text: str) -> object:
    return json5.parse(text, DEPTH).root.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", {}),
        ("[1,]", [1]),
        ("{a:1,}", {"a": 1}),
        ("// c\n{/* x */ a: 1 // y\n}", {"a": 1}),
        ("/**//***/1/* * / */", 1),
        ("{true: 1, null: 2, if: 3}", {"true": 1, "null": 2, "if": 3}),
        ("{é: 1, $_: 2, \\u0061b: 3, 'q r': 4}", {"é": 1, "$_": 2, "ab": 3, "q r": 4}),
        ("[+1, -2, .5, 5., 0XfF, -0x10, 1e3, -0]", [1, -2, 0.5, 5.0, 255, -16, 1000.0, 0]),
        (r"'C:\\xampp \\u0041 \\'", r"C:\xampp \u0041 " + "\\"),
        (r"'\b\f\n\r\t\v\0\'\"\q\x41\u00e9'", "\b\f\n\r\t\v\0'\"qAé"),
        (r"'\ud83e\udd9e'", "🦞"),
        ("'a\\\nb\\\r\nc\\\u2028d'", "abcd"),
        ("'\u2028\t'", "\u2028\t"),
        ("\ufeff\u00a0\u3000 1 \u2029", 1),
        ("{a: 1, a: 2}", {"a": 2}),
    ],
)
def test_reads_json5(text: str, expected: object) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("", 0, "there is no value"),
        (" // only a comment", 0, "there is no value"),
        ("{a:1", 4, 'expected "," or "}", found the end of the file'),
        ("{a 1}", 3, "expected \":\" after a key, found '1'"),
        ("{a:1 bcd:2}", 5, 'expected "," or "}", found \'b…\''),
        ("{a:hello}", 3, "expected a value, found 'h…' (a text needs quotes)"),
        ("{1a:1}", 1, "expected a key, found '1…'"),
        ("[1,,2]", 3, "expected a value, found ','"),
        ("[1}", 2, 'expected "," or "]", found \'}\''),
        ("1 2", 2, "expected nothing more after the end of the value, found '2'"),
        ("{a:'x\n'}", 3, "this text is never closed with '"),
        ("{ /* a }", 2, "this comment is never closed with */"),
        ("[01]", 1, "this is not a number (a text needs quotes)"),
        ("[1.2.3]", 1, "this is not a number (a text needs quotes)"),
        ("[-]", 1, "this is not a number (Infinity and NaN are no config values)"),
        ("[-Infinity]", 1, "this is not a number (Infinity and NaN are no config values)"),
        ("[NaN]", 1, "NaN is no config value"),
        ("[1e999]", 1, "this number is too large"),
        (r"'\x4'", 1, "this escape needs 2 hexadecimal digits"),
        (r"'\u00g0'", 1, "this escape needs 4 hexadecimal digits"),
        (r"'\1'", 1, r"unknown escape \1"),
        (r"'\01'", 1, r"unknown escape \0"),
        (r"'\ud83e'", 1, "half of a surrogate pair"),
        (r"'\ud83e\u0041'", 1, "half of a surrogate pair"),
        (r"'\udd9e'", 1, "half of a surrogate pair"),
    ],
)
def test_says_what_is_wrong_and_where(text: str, offset: int, message: str) -> None:
    with pytest.raises(json5.Json5Error) as caught:
        value(text)
    assert (caught.value.offset, str(caught.value)) == (offset, message)


def test_depth_is_bounded_at_its_bound() -> None:
    assert value("[" * DEPTH + "]" * DEPTH)
    with pytest.raises(json5.Json5Error, match="nested deeper than 64 levels") as caught:
        value("[" * (DEPTH + 1) + "]" * (DEPTH + 1))
    assert caught.value.offset == DEPTH


def test_length_of_a_number_is_bounded_at_its_bound() -> None:
    longest = "1" * json5.MAX_NUMBER_CHARS
    assert value(longest) == int(longest)
    with pytest.raises(json5.Json5Error, match="more than 400 characters"):
        value(longest + "1")


def test_repeated_keys_are_reported() -> None:
    assert json5.parse("{a:1, b:{a:2}, a:3}", DEPTH).repeated == (("a", 15),)


def test_every_node_knows_its_span() -> None:
    text = '{ a: [1, "two"], /* c */ "b" : {c: -3.5} }'
    root = json5.parse(text, DEPTH).root
    spans = [root, root.members["a"], *root.members["a"].items, root.members["b"], root.members["b"].members["c"]]
    assert [text[n.start : n.end] for n in spans] == [text, '[1, "two"]', "1", '"two"', "{c: -3.5}", "-3.5"]
    assert text[root.keys["b"] :].startswith('"b"')


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '"\\"' * 100_000, "{a:1" * 50_000, "/*" * 100_000, "'\\\n" * 50_000, "1" * 200_000, "/" * 200_000]
    + ["[" + "//\n" * 60_000, "/*" + "*" * 200_000, "{" + "a" * 200_000, "[" + " " * 200_000 + "@"],
)
@pytest.mark.serial
def test_hostile_text_takes_linear_time(text: str) -> None:
    start = time.process_time()
    with pytest.raises(json5.Json5Error):
        value(text)
    assert time.process_time() - start < 2


@given(JSON)
@settings(deadline=None)
def test_reads_what_json_writes(tree: object) -> None:
    assert value(json.dumps(tree)) == tree
    assert value(json.dumps(tree, ensure_ascii=False, indent=1)) == tree


@given(st.text(alphabet=st.sampled_from(list("{}[]:,'\"\\/*ab01.eE+-x \n\tu$")) | st.characters(), max_size=60))
@settings(deadline=None)
def test_any_text_is_a_value_or_a_fault_inside_it(text: str) -> None:
    try:
        json5.parse(text, DEPTH)
    except json5.Json5Error as fault:
        assert 0 <= fault.offset <= len(text)
