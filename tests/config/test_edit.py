import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import json5
from gateway.config.compare import same
from gateway.config.edit import CannotEdit, rewrite, set_value
from gateway.config.patch import merge_patch
from tests.effort import examples


@pytest.mark.parametrize(
    ("text", "path", "value", "expected"),
    [
        ("{}", "a", 1, '{"a": 1}'),
        ("{ // nothing yet\n}", "a", 1, '{ // nothing yet\n  "a": 1\n}'),
        ('{"a": 1}\n', "a", 2, '{"a": 2}\n'),
        ("{a: 1 /* one */, b: 2}", "a", "x", '{a: "x" /* one */, b: 2}'),
        ("{a: 1}", "b", 2, "{a: 1, b: 2}"),
        ("{a: 1,}", "b", 2, "{a: 1, b: 2}"),
        ('{"a": 1}', "b-c", 2, '{"a": 1, "b-c": 2}'),
        ("{\n  // first\n  a: 1 // one\n}\n", "b", 2, "{\n  // first\n  a: 1, // one\n  b: 2\n}\n"),
        ("{\n\ta: 1, // one\n}\n", "b", 2, "{\n\ta: 1, // one\n\tb: 2,\n}\n"),
        (
            '{\n  "g": {\n    "p": 1\n  }\n}',
            "g.a.t",
            "x",
            '{\n  "g": {\n    "p": 1,\n    "a": {\n      "t": "x"\n    }\n  }\n}',
        ),
        ('{\n  "g": {\n    "p": [1,\n 2]\n  }\n}', "g.p", [], '{\n  "g": {\n    "p": []\n  }\n}'),
        ("// only\n{g: {}} // end", "g.p", None, '// only\n{g: {"p": null}} // end'),
    ],
)
def test_only_the_value_changes(text: str, path: str, value: object, expected: str) -> None:
    assert set_value(text, tuple(path.split(".")), value) == expected


def test_a_key_below_a_value_is_refused() -> None:
    with pytest.raises(CannotEdit, match=r"^a\.b is not an object, so it has no key c$"):
        set_value("{a: {b: 1}}", ("a", "b", "c"), 1)


def test_a_repeated_key_is_refused_rather_than_guessed() -> None:
    """The value that counts is changed, so a repeated key is no trap."""
    assert set_value("{a: 1, a: 2}", ("a",), 3) == "{a: 1, a: 3}"


KEYS = st.sampled_from(["a", "b", "c-d", "é"])
TREES = st.recursive(
    st.integers(0, 9) | st.text(max_size=3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(KEYS, TREES, max_size=3), st.lists(KEYS, min_size=1, max_size=3), TREES, st.sampled_from([None, 2])
)
@settings(deadline=None, max_examples=examples(150))
def test_setting_a_value_is_what_it_says(tree: dict[str, object], path: list[str], value: object, indent: int) -> None:
    text = json.dumps(tree, indent=indent, ensure_ascii=False)
    try:
        edited = set_value(text, tuple(path), value)
    except CannotEdit:
        return
    node = json5.parse(edited, 64).root
    for key in path:
        node = node.members[key]
    assert node.value == value
    assert set_value(edited, tuple(path), value) == edited


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("{a: 1, b: 2, c: 3}", {"a": 1, "c": 3}, "{a: 1, c: 3}"),
        ("{a: 1, b: 2}", {"a": 1}, "{a: 1}"),
        ("{a: 1, b: 2}", {}, "{}"),
        ("{a: 1, // c\n b: 2}", {"a": 1}, "{a: 1 // c\n}"),
        ("{\n  a: 1, // one\n  b: 2, // two\n  // end\n}", {"a": 1}, "{\n  a: 1, // one\n  // end\n}"),
        ('{\n  "a": 1,\n  "b": 2\n}\n', {"a": 1}, '{\n  "a": 1\n}\n'),
        ('{\n  "a": 1,\n  "b": 2\n}\n', {"a": 1, "c": 3, "d": 4}, '{\n  "a": 1,\n  "c": 3,\n  "d": 4\n}\n'),
        ("{a: {b: 1 /* x */}, c: 2}", {"a": {"b": 3}, "c": 2}, "{a: {b: 3 /* x */}, c: 2}"),
        ("{a: [1, /* two */ 2]}", {"a": [1, 3, 4]}, "{a: [1, /* two */ 3, 4]}"),
        ("[\n  1, // one\n  2 // two\n]", [1, 2, 3], "[\n  1, // one\n  2, // two\n  3\n]"),
        ("{a: 1.0, b: 'x'}", {"a": 1, "b": "x"}, "{a: 1.0, b: 'x'}"),
        ("{a: true}", {"a": 1}, "{a: 1}"),
        ("{a: 1} // x", {"a": 1, "b": {"c": [1, 2]}}, '{a: 1, b: {"c": [1, 2]}} // x'),
    ],
)
def test_a_rewrite_touches_only_what_differs(text: str, value: object, expected: str) -> None:
    assert rewrite(text, value) == expected


def test_a_repeated_key_that_goes_is_refused() -> None:
    """Without its last one, the one before would count."""
    with pytest.raises(CannotEdit, match="edit the file by hand"):
        rewrite("{a: 1, a: 2}", {})


NOISE = st.sampled_from(["", " ", "\n", " /* x */ ", " // y\n", "\n  "])


@st.composite
def texts(draw: st.DrawFn, tree: st.SearchStrategy[object] = TREES) -> str:
    """JSON5 of a tree, with comments and blanks anywhere and commas at the end or not."""

    def write(value: object) -> str:
        if isinstance(value, dict):
            parts = [f"{json.dumps(key)}{draw(NOISE)}:{draw(NOISE)}{write(child)}" for key, child in value.items()]
        elif isinstance(value, list):
            parts = [write(child) for child in value]
        else:
            return json.dumps(value)
        inside = ",".join(f"{draw(NOISE)}{part}{draw(NOISE)}" for part in parts)
        inside += draw(st.sampled_from(["", ","])) if parts else ""
        return ("{%s%s}" if isinstance(value, dict) else "[%s%s]") % (inside, draw(NOISE))

    return write(draw(tree))


@given(texts(), TREES)
@settings(deadline=None, max_examples=examples(300))
def test_a_rewritten_text_means_what_was_asked(text: str, value: object) -> None:
    edited = rewrite(text, value)
    assert same(json5.parse(edited, 64).root.value, value)
    assert rewrite(edited, value) == edited


@given(st.dictionaries(KEYS, TREES, max_size=3), st.data())
@settings(deadline=None, max_examples=examples(200))
def test_a_patch_on_the_text_is_the_patch_on_the_value(patch: dict[str, object], data: st.DataObject) -> None:
    text = data.draw(texts(st.dictionaries(KEYS, TREES, max_size=3)))
    merged = merge_patch(json5.parse(text, 64).root.value, patch)
    assert same(json5.parse(rewrite(text, merged), 64).root.value, merged)
