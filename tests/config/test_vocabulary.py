from typing import Any

import pytest

from gateway.config.fields import FIELDS
from gateway.config.openclaw import READ
from gateway.config.vocabulary import FIRST, LATEST, Vocabulary, new_unknown_keys, unrecognized_messages

BOTH = Vocabulary(LATEST, FIRST)


@pytest.mark.parametrize(
    ("tree", "strange"),
    [
        ({"gateway": {"port": 1, "tls": {"enabled": True}}, "$schema": "x"}, []),
        ({"zzz": {"a": 1}, "agents": {"main": {}}}, [("zzz",), ("agents", "main")]),
        ({"agents": {"list": [{"id": "a"}, {"id": "b", "modle": "x"}]}}, [("agents", "list", 1, "modle")]),
        ({"agents": {"defaults": {"models": {"openai/gpt-5.2": {"alias": "g", "b": 1}}}}},
         [("agents", "defaults", "models", "openai/gpt-5.2", "b")]),
        ({"gateway": {"auth.token": 1}}, [("gateway", "auth.token")]),
        ({"gateway": {"reload": {"debounceMs": 1}}, "models": {"providers": {"builtin": {"paceMs": 1}}}}, []),
        ({"tts": {"$include": "x"}, "gateway": 5, "cron": [{"a": 1}]}, []),
        ({"channels": {"anything": {"a": {"b": 1}}}}, []),
    ],
)  # fmt: skip
def test_what_nobody_knows(tree: Any, strange: list[Any]) -> None:
    assert list(BOTH.unknown_keys(tree)) == strange


@pytest.mark.parametrize("tree", [None, 5, "x", [], [{"a": 1}], {"agents": [{"x": 1}]}, {"": 1, "*": 2, "[]": 3}])
def test_any_value_is_looked_through(tree: Any) -> None:
    list(BOTH.unknown_keys(tree))


def test_what_is_honoured_is_known() -> None:
    for path in FIELDS:
        assert BOTH.knows(tuple(path.split(".")))
    for section, names in READ.items():
        for name in names or ():
            assert BOTH.knows((*section.split("."), name)), (section, name)


@pytest.mark.parametrize(
    ("path", "near"),
    [(("agents", "defaults", "modle"), "model"), (("chanels",), "channels"), (("zzz",), None), (("env", "x"), None)],
)
def test_the_nearest_key(path: Any, near: str | None) -> None:
    assert BOTH.nearest(path) == near


def test_in_openclaws_words() -> None:
    assert unrecognized_messages([("zzz",), ("a", 0, "b"), ("a", 0, 'c"')]) == [
        ("<root>", 'Unrecognized key: "zzz"'),
        ("a.0", 'Unrecognized keys: "b", "c\\""'),
    ]


def test_a_write_brings_what_was_not_there() -> None:
    before = {"zzz": {"a": 1}, "agents": {"list": [{"x": 1}]}}
    assert new_unknown_keys(before, {**before, "zzz": {"a": 2, "b": 3}}) == []
    assert new_unknown_keys(before, {**before, "yyy": 1}) == [("yyy",)]
    assert new_unknown_keys({}, {"agents": {"list": []}}, protocol=3) == []
    assert new_unknown_keys({}, {"canvasHost": {}}, protocol=4) == [("canvasHost",)]
