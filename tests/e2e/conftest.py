"""Each test gets a machine of its own: a freshly booted user manager (a quarter of a second) with an empty home."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.faults import UNRATIONED
from tests.e2e.gateway import SERVICE, Gateway, installed_on, keep_units
from tests.e2e.installation import install, interpreter
from tests.e2e.machine import obstacle
from tests.e2e.manager import UserManager

HERE = Path(__file__).parent
TEST_SECONDS = 180
"""The first test of a run also builds the installation."""

NO_MANAGER = "no systemd user manager here"

failed = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    reason = None if required() or not ours else why_not()
    for item in ours:
        item.add_marker(pytest.mark.e2e)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"{NO_MANAGER}: {reason}"))


def required() -> bool:
    """Whether a machine that cannot run these tests is a failure (`make e2e`) and no reason to skip them."""
    return os.environ.get("E2E") == "required"


def why_not() -> str | None:
    if reason := obstacle():
        return reason
    return (
        None if interpreter() else "needs a Python >= 3.11 that every user can run (apt install python3 python3-venv)"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[failed] = item.stash.get(failed, False) or report.failed
    if report.skipped and isinstance(report.longrepr, tuple) and NO_MANAGER in (reason := report.longrepr[2]):
        report.longrepr = (str(HERE), None, reason)  # one place, and so one line at the end
    return report


@pytest.fixture(scope="session")
def installation() -> Path:
    """The tested virtual environment, built when the sources have changed."""
    python = None if obstacle() else interpreter()
    if (reason := why_not()) or python is None:
        pytest.fail(f"the end-to-end tests cannot run here: {reason}")
    return install(python)


@pytest.fixture(scope="session")
def units(installation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one run of the real `install` has left."""
    folder = tmp_path_factory.mktemp("install")
    with UserManager(folder, installation) as manager:
        gateway = Gateway(manager)
        gateway.configure()
        gateway.command("install")
        return keep_units(gateway, folder / "units")


@pytest.fixture
def venv(installation: Path) -> Path:
    """The virtual environment that the test's machine has."""
    return installation


@pytest.fixture
def manager(venv: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[UserManager]:
    with UserManager(tmp_path, venv) as manager:
        yield manager
        tell(manager, request)


@pytest.fixture
def installed(venv: Path, units: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """The gateway after `install`: nothing runs yet."""
    manager = UserManager(tmp_path, venv)
    with installed_on(manager, units) as gateway:
        yield gateway
        tell(manager, request)


def tell(manager: UserManager, request: pytest.FixtureRequest) -> None:
    if request.node.stash.get(failed, False):
        print(manager.full_log())


@pytest.fixture
def gateway(installed: Gateway) -> Gateway:
    """The gateway after its socket was started and a first connection has started the service."""
    return installed.begin()


@pytest.fixture
def unrationed(installed: Gateway) -> Gateway:
    """With hot restarts that may follow each other at once."""
    installed.drop_in(SERVICE, UNRATIONED)
    return installed.begin()
