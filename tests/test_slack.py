import os
import threading

import pytest

from tests import slack as module
from tests.slack import LOOSE, slack, slowness


@pytest.mark.parametrize(
    ("cores", "slow", "bound"), [(2, 1.0, 2.0), (8, 1.01, 2.0), (2, 1.5, 2 * LOOSE), (1, 1.0, 2 * LOOSE)]
)
def test_a_bound_is_loose_only_where_others_work(
    monkeypatch: pytest.MonkeyPatch, cores: int, slow: float, bound: float
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    monkeypatch.setattr(module, "slowness", lambda: slow)
    assert slack(2.0) == bound


def test_a_thread_that_computes_beside_it_is_noticed() -> None:
    """The interpreter's lock makes two threads share a core, whatever the machine has."""
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            pass

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        assert slowness(0.2) > module.BUSY
    finally:
        over.set()
        thread.join()
