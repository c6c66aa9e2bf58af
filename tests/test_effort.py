"""How much a run does at each effort."""

import itertools
from typing import Any

import pytest

from tests import effort


@pytest.mark.parametrize(
    ("part", "full", "least", "does"),
    [(1, 100, 1, 100), (0.25, 100, 1, 25), (0.05, 100, 1, 5), (0.05, 100, 20, 20), (0.05, 3, 5, 3), (4, 100, 1, 100)],
)
def test_a_share(monkeypatch: pytest.MonkeyPatch, part: float, full: int, least: int, does: int) -> None:
    monkeypatch.setattr(effort, "EFFORT", part)
    assert effort.share(full, least) == does


@pytest.mark.parametrize(("part", "full", "does"), [(1, 300, 300), (0.25, 100, 25), (0.05, 60, 5), (0.05, 4, 4)])
def test_examples_are_never_the_trivial_ones_alone(
    monkeypatch: pytest.MonkeyPatch, part: float, full: int, does: int
) -> None:
    monkeypatch.setattr(effort, "EFFORT", part)
    assert effort.examples(full) == does


@pytest.mark.parametrize("part", [0.01, 0.05, 0.25, 0.6, 1, 2])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 101])
def test_some_are_spread_from_the_first_to_the_last(monkeypatch: pytest.MonkeyPatch, part: float, count: int) -> None:
    monkeypatch.setattr(effort, "EFFORT", part)
    items = list(range(count))
    chosen = effort.some(items)
    assert chosen == sorted(set(chosen)) == list(effort.some(items))
    assert list(chosen[:1] + chosen[-1:]) == items[:1] + items[-1:]
    assert len(chosen) == (count if count < 3 else max(2, effort.share(count)))
    steps = [after - before for before, after in zip(chosen, chosen[1:], strict=False)]
    assert not steps or max(steps) - min(steps) <= 1


def test_at_the_full_effort_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effort, "EFFORT", 1.0)
    assert effort.some(range(1000)) == list(range(1000))


def daily_ones(params: list[Any]) -> list[Any]:
    return [getattr(param, "values", param) for param in params if not getattr(param, "marks", ())]


def test_what_is_not_chosen_is_exhaustive() -> None:
    params = effort.daily(["a", "b", "c"], "b")
    assert daily_ones(params) == ["b"] and len(params) == 3
    with pytest.raises(AssertionError):
        effort.daily(["a"], "z")


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (2, 3), (3, 2), (4, 3)])
def test_of_pairs_each_of_both_is_there(rows: int, columns: int) -> None:
    params = effort.pairs(range(rows), range(columns))
    assert [param.values for param in params] == list(itertools.product(range(rows), range(columns)))
    chosen = daily_ones(params)
    assert len(chosen) == max(rows, columns)
    assert {row for row, _ in chosen} == set(range(rows)) and {column for _, column in chosen} == set(range(columns))
