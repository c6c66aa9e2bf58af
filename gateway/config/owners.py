"""Edit a config with includes: find the file that has a key, and make the new texts of all files. Pure."""

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from gateway.config import edit
from gateway.config.compare import same
from gateway.config.include import KEY, Layer
from gateway.config.parse import Document, Path, dotted

_GONE: Final = object()


class NotOwned(ValueError):
    """No single file can be edited for a change; `str()` names the files that have the key."""


def texts(layers: tuple[Layer, ...], tree: dict[str, Any], wanted: dict[str, Any]) -> dict[str, str]:
    """File name -> new text of each file that changes, to make the merged tree `wanted`.

    Raises NotOwned and edit.CannotEdit. The caller must check the result: arrays of several files, and files that
    include others, may give another tree.
    """
    values: dict[str, Any] = {}
    documents: dict[str, Document] = {}
    often = Counter(document.file for _, _, document in layers)
    for path, value in _differences(tree, wanted, ()):
        for inside, document in _places(layers, path, gone=value is _GONE):
            if often[document.file] > 1:
                raise NotOwned(f"{dotted(path)} stands in {document.file}, which is included more than once")
            documents[document.file] = document
            now = values.get(document.file, document.value)
            values[document.file] = _with(copy.deepcopy(now), inside, value)
    return {file: edit.rewrite(document.text, values[file]) for file, document in documents.items()}


def with_value(layers: tuple[Layer, ...], tree: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, str]:
    """As `texts`, for one value at a path."""
    wanted = copy.deepcopy(tree)
    node: Any = wanted
    for key in path[:-1]:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise NotOwned(f"{key} of {dotted(path)} is no object")
    node[path[-1]] = value
    return texts(layers, tree, wanted)


def flattens(parsed: Any, value: Any, tree: Any) -> bool:
    """Whether `value` contains itself what the file includes: a client has sent back the merged config."""
    if not isinstance(parsed, dict) or not isinstance(value, dict):
        return False
    if KEY in parsed and KEY not in value:
        included = set(tree) - set(parsed) if isinstance(tree, dict) else set()
        return bool(included & value.keys())
    at = tree if isinstance(tree, dict) else {}
    return any(flattens(parsed[key], value[key], at.get(key)) for key in parsed.keys() & value.keys())


def _differences(old: Any, new: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """(path, new value or `_GONE`) of each difference; arrays as a whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _differences(old.get(key, _GONE), new.get(key, _GONE), (*path, key))
    elif new is _GONE or old is _GONE or not same(old, new):
        yield path, new


def _places(layers: tuple[Layer, ...], path: Path, *, gone: bool) -> list[tuple[Path, Document]]:
    """The files to edit: all that have the path if it is removed, otherwise the one that counts."""
    holding = _holding(layers, path)
    if len(holding) > 1 and any(isinstance(_value(document.value, inside), list) for inside, document in holding):
        files = " and ".join(document.file for _, document in holding)
        raise NotOwned(f"{dotted(path)} is put together of what stands in {files}")
    for inside, document in holding:
        if _includes(_value(document.value, inside)):
            raise NotOwned(f"{dotted(path)} stands in {document.file} with a $include in it")
    if holding:
        return holding if gone else holding[:1]
    for length in range(len(path) - 1, -1, -1):
        if beside := _holding(layers, path[:length]):
            inside, document = beside[0]
            return [((*inside, *path[length:]), document)]
    raise NotOwned(f"{dotted(path)} stands in no file")


def _holding(layers: tuple[Layer, ...], path: Path) -> list[tuple[Path, Document]]:
    """The files that have the path, the one that counts first. An object with only `$include` does not count."""
    found = []
    for mount, inside, document in layers:
        target = inside + path[len(mount) :]
        if path[: len(mount)] == mount and document.has(target):
            value = _value(document.value, target)
            if not (isinstance(value, dict) and value.keys() == {KEY}):
                found.append((target, document))
    return found


def _includes(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_includes, value))
    return isinstance(value, dict) and (KEY in value or any(map(_includes, value.values())))


def _value(tree: Any, path: Path) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def _with(tree: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    node = tree
    for step in path[:-1]:
        node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
    if value is not _GONE:
        node[path[-1]] = value
    elif isinstance(node, dict):
        node.pop(path[-1], None)
    return tree
