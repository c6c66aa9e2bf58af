"""A process that hangs or is killed is replaced by systemd, and the port stays open meanwhile."""

import time

import pytest

from tests.e2e.gateway import SERVICE, Gateway
from tests.e2e.load import load
from tests.e2e.manager import SCRIPTS
from tests.effort import daily
from tests.slack import slack

WATCHDOG = 2
INJECT = f"[Service]\nEnvironment=PYTHONPATH={SCRIPTS}/inject\nWatchdogSec={WATCHDOG}\n"


@pytest.fixture
def watched(installed: Gateway) -> Gateway:
    installed.drop_in(SERVICE, INJECT)
    return installed.begin()


@pytest.mark.serial
@pytest.mark.parametrize(
    ("sig", "replaced_in"),
    [("RTMIN", WATCHDOG + 3), pytest.param("STOP", WATCHDOG + 5 + 3, marks=pytest.mark.exhaustive)],
)
def test_frozen_process_is_replaced(watched: Gateway, sig: str, replaced_in: float) -> None:
    """RTMIN blocks the event loop; STOP the whole process, so that SIGABRT has no effect and SIGKILL must follow."""
    pid = watched.pid()
    with load(watched.manager, "fresh", workers=4, timeout=30) as clients:
        watched.kill(sig)
        frozen = time.monotonic()
        watched.until_ready(other_than=pid, seconds=30)
        assert time.monotonic() - frozen < slack(replaced_in)
    assert set(clients.lost) <= {"reset", "short"}, "only what the frozen process had accepted may be lost"
    assert all(failure["began"] <= frozen + WATCHDOG for failure in clients.failures)
    assert clients.slowest < slack(replaced_in + 1)
    assert watched.restarts() == 1
    assert watched.report()["restarts"]["crash"] == 1
    assert watched.get("/readyz").status == 200
    assert any("Watchdog timeout" in message for message in watched.manager.messages(SERVICE))


def test_stacks_of_a_frozen_loop_are_in_the_journal(watched: Gateway) -> None:
    pid = watched.pid()
    watched.kill("RTMIN")
    watched.until_ready(other_than=pid, seconds=30)
    messages = "\n".join(watched.manager.messages(SERVICE))
    assert "Fatal Python error: Aborted" in messages
    assert "sitecustomize.py" in messages


@pytest.mark.parametrize("idle", daily([True, False], False))
def test_watchdog_is_fed(watched: Gateway, idle: bool) -> None:
    pid = watched.pid()
    if idle:
        time.sleep(2.5 * WATCHDOG)
    else:
        with load(watched.manager, "fresh", workers=30, pace=0):
            time.sleep(2.5 * WATCHDOG)
    assert watched.pid() == pid
    assert watched.restarts() == 0


def test_killed_child_is_not_the_end(watched: Gateway) -> None:
    """What the kernel's OOM killer does to the largest process of the unit (OOMPolicy=continue)."""
    pid = watched.pid()
    watched.kill("RTMIN+1")
    orphan = watched.orphan()
    watched.manager.kill(orphan.pid)
    assert watched.get().status == 200
    assert (watched.pid(), watched.state(), watched.restarts()) == (pid, "active", 0)


def test_whole_unit_killed_like_by_the_kernel(watched: Gateway) -> None:
    watched.kill("RTMIN+1")
    watched.orphan()
    with load(watched.manager, "fresh", workers=4) as clients:
        pid = watched.pid()
        watched.manager.systemctl("kill", "--kill-whom=all", "--signal=KILL", SERVICE)
        watched.until_ready(other_than=pid)
    assert set(clients.lost) <= {"reset", "short"}
    assert watched.restarts() == 1
