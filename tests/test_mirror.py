"""The tests lie as the product does, and what they share has one name each.

Both lists of exceptions are to become empty: whoever mends one takes it out, and nobody adds to them.
"""

import re
from collections import defaultdict
from pathlib import Path

PROJECT = Path(__file__).parents[1]
TESTS = PROJECT / "tests"

UNTESTED = {
    "agent/turn/source",
    "cli/run",
    "rpc/core",
    "doctor/config",
    "doctor/database",
    "doctor/finding",
    "doctor/machine",
    "doctor/port",
    "doctor/units",
    "errors",
    "exits",
    "link/dialer",
    "link/handler",
    "protocol/limits",
    "rpc/methods/conversation",
    "sessions/openclaw/transcript",
    "web/openai/paths",
}
"""Modules that only their neighbours' tests reach: doors to others, shapes, and what waits for a test of its own."""


TWICE = {"Agent", "Ear", "Link", "Load", "Talker"}
"""Classes of `e2e` and `soak` whose name another one has."""


def test_each_module_has_a_test_of_its_own_name() -> None:
    modules = [path.relative_to(PROJECT / "gateway") for path in (PROJECT / "gateway").rglob("*.py")]
    without = {
        str(module.with_suffix(""))
        for module in modules
        if not module.stem.startswith("__") and not (TESTS / module.parent / f"test_{module.name}").exists()
    }
    assert without - UNTESTED == set(), "write the test beside it"
    assert UNTESTED - without == set(), "take it out of the list"


def test_a_class_of_the_tests_has_a_name_of_its_own() -> None:
    """A reader who meets it in two files would take them for the same thing."""
    places = defaultdict(set)
    for path in TESTS.rglob("*.py"):
        for name in re.findall(r"^class (\w+)", path.read_text(), flags=re.MULTILINE):
            places[name].add(str(path.relative_to(TESTS)))
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert {name: where for name, where in twice.items() if name not in TWICE} == {}
    assert TWICE - twice.keys() == set(), "take it out of the list"


def test_a_class_of_the_product_has_a_name_of_its_own() -> None:
    """Whoever greps for it finds one thing. Two ends of one thing are told apart by their names, too."""
    places = defaultdict(set)
    for path in (PROJECT / "gateway").rglob("*.py"):
        for name in re.findall(r"^class ([A-Z]\w*)", path.read_text(), flags=re.MULTILINE):
            places[name].add(str(path.relative_to(PROJECT)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
