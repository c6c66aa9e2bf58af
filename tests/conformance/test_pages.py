"""The walk without a browser: a small program in place of the script."""

import sys
from collections.abc import Callable

import pytest

from conformance.pages import PAGES, WITH_MODEL, _rows

pytestmark = pytest.mark.process


LIMIT = 30.0


def rows(program: str, restart: Callable[[], None] = lambda: None, seconds: float = LIMIT) -> list[dict[str, object]]:
    return list(_rows([sys.executable, "-c", program], seconds, restart))


def test_rows_come_through_and_a_restart_is_made_before_it_is_answered() -> None:
    program = """
import json, sys
print(json.dumps({"restart": "chat"}), flush=True)
print(json.dumps({"page": "chat", "answer": sys.stdin.readline()}))
"""
    made = []
    assert rows(program, lambda: made.append(1)) == [{"page": "chat", "answer": "\n"}]
    assert made == [1]


def test_a_walk_that_fails_or_does_not_end_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="the walk ended with 3"):
        rows("raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="the walk ended with -9"):
        rows("import sys; sys.stdin.readline()", seconds=0.2)


def test_what_is_seen_with_a_model_is_seen_without_one_too() -> None:
    assert WITH_MODEL.keys() == PAGES.keys()
    for version, pages in PAGES.items():
        assert set(WITH_MODEL[version]) <= set(pages) and len(set(pages)) == len(pages)
