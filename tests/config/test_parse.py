import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.parse import MAX_BYTES, MAX_DEPTH, Document, TextPosition, dotted, parse
from gateway.report import Issue

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def good(data: str | bytes) -> Document:
    found = parse(data.encode() if isinstance(data, str) else data, "f.json")
    assert isinstance(found, Document), found
    return found


def bad(data: str | bytes) -> tuple[int | None, int | None, str]:
    found = parse(data.encode() if isinstance(data, str) else data, "f.json")
    assert isinstance(found, Issue), found
    assert found.file == "f.json"
    return (found.line, found.column, found.message)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", (1, 1, "the file is empty; an empty config is {}")),
        (b" \n\t", (1, 1, "the file is empty; an empty config is {}")),
        (b"\xff\xfe{\x00}\x00", (1, 1, "this is UTF-16; save it as UTF-8")),
        (b"{\n a: '\xe9'}", (2, 6, "not UTF-8 (byte 0xe9)")),
        ("{\n é: '\0'}", (2, 6, "a NUL character; this is not a text file")),
        ("[1]", (1, 1, "the config must be an object: { … }")),
        ("// text\n 'a'", (2, 2, "the config must be an object: { … }")),
        ("{a: NaN}", (1, 5, "not valid JSON5: NaN is no config value")),
        ('{"a": NaN}', (1, 7, "not valid JSON5: NaN is no config value")),
        ('{"a": 1e999}', (1, 7, "not valid JSON5: this number is too large")),
        ('{"a": "\\ud800"}', (1, 8, "not valid JSON5: half of a surrogate pair")),
        ('{"a":\n  1,,}', (2, 5, "not valid JSON5: expected a key, found ','")),
        ("// only", (1, 1, "not valid JSON5: there is no value")),
        ('{"a": ' + "1" * 5000 + "}", (1, 7, "not valid JSON5: a number of more than 400 characters")),
    ],
    ids=range(14),
)
def test_says_where_and_what(data: str | bytes, expected: tuple[int, int, str]) -> None:
    assert bad(data) == expected


@pytest.mark.parametrize("data", ["[" * 100_000, '{"a":' * 100_000, "{a:" * 100_000])
def test_hostile_nesting_is_an_issue(data: str) -> None:
    assert "nested deeper than 64 levels" in bad(data)[2]


def test_depth_at_its_bound() -> None:
    def nested(depth: int) -> str:
        return '{"a":' * depth + "1" + "}" * depth

    assert good(nested(MAX_DEPTH))
    assert bad(nested(MAX_DEPTH + 1)) == (1, 5 * MAX_DEPTH + 1, "not valid JSON5: nested deeper than 64 levels")


def test_size_at_its_bound() -> None:
    assert good("{}" + " " * (MAX_BYTES - 2))
    assert bad("{}" + " " * (MAX_BYTES - 1)) == (None, None, f"larger than {MAX_BYTES} bytes")


def test_a_byte_order_mark_is_tolerated() -> None:
    assert good(b'\xef\xbb\xbf{"a": 1}').value == {"a": 1}
    assert bad(b"\xef\xbb\xbf{a: '\xe9'}") == (1, 6, "not UTF-8 (byte 0xe9)")


def test_places_of_values_and_keys() -> None:
    document = good('{\n  "é": 1, b: [\n    2, {c: 3}]\n}')
    assert document.locate(("é",)) == TextPosition("f.json", 2, 8)
    assert document.locate(("é",), key=True) == TextPosition("f.json", 2, 3)
    assert document.locate(("b", 1, "c")) == TextPosition("f.json", 3, 12)
    assert document.locate(("b", 1, "c"), key=True) == TextPosition("f.json", 3, 9)
    assert document.locate(("b", 9)) == document.locate(("b",)) == TextPosition("f.json", 2, 14)
    assert document.locate(()) == document.locate(("none",)) == TextPosition("f.json", 1, 1)
    assert document.has(("b", 1, "c")) and not document.has(("b", 2)) and not document.has(("é", "x"))


def test_a_repeated_key_is_told_in_plain_json_too() -> None:
    assert good('{"a": 1, "a": 2}').repeated == (("a", TextPosition("f.json", 1, 10)),)
    assert good('{"a": 1, "a": 2}').value == {"a": 2}
    assert good('{"a": 1}').repeated == ()


def test_dotted() -> None:
    assert dotted(("a", 1, "b")) == "a.1.b"


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4))
@settings(deadline=None)
def test_reads_what_json_reads(tree: object) -> None:
    for text in (json.dumps(tree), json.dumps(tree, indent=2, ensure_ascii=False) + "// and as JSON5"):
        assert good(text).value == tree


@given(
    st.binary(max_size=80) | st.text(alphabet=st.sampled_from(list("{}[]:,'\"\\/*a0.\n")), max_size=60).map(str.encode)
)
@settings(deadline=None)
def test_any_bytes_are_a_document_or_an_issue(data: bytes) -> None:
    found = parse(data, "f.json", root_object=False)
    assert isinstance(found, Document) or (found.message and found.line)
