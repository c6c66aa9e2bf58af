"""What holds for every test: how many examples there are, who may start a process, and what runs where."""

import gc
import os
import platform
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, find, settings, strategies
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.effort import EFFORT, examples

pytest_plugins = ["tests.guard"]

# OpenAI's library asks on its first request, whichever test makes it, and Python runs `uname -p` for it once.
platform.platform()

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")

# Below the full effort a run is the same each time: who breaks something sees it, and nobody else does. At the full
# effort the examples are drawn anew, and each worker remembers those that failed.
# How long an example takes is the machine's matter: no test measures it but the `serial` ones.
settings.register_profile(
    "both", max_examples=examples(), print_blob=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("same", settings.get_profile("both"), derandomize=True, database=None)
settings.register_profile(
    "new", settings.get_profile("both"), database=DirectoryBasedExampleDatabase(f".hypothesis/{WORKER}")
)
settings.load_profile("new" if EFFORT >= 1 else "same")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick tests first, so that a mistake shows before any manager is booted."""
    items.sort(key=lambda item: item.path.parent.name == "e2e")


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the garbage collector need not look at it again and again."""
    # Hypothesis asks the collector who holds its random numbers when it first makes some; what is frozen does not tell.
    find(strategies.just(0), lambda _: True)
    gc.collect()
    gc.freeze()


@pytest.fixture
def scripted() -> Iterator[None]:
    """What an agent's runs say is the test's (`tests.agent.scripted`)."""
    from gateway.agent import runs
    from tests.agent.scripted import Scripted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "RunLoop", Scripted)
        Scripted.by_session.clear()
        yield
