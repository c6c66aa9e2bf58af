"""Texts of config files: any bytes, JSON5 with everything in it, files that include each other, and changes of them.

0xff ends a file; the first is the main one, the others are included as `a`, `b`, … Where NUL comes first, what follows
makes a text and changes of it.
"""

import json
from pathlib import Path
from typing import Any

from gateway.config import json5
from gateway.config.agent_edit import Unfit, add, change, remove
from gateway.config.compare import same
from gateway.config.dotenv import parse_dotenv
from gateway.config.edit import CannotEdit, rewrite, set_value
from gateway.config.files import Snapshot, evaluate
from gateway.config.include import resolve
from gateway.config.parse import MAX_DEPTH, Document, parse
from gateway.config.patch import EntriesLost, merge_careful, merge_patch
from gateway.report import Issue
from tests.fuzz.source import Source

TOKENS = [
    b"\xff",
    b"//",
    b"/*",
    b"*/",
    b'"$include"',
    b"${HOME}",
    b"gateway",
    b"auth",
    b"models",
    b"providers",
    b"agents",
]
TOKENS += [
    b"list",
    b"entries",
    b"bindings",
    b"mcp",
    b"servers",
    b"\\u0041",
    b"\xe2\x80\xa8",
    b"1e9",
    b"0x1",
    b"null",
    b"'",
]
KEYS = ("a", "b", "c-d", "é", "")
ENV = {"HOME": "/home/u", "EMPTY": ""}


def one(data: bytes) -> None:
    if data[:1] == b"\0":
        source = Source(data[1:], words=KEYS)
        main = parse(written(source), "m")
        if isinstance(main, Document):
            edit(main, source)
        return
    texts = data.split(b"\xff")
    documents = {}
    for name, each in zip("main abcdefgh".replace(" ", ""), texts, strict=False):
        if isinstance(found := parse(each, name, root_object=name == "m"), Document):
            twice_the_same(found)
            documents[name] = found
        else:
            placed(found, each)
    parse_dotenv(texts[0].decode(errors="replace"))
    if (main := documents.get("m")) is not None:
        read(main, documents)
        edit(main, Source(texts[-1]))


def written(source: Source) -> bytes:
    """JSON5 of a value, with comments, blanks and commas where they may stand."""

    def write(value: Any) -> str:
        if not isinstance(value, dict | list):
            return json.dumps(value)
        parts = (
            [f"{json.dumps(key)}{noise()}:{noise()}{write(child)}" for key, child in value.items()]
            if isinstance(value, dict)
            else [write(child) for child in value]
        )
        inside = ",".join(f"{noise()}{part}{noise()}" for part in parts) + ("," if parts and source.chance() else "")
        return ("{%s%s}" if isinstance(value, dict) else "[%s%s]") % (inside, noise())

    def noise() -> str:
        return source.pick(("", " ", "\n", " /* x */ ", " // y\n", "\n  "))

    return write({source.text(): source.json() for _ in range(source.byte() % 4)}).encode()


def placed(found: Issue, data: bytes) -> None:
    lines = data.count(b"\n") + 1
    assert found.line is None or (1 <= found.line <= lines and (found.column or 0) >= 1), found
    assert len(found.message) < 200, found


def twice_the_same(found: Document) -> None:
    """The quick way and the way that knows places read one value, and each place holds what it says."""
    root = found.root
    assert same(root.value, found.value), "two readings of one text"
    nodes = [root]
    while nodes:
        node = nodes.pop()
        assert same(json5.parse(found.text[node.start : node.end], MAX_DEPTH).root.value, node.value), "a wrong place"
        nodes += [*node.members.values(), *node.items][:8]


def read(main: Document, others: dict[str, Document]) -> None:
    def include(name: str, by: str) -> Document | Issue:
        return others.get(name) or Issue(f"{name} is not there")

    merged = resolve(main, include)
    tree = merged.tree if isinstance(merged.tree, dict) else {}
    start = Snapshot(Path("m"), True, (), raw=main.text, parsed=main.value, merged=tree, issues=merged.issues)
    snapshot = evaluate(start, merged.locate, ENV, {})
    assert (snapshot.config is None) == bool(snapshot.issues)
    for each in snapshot.issues:
        assert isinstance(each.message, str) and (each.line is None or each.line >= 1)
    assert isinstance(snapshot.defaults.agents, tuple | list)
    merged.locate(("gateway", 0, "auth"))


def edit(main: Document, source: Source) -> None:
    keys = (*main.value, "gateway", "new", "")
    path = tuple(source.pick(keys) if source.chance() else source.text() for _ in range(1 + source.byte() % 3))
    value = taken(source.json())
    try:
        edited = set_value(main.text, path, value)
    except CannotEdit as refusal:
        assert "has no key" in str(refusal) or main.repeated
    except json5.Json5Error as fault:
        assert "nested deeper" in str(fault)
    else:
        node = json5.parse(edited, MAX_DEPTH).root
        for key in path:
            node = node.members[key]
        assert same(node.value, value)
        assert set_value(edited, path, value) == edited
    patch, less = taken(source.json()), without(main.value, source)
    for wanted in (merge_patch(main.value, patch), careful(main.value, patch), less, *agents(main.value, source)):
        try:
            edited = rewrite(main.text, wanted)
        except CannotEdit:
            assert main.repeated  # without the last one the one before would count
            continue
        except json5.Json5Error as fault:
            assert "nested deeper" in str(fault)
            continue
        assert same(json5.parse(edited, MAX_DEPTH).root.value, wanted)
        assert rewrite(edited, wanted) == edited


def without(value: Any, source: Source) -> Any:
    """Some of its members and items are gone."""
    if isinstance(value, dict):
        return {key: without(child, source) for key, child in value.items() if not source.chance(4)}
    return [without(child, source) for child in value if not source.chance(4)] if isinstance(value, list) else value


def careful(base: Any, patch: Any) -> Any:
    try:
        return merge_careful(base, patch)
    except EntriesLost:
        return base


def agents(value: dict[str, Any], source: Source) -> list[dict[str, Any]]:
    id, found = source.text(), []
    for step in (
        lambda: add(value, id, {"name": id}),
        lambda: change(value, id, lambda entry: {**(entry if isinstance(entry, dict) else {}), "name": "x"}),
        lambda: remove(value, id)[0],
    ):
        try:
            found.append(step())
        except Unfit:
            continue
    return found


def taken(value: Any) -> Any:
    """As requests and commands take it, which is no deeper than a file may be."""
    found = parse(json.dumps(value).encode(), "raw", root_object=False)
    return found.value if isinstance(found, Document) else None
