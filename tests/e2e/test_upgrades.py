"""Established connections when another version has been installed meanwhile."""

from pathlib import Path

import pytest

from gateway import __version__
from tests.e2e.faults import Fault, cold, crash, hot
from tests.e2e.gateway import Gateway
from tests.e2e.installation import changed_copy, changed_wheel, install_into
from tests.e2e.load import peers
from tests.e2e.manager import until
from tests.e2e.test_connections import assert_nobody_noticed, assert_true_to_the_wire, links, stored
from tests.e2e.test_connections_end import CROWD, OURS
from tests.effort import daily

NEWER = "99.1.2"


@pytest.fixture
def venv(installation: Path, tmp_path: Path) -> Path:
    """A virtual environment of the test's own, so that it can install another version into it."""
    return changed_copy(installation, tmp_path / "venv")


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return changed_wheel(tmp_path_factory.mktemp("newer"), {"gateway/__init__.py": (__version__, NEWER)})


@pytest.fixture(scope="module")
def unreadable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes and reads another ledger."""
    changes = {"gateway/handover/ledger.py": ("\nVERSION = 1\n", "\nVERSION = 99\n")}
    return changed_wheel(tmp_path_factory.mktemp("unreadable"), changes)


@pytest.mark.parametrize("how", [cold, hot])
def test_upgrade_keeps_everybody(gateway: Gateway, venv: Path, newer: Path, how: Fault) -> None:
    assert gateway.report()["version"] == __version__
    with peers(gateway.manager, **CROWD) as found:
        before = links(gateway)
        install_into(venv, newer)
        how(gateway)
        assert gateway.report()["version"] == NEWER
        assert len(before & links(gateway)) == sum(CROWD.values())
    assert_nobody_noticed(found)


@pytest.mark.parametrize("how", daily([cold, hot, crash], cold, crash))
def test_version_that_cannot_read_the_ledger_closes(gateway: Gateway, venv: Path, unreadable: Path, how: Fault) -> None:
    """With 1012 where the predecessor had time to finish its messages; after a crash nobody knows whether it had."""
    with peers(gateway.manager, **CROWD) as found:
        install_into(venv, unreadable)
        how(gateway)
        until(lambda: not links(gateway), "nobody connected")
        until(lambda: stored(gateway) == OURS, "a store without them")
        assert gateway.report()["restarts"]["last"]["closed"] == {"unreadable": sum(CROWD.values())}
    code = "1006" if how is crash else "1012"
    for kind, book in found.books.items():
        assert book["closes"] == {code: book["clients"]}, kind
    with peers(gateway.manager, **CROWD) as found:
        how(gateway)
    assert_true_to_the_wire(found)
