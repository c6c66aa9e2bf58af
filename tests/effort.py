"""How much of the repeated work one run of the tests does.

`EFFORT` is the share of the full work: 0.05 in `make test-fast`, 0.15 in `make test`, 1 in `make test-all`. Whatever
repeats the same claim over many inputs takes its number from here: examples of property tests, the steps at which a
story may end, rounds of restarts. What is left out is chosen by number and not by chance, so that a run below 1 does
the same each time.
"""

import itertools
import os
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

EFFORT = float(os.environ.get("EFFORT", "0.15"))


def share(full: int, least: int = 1) -> int:
    """That part of `full` rounds or examples which this run does; never fewer than `least`, never more than `full`."""
    return min(full, max(least, round(full * EFFORT)))


def examples(full: int = 100) -> int:
    """For `max_examples=` of hypothesis: fewer than five would hardly leave the trivial ones."""
    return share(full, 5)


def some(items: Sequence[T]) -> Sequence[T]:
    """Evenly spread ones of `items`, always with the first and the last."""
    if len(items) < 3:
        return items
    count = share(len(items), 2)
    return [items[round(index * (len(items) - 1) / (count - 1))] for index in range(count)]


def daily(items: Iterable[T], *chosen: T) -> list[Any]:
    """Parameters of which only the chosen ones run in `make test`, the others in `make test-all` too."""
    found = list(items)
    assert set(chosen) <= set(found), chosen
    return [item if item in chosen else pytest.param(item, marks=pytest.mark.exhaustive) for item in found]


def pairs(first: Collection[T], second: Collection[T]) -> list[Any]:
    """Each of `first` with each of `second`; in `make test` so many that each of both is there."""
    longer = max(len(first), len(second))
    kept = {(index % len(first), index % len(second)) for index in range(longer)}
    product = itertools.product(enumerate(first), enumerate(second))
    return [
        pytest.param(one, other, marks=() if (row, column) in kept else pytest.mark.exhaustive)
        for (row, one), (column, other) in product
    ]
