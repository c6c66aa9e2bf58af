"""docs/locks.md names every lock, thread and starter of tasks that gateway/ has."""

import re
from pathlib import Path

from scripts.rooms import modules
from tests.named import called

PAGE = (Path(__file__).parents[1] / "docs" / "locks.md").read_text()
NAMED = re.findall(r"`([\w/]+)(?::[\w.]+)?`", PAGE)
LOCKS = {"Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition"}
THREADS = {"Thread", "ThreadPoolExecutor", "BaseObserver"}
TASKS = {"create_task", "ensure_future", "Tasks"}
NO_LOCK = {"cli/conversation/editor"}
"""`Condition` is prompt_toolkit's there."""


def those_that_call(functions: set[str]) -> list[tuple[str, str]]:
    """(module, name that the result is given), once each."""
    return sorted({(name, target) for name in modules() for called_, target in called(name) if called_ in functions})


def test_every_lock_is_named() -> None:
    locks = {f"{name}:{target}" for name, target in those_that_call(LOCKS) if name not in NO_LOCK}
    assert {lock for lock in locks if f"`{lock}`" not in PAGE} == set()
    assert len(locks) > 5


def test_every_lock_between_processes_is_named() -> None:
    assert {name for name, _ in those_that_call({"flock"}) if name not in NAMED} == set()


def test_every_module_that_starts_threads_is_named() -> None:
    assert {name for name, _ in those_that_call(THREADS) if name not in NAMED} == set()


def test_modules_that_start_tasks_are_named_and_no_others() -> None:
    starters = {name for name, _ in those_that_call(TASKS)}
    assert starters - set(NAMED) == set()
    table = PAGE.partition("## Tasks")[2]
    rows = re.findall(r"^\| (`[^|]+) \|", table, flags=re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} - starters == set()
