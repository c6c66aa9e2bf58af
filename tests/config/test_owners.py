from typing import Any

import pytest

from gateway.config.include import Layer, resolve
from gateway.config.owners import NotOwned, flattens, texts, with_value
from gateway.config.parse import Document, parse
from gateway.report import Issue

FILES = {
    "main": "{ $include: 'root', a: { $include: 'a' }, b: { $include: 'b', own: 1 }, list: [1] }",
    "root": "{ logging: { level: 'info' }, list: [2] } // root",
    "a": "{ x: 1, deep: { y: 2 }, items: [{ $include: 'c' }] }",
    "b": "{ z: 3 }",
    "c": "{ q: 1 }",
}


def load(files: dict[str, str]) -> tuple[tuple[Layer, ...], Any]:
    def read(name: str, base: str) -> Document | Issue:
        return parse(files[name].encode(), name, root_object=False)

    main = read("main", "")
    assert isinstance(main, Document)
    merged = resolve(main, read)
    return merged.layers, merged.tree


@pytest.mark.parametrize(
    ("path", "value", "file", "text"),
    [
        ("logging.level", "debug", "root", "{ logging: { level: \"debug\" }, list: [2] } // root"),
        ("a.x", 5, "a", "{ x: 5, deep: { y: 2 }, items: [{ $include: 'c' }] }"),
        ("a.deep.new", 5, "a", "{ x: 1, deep: { y: 2, new: 5 }, items: [{ $include: 'c' }] }"),
        ("a.new", 5, "a", "{ x: 1, deep: { y: 2 }, items: [{ $include: 'c' }], new: 5 }"),
        ("b.z", 5, "b", "{ z: 5 }"),
        ("b.own", 5, "main", FILES["main"].replace("own: 1", "own: 5")),
        ("new", 5, "main", FILES["main"].replace("[1] }", "[1], new: 5 }")),
    ],
)  # fmt: skip
def test_a_value_goes_where_its_key_is(path: str, value: Any, file: str, text: str) -> None:
    layers, tree = load(FILES)
    assert with_value(layers, tree, tuple(path.split(".")), value) == {file: text}


def test_what_goes_goes_from_everywhere() -> None:
    layers, tree = load({"main": "{ $include: ['a', 'b'], x: 1 }", "a": "{ x: 2, y: 1 }", "b": "{ x: 3 }"})
    assert texts(layers, tree, {"y": 1}) == {"main": "{ $include: ['a', 'b'] }", "a": "{ y: 1 }", "b": "{ }"}
    assert texts(layers, tree, tree) == {}


@pytest.mark.parametrize(
    ("path", "named"),
    [("list", ["main", "root"]), ("a.items", ["a"]), ("a.deep.y.z", ["no object"])],
)
def test_what_no_file_has_alone(path: str, named: list[str]) -> None:
    layers, tree = load(FILES)
    with pytest.raises(NotOwned) as refused:
        with_value(layers, tree, tuple(path.split(".")), [5])
    assert all(name in str(refused.value) for name in named)


def test_a_file_that_is_included_twice() -> None:
    layers, tree = load({"main": "{ a: { $include: 'x' }, b: { $include: 'x' } }", "x": "{ y: 1 }"})
    with pytest.raises(NotOwned, match="x, which is included more than once"):
        with_value(layers, tree, ("a", "y"), 2)


def test_a_whole_that_takes_in_what_others_include() -> None:
    parsed, tree = {"$include": "x", "a": {"$include": "y"}}, {"b": 1, "a": {"c": 1}}
    assert flattens(parsed, tree, tree)
    assert flattens(parsed, {"$include": "x", "a": {"c": 2}}, tree)
    assert not flattens(parsed, {"$include": "x", "a": {"$include": "y"}}, tree)
    assert not flattens(parsed, {"a": {"$include": "y"}}, tree), (
        "the include was taken out, and what it brought with it"
    )
