from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.include import MAX_FILES, MAX_INCLUDE_DEPTH, Merged, merge, resolve
from gateway.config.parse import MAX_DEPTH, Document, parse
from gateway.report import Issue


def load(files: dict[str, str], main: str = "main") -> Merged:
    def read(name: str, base: str) -> Document | Issue:
        if name not in files:
            return Issue(f"{name} cannot be read: No such file", file=name)
        return parse(files[name].encode(), name, root_object=False)

    document = read(main, "")
    assert isinstance(document, Document), document
    return resolve(document, read)


def test_siblings_win_and_the_last_include_wins_over_the_first() -> None:
    merged = load(
        {
            "main": "{g: {$include: ['a', 'b'], port: 1, list: [3]}}",
            "a": "{port: 7, bind: 'lan', list: [1], auth: {mode: 'none'}}",
            "b": "{bind: 'auto', list: [2], auth: {token: 't'}}",
        }
    )
    assert merged.issues == ()
    assert merged.tree == {"g": {"port": 1, "bind": "auto", "list": [1, 2, 3], "auth": {"mode": "none", "token": "t"}}}


def test_every_value_is_located_in_the_file_that_it_came_from() -> None:
    merged = load(
        {
            "main": "{$include: 'root',\n g: {$include: ['a', 'b'],\n port: 1}}",
            "root": "{g: {port: 2, deep: {x: 1}}, other: 1}",
            "a": "{bind: 'lan',\n mode: 1}",
            "b": "{\n bind: 'auto', nested: {$include: 'c'}}",
            "c": "{\n\n z: 1}",
        }
    )
    places = {path: merged.locate(path)[:2] for path in [("g", "port"), ("g", "bind"), ("g", "mode"), ("other",)]}
    assert places == {
        ("g", "port"): ("main", 3),
        ("g", "bind"): ("b", 2),
        ("g", "mode"): ("a", 2),
        ("other",): ("root", 1),
    }
    assert merged.locate(("g", "nested", "z"))[:2] == ("c", 3)
    assert merged.locate(("g", "deep", "x"))[:2] == ("root", 1)
    assert merged.locate(("g", "bind"), key=True)[:3] == ("b", 2, 2)
    assert merged.locate(("nothing", "of", "it"))[:2] == ("main", 1)


def test_an_included_value_may_be_anything_where_it_has_no_siblings() -> None:
    assert load({"main": "{a: {$include: 'l'}, b: [{$include: 's'}]}", "l": "[1, 2]", "s": "'x'"}).tree == {
        "a": [1, 2],
        "b": ["x"],
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"main": "{\n $include: 'none'}"}, "main:2:12: $include: none cannot be read: No such file"),
        ({"main": "{$include: 1}"}, "main:1:12: $include takes a file name or an array of file names"),
        ({"main": "{$include: []}"}, "main:1:12: $include takes a file name or an array of file names"),
        (
            {"main": "{$include: ['a', '']}", "a": "{}"},
            "main:1:12: $include takes a file name or an array of file names",
        ),
        ({"main": "{$include: 'l', a: 1}", "l": "[]"}, "main:1:12: keys beside $include need an included object"),
        (
            {"main": "{$include: 'b'}", "b": "{\n x}"},
            "b:2:3: not valid JSON5: expected \":\" after a key, found '}'",
        ),
        ({"main": "{$include: 'main'}"}, "main:1:12: $include goes in a circle: main → main"),
        (
            {"main": "{$include: 'a'}", "a": "{x: {$include: 'b'}}", "b": "{$include: 'a'}"},
            "b:1:12: $include goes in a circle: main → a → b → a",
        ),
    ],
)
def test_errors_name_the_place(files: dict[str, str], expected: str) -> None:
    assert [str(issue) for issue in load(files).issues] == [expected]


def chain(length: int) -> dict[str, str]:
    files = {f"f{number}": f"{{$include: 'f{number + 1}'}}" for number in range(length)}
    return {**files, "main": "{$include: 'f0'}", f"f{length}": "{end: 1}"}


def test_include_depth_at_its_bound() -> None:
    assert load(chain(MAX_INCLUDE_DEPTH - 1)).tree == {"end": 1}
    [issue] = load(chain(MAX_INCLUDE_DEPTH)).issues
    assert issue.message.startswith("includes nested deeper than 10: main → f0 → f1")


def test_number_of_files_at_its_bound() -> None:
    def many(count: int) -> Merged:
        return load({"main": f"{{a: [{','.join(['{$include: 1}'.replace('1', repr('x'))] * count)}]}}", "x": "1"})

    assert many(MAX_FILES - 1).issues == ()
    assert [issue.message for issue in many(MAX_FILES + 5).issues] == ["more than 64 files in one config"]


def test_includes_that_multiply_are_cut_off() -> None:
    bomb = {
        f"f{number}": f"{{a: {{$include: 'f{number + 1}'}}, b: {{$include: 'f{number + 1}'}}}}" for number in range(9)
    }
    assert (
        load({**bomb, "main": "{$include: 'f0'}", "f9": "1"}).issues[-1].message == "more than 64 files in one config"
    )


def test_depth_over_includes_is_bounded() -> None:
    deep = "{a:" * 60 + "{$include: 'x'}" + "}" * 60
    merged = load({"main": deep, "x": "{b:" * 10 + "1" + "}" * 10})
    assert [issue.message for issue in merged.issues] == [f"nested deeper than {MAX_DEPTH} levels, includes counted"]


TREES = st.recursive(
    st.integers(0, 3) | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), TREES, max_size=3)


@given(OBJECTS, OBJECTS)
@settings(deadline=None)
def test_laws_of_merging(under: dict[str, Any], over: dict[str, Any]) -> None:
    merged = merge(under, over)
    assert merge(under, {}) == under and merge({}, over) == over
    assert merged.keys() == under.keys() | over.keys()
    for key in over.keys() - under.keys():
        assert merged[key] == over[key]
    for key, value in over.items():
        if not isinstance(value, dict | list):
            assert merged[key] == value


@given(OBJECTS, OBJECTS, OBJECTS)
@settings(deadline=None)
def test_merging_scalars_and_objects_is_associative(one: Any, two: Any, three: Any) -> None:
    def same_kinds(*trees: Any) -> bool:
        kinds = {type(tree) for tree in trees if tree is not None}
        if kinds == {dict}:
            keys = {key for tree in trees if tree for key in tree}
            return all(same_kinds(*(tree.get(key) for tree in trees if tree)) for key in keys)
        return len(kinds) <= 1 and None not in trees

    if same_kinds(one, two, three):
        assert merge(merge(one, two), three) == merge(one, merge(two, three))
