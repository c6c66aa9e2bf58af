import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import json5
from gateway.config.edit import Refused, set_value


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
    with pytest.raises(Refused, match=r"^a\.b is not an object, so it has no key c$"):
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
@settings(deadline=None, max_examples=150)
def test_setting_a_value_is_what_it_says(tree: dict[str, object], path: list[str], value: object, indent: int) -> None:
    text = json.dumps(tree, indent=indent, ensure_ascii=False)
    try:
        edited = set_value(text, tuple(path), value)
    except Refused:
        return
    node = json5.parse(edited, 64).root
    for key in path:
        node = node.members[key]
    assert node.value == value
    assert set_value(edited, tuple(path), value) == edited
