"""Established connections when another version has been installed meanwhile, and a program that is gone."""

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest

from gateway import __version__
from gateway.errors import NotRunning
from tests.e2e.faults import Fault, cold, crash, hot
from tests.e2e.gateway import PORT, SERVICE, SOCKET, TOKEN, Gateway
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


def nobody(gateway: Gateway) -> None:
    """The gateway notices the new files by itself."""

    def serves() -> bool:
        with suppress(NotRunning):
            return bool(gateway.report()["version"] == NEWER)
        return False

    until(serves, "the new version", 60)


@pytest.mark.parametrize("how", [cold, hot, nobody])
def test_upgrade_keeps_everybody(gateway: Gateway, venv: Path, newer: Path, how: Fault) -> None:
    assert gateway.report()["version"] == __version__
    with peers(gateway.manager, **CROWD) as found:
        before = links(gateway)
        install_into(venv, newer)
        how(gateway)
        assert gateway.report()["version"] == NEWER
        assert len(before & links(gateway)) == sum(CROWD.values())
    assert_nobody_noticed(found)


@pytest.mark.parametrize("how", daily([cold, hot, crash], cold))
def test_version_that_cannot_read_the_ledger_closes(gateway: Gateway, venv: Path, unreadable: Path, how: Fault) -> None:
    """With 1012 where the predecessor had time to finish its messages; after a crash nobody knows whether it had."""
    with peers(gateway.manager, **CROWD) as found:
        install_into(venv, unreadable)
        how(gateway)
        until(lambda: not links(gateway), "nobody connected")
        until(lambda: stored(gateway) == OURS, "a store without them")
        closed = {"unreadable": sum(CROWD.values())}
        until(lambda: gateway.report()["restarts"]["last"].get("closed") == closed, "a record of who was closed")
    code = "1006" if how is crash else "1012"
    for kind, book in found.books.items():
        assert book["closes"] == {code: book["clients"]}, kind
    with peers(gateway.manager, **CROWD) as found:
        how(gateway)
    assert_true_to_the_wire(found)


GONE = "openclaw-gone@openclaw-gateway.service"


class Installed:
    """What pip has put into a virtual environment, which is taken away and put back."""

    def __init__(self, venv: Path) -> None:
        site = next(venv.glob("lib/python3*/site-packages"))
        self._files = [*site.glob("*gateway*"), *venv.glob("bin/openclaw-*")]

    def take_away(self) -> None:
        for file in self._files:
            file.rename(file.with_name(f"~{file.name}"))

    def put_back(self) -> None:
        for file in self._files:
            file.with_name(f"~{file.name}").rename(file)


def test_a_program_that_is_gone_is_said_once_and_serves_again_when_it_is_back(gateway: Gateway, venv: Path) -> None:
    manager, program = gateway.manager, Installed(venv)
    until(lambda: gateway.report()["settled"], "the quiet after READY")
    program.take_away()
    gateway.configure(json.dumps({"gateway": {"auth": {"token": TOKEN}}, "zzz": 1}))
    assert gateway.control.reload().warnings  # it has all keys by heart
    for path in ("/metrics", "/", "/v1/models"):  # what it has never been asked
        assert gateway.get(path, "--header", f"Authorization: Bearer {TOKEN}").status in (200, 404), path
    gateway.configure()
    manager.systemctl("kill", "--signal=KILL", SERVICE)
    until(lambda: gateway.state(GONE) == "activating", "the wait for the program")
    curl = ["curl", "--silent", "--max-time", "20", f"http://127.0.0.1:{PORT}/healthz"]
    waiting = manager.popen(*curl)
    program.put_back()
    assert "live" in str(waiting.communicate()[0])

    gateway.drop_in(GONE.replace("openclaw-gateway.service", ".service"), "[Service]\nEnvironment=OPENCLAW_GONE_S=1\n")
    program.take_away()
    manager.systemctl("kill", "--signal=KILL", SERVICE)
    until(lambda: gateway.state(SOCKET) == "inactive", "a closed port")
    assert manager.run(*curl, check=False).returncode == 7  # refused at once
    said = manager.messages(GONE)
    assert sum("cannot be executed" in line for line in said) == 2
    assert sum("did not come back" in line for line in said) == 1

    program.put_back()
    assert re.search(rf"{SERVICE} has no program", gateway.command("doctor", check=False).stdout)
    gateway.command("install", "--now")
    assert gateway.get().status == 200
