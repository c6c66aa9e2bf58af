"""No pattern takes longer for a text than in proportion to its length, whatever the text is.

The patterns are found in the code, with the way in which each is used, and tried with repeats of what they are made of.
"""

import ast
import importlib
import itertools
import re
import string
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.effort import some

PACKAGE = Path(__file__).parents[1] / "gateway"
WAYS = ("search", "match", "fullmatch", "sub", "split", "findall", "finditer")
USED = re.compile(rf"\b(?:re|[A-Z0-9_]+)(?:\[.*?\])?\.(?:{'|'.join(WAYS)})\(")
SHORT, LONG = 500, 4_000
MOST = 20
"""Times that the long text may take, of eight times the length: in proportion it is 8, by the square 64."""
ENOUGH_S = 0.001
"""What takes less than this for the long text is in proportion, or short enough not to matter."""
SEEDS = [" ", "a", "A", "0", "\n", "\\", '"', "<", "2026-01-01 00:00", "é", "$", "-", "_"]
ELSEWHERE = {"avatar_path", "locks"}
"""Made of a path of our own, or read from the kernel."""


MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if USED.search(path.read_text())
}


def uses(name: str) -> Iterator[tuple[str, Any, str]]:
    """(pattern, its compiled form, way) of a module."""
    module = importlib.import_module(name)
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WAYS):
            continue
        target, way = ast.unparse(node.func.value), node.func.attr
        if target == "re" and isinstance(node.args[0], ast.Constant):
            yield repr(node.args[0].value), re.compile(node.args[0].value, re.DOTALL), way
        elif isinstance(found := getattr(module, target.partition("[")[0], None), re.Pattern):
            yield target, found, way
        elif isinstance(found, dict):
            for each in found.values():
                if isinstance(each, re.Pattern):
                    yield target, each, way


def hostile(pattern: str) -> list[str]:
    """What is repeated: the letters and the words of the pattern, in pairs too, and what patterns often trip over."""
    letters = sorted(set(pattern) & set(string.printable))
    words = re.findall(r"[a-zA-Z_:`@/\[\]<> -]{2,}", pattern)
    single = [*SEEDS, *letters, *words]
    marks = [each for each in letters if not each.isalnum()][:9]
    return [*dict.fromkeys([*single, *(a + b for a, b in itertools.permutations([*marks, " ", "a", "0"], 2))])]


def took(pattern: Any, way: str, text: str) -> float:
    data = text.encode() if isinstance(pattern.pattern, bytes) else text
    began = time.thread_time()
    if way == "sub":
        pattern.sub(b"" if isinstance(data, bytes) else "", data)
    elif way == "finditer":
        list(pattern.finditer(data))
    else:
        getattr(pattern, way)(data)
    return time.thread_time() - began


def slow(pattern: Any, way: str) -> str | None:
    """The first repeat that costs more than in proportion, if any."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    for seed in some(hostile(text)):
        for prefix, suffix in (("", ""), ("", "\0"), (seed[:1], "!"), ("[", ""), ("a=x", "x")):
            long = prefix + (seed * LONG)[:LONG] + suffix
            if took(pattern, way, long) < ENOUGH_S:
                continue
            short = prefix + (seed * SHORT)[:SHORT] + suffix
            ratio = min(took(pattern, way, long) / max(took(pattern, way, short), 1e-7) for _ in range(3))
            if ratio > MOST:
                return f"{seed!r} between {prefix!r} and {suffix!r}: {ratio:.0f} times for {LONG // SHORT} times it"
    return None


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("gateway.text.visible", "_UNFIT"),
        ("gateway.rpc.redaction", "_COUNTS"),
        ("gateway.sessions.keys", "AGENT_ID"),
    ],
)
def test_patterns_are_found(name: str, target: str) -> None:
    assert target in {pattern for pattern, _, _ in uses(name)}


@pytest.mark.parametrize("name", MODULES)
def test_time_in_proportion(name: str) -> None:
    found = {(pattern, way): compiled for pattern, compiled, way in uses(name)}
    assert {use: seen for use, compiled in found.items() if (seen := slow(compiled, use[1]))} == {}


@pytest.mark.parametrize(("bad", "way"), [(r"<[^>]*>", "sub"), (r"\s*\S+\s*", "findall"), (r"a=(.*?)\s*", "fullmatch")])
def test_a_pattern_that_is_slow_is_found(bad: str, way: str) -> None:
    assert slow(re.compile(bad), way) is not None
