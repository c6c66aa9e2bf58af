"""A pytest plugin: a test that starts a process without saying so fails.

`make test-fast` leaves out whatever is marked `process` or `e2e`, and is fast only as long as the marks are true. A
process shows in what the kernel counts for our children: a child that was waited for has had page faults, one that was
not waited for is still listed. So it does not matter who started it, and how.
"""

import os
import resource
from collections.abc import Generator
from contextlib import suppress

import pytest

MARKS = ("process", "e2e")


def _children() -> tuple[int, frozenset[str]]:
    """Page faults of the children that were waited for, and the pids of the others."""
    listed: set[str] = set()
    for thread in os.listdir("/proc/self/task"):  # four times for each test: pathlib would take a tenth of their time
        # A thread that ends meanwhile leaves its children to the others.
        with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/self/task/{thread}/children") as file:
            listed.update(file.read().split())
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt, frozenset(listed)


def _started(before: tuple[int, frozenset[str]], after: tuple[int, frozenset[str]]) -> bool:
    """A fixture of a wide scope may wait, at its end, for what it had started for another test: that is no start."""
    waited_for = after[0] > before[0] and before[1] <= after[1]
    return waited_for or not after[1] <= before[1]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Compare after each phase: what a fixture of a wider scope starts counts for the test that asked first."""
    report = yield
    before, after = item.stash.get(_seen, None), _children()
    item.stash[_seen] = after
    marked = any(item.get_closest_marker(mark) for mark in MARKS)
    if before is None or marked or report.failed or not _started(before, after):
        return report
    report.outcome = "failed"
    report.longrepr = f"{item.nodeid} starts a process in its {call.when}: mark it with pytest.mark.process"
    return report


_seen = pytest.StashKey[tuple[int, frozenset[str]]]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_seen] = _children()
