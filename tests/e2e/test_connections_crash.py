"""Established connections over crashes in the worst moments, and over many restarts with nothing left behind.

LEAKS sets how many restarts the clients come and go over.
"""

import contextlib
import os
import random
import signal
import time
from collections import Counter

import pytest

from tests.e2e.faults import RESTARTERS, crash, hot
from tests.e2e.gateway import SERVICE, Gateway
from tests.e2e.load import Peers, peers
from tests.e2e.manager import SCRIPTS, until
from tests.e2e.test_connections import (
    SEED,
    assert_true_to_the_wire,
    links,
    stored,
)
from tests.e2e.test_connections_end import CROWD, OURS, assert_told_of_the_end
from tests.effort import daily, share
from tests.slack import slack

LEAKS = int(os.environ.get("LEAKS", share(20, 3)))
CRASHES = share(8, 4)
STARTS_S = 0.3
"""About how long a start takes here: a crash comes at any moment of it."""
WATCHDOG = 2
PAGES = 1024
"""Resident pages that one process may have more than another, after the same work."""


def until_another(gateway: Gateway, pid: int) -> int:
    """Waits for the process that systemd starts next, ready or not."""
    return until(lambda: (new := gateway.pid()) not in (0, pid) and new, "the next process", 15)


def assert_at_rest_stayed(found: Peers) -> None:
    """Those at rest saw nothing; others may have been closed with 1012, and only so."""
    assert_true_to_the_wire(found)
    assert found["listens"]["closes"] == {}
    for kind, book in found.books.items():
        assert set(book["closes"]) <= {"1012"}, kind
        assert book["lost"] == 0 or book["closes"], kind


@pytest.mark.parametrize("how", daily(["cold", "crash", "hot"], "cold"))
def test_crashes_while_the_next_process_adopts(unrationed: Gateway, how: str) -> None:
    """In a row, each at another moment of the start."""
    chance = random.Random(SEED)
    manager = unrationed.manager
    with peers(manager, "--return", speaks=1, **CROWD) as found:
        same = links(unrationed)
        for _ in range(CRASHES // 2):
            pid = unrationed.pid()
            if how == "hot":
                manager.popen("openclaw-gateway", "restart")
                time.sleep(STARTS_S)  # in which the installed program is tried
            elif how == "cold":
                manager.systemctl("--no-block", "restart", SERVICE)
                pid = until_another(unrationed, pid)
            else:
                crash(unrationed)
                pid = unrationed.pid()
            for _ in range(CRASHES // 4):
                time.sleep(chance.random() * STARTS_S)
                manager.kill(pid, check=False)
                pid = until_another(unrationed, pid)
            unrationed.until_ready()
        same &= links(unrationed)
    assert_at_rest_stayed(found)
    assert len(same) >= CROWD["listens"]


@pytest.mark.parametrize("how", daily(["cold", "hot"], "hot"))
def test_crashes_while_a_process_leaves(unrationed: Gateway, how: str) -> None:
    chance = random.Random(SEED)
    manager = unrationed.manager
    with peers(manager, "--return", speaks=1, **CROWD) as found:
        for _ in range(CRASHES):
            pid = unrationed.pid()
            words = ["openclaw-gateway", "restart", *(["--cold"] if how == "cold" else [])]
            asked = manager.popen(*words)
            time.sleep(chance.random() * 2 * STARTS_S)
            manager.kill(pid, check=False)
            asked.wait(timeout=30)
            unrationed.until_ready(other_than=pid)
    assert_at_rest_stayed(found)


def test_two_crashes_in_a_row(unrationed: Gateway) -> None:
    with peers(unrationed.manager, "--return", speaks=1, **CROWD) as found:
        for _ in range(3):
            crash(unrationed)
            crash(unrationed)
    assert_at_rest_stayed(found)


def test_sigterm_while_starting(unrationed: Gateway) -> None:
    """By a person, not by `systemctl stop`: systemd starts the next process, and that goes on."""
    chance = random.Random(SEED)
    manager = unrationed.manager
    with peers(manager, "--return", speaks=1, **CROWD) as found:
        for _ in range(CRASHES):
            pid = unrationed.pid()
            unrationed.kill()
            pid = until_another(unrationed, pid)
            time.sleep(chance.random() * STARTS_S)
            manager.kill(pid, "TERM", check=False)
            unrationed.until_ready(other_than=pid)
    assert_at_rest_stayed(found)


@pytest.mark.parametrize("delay", daily([0.0, 0.15, 0.3, 0.45, 0.6], 0.0, 0.3))
def test_stop_during_a_hot_restart(unrationed: Gateway, delay: float) -> None:
    with peers(unrationed.manager, **CROWD) as found:
        unrationed.manager.popen("openclaw-gateway", "restart")
        time.sleep(delay)
        unrationed.manager.systemctl("stop", SERVICE)
        assert (unrationed.state(), stored(unrationed)) == ("inactive", 0)
        assert links(unrationed) == set()
    assert_told_of_the_end(found)


def test_stop_while_starting(unrationed: Gateway) -> None:
    """With the clients of the process before. An interpreter that is just booting dies at once, and says nothing."""
    with peers(unrationed.manager, listens=5, library=5, pace=5) as found:
        pid = unrationed.pid()
        unrationed.kill()
        until_another(unrationed, pid)
        unrationed.manager.systemctl("stop", SERVICE)
        assert (unrationed.state(), stored(unrationed)) == ("inactive", 0)
        assert links(unrationed) == set()
    for book in found.books.values():
        assert sum(book["closes"].values()) == book["clients"]
        assert set(book["closes"]) <= {"1012", "1006"}


@pytest.mark.parametrize("sig", ["RTMIN", "STOP"])
def test_watchdog_replaces_a_frozen_process_and_closes_none_but_whom_it_owed_an_answer(
    installed: Gateway, sig: str
) -> None:
    """What it had not read is answered by the next process. A request that it had just read is lost with it."""
    installed.drop_in(SERVICE, f"[Service]\nEnvironment=PYTHONPATH={SCRIPTS}/inject\nWatchdogSec={WATCHDOG}\n")
    gateway = installed.begin()
    with peers(gateway.manager, listens=5, ours=5, library=5, pace=0.5) as found:
        before = links(gateway)
        pid = gateway.pid()
        gateway.kill(sig)
        gateway.until_ready(other_than=pid, seconds=30)
        closed = gateway.report()["restarts"]["closed"]
        assert set(closed) <= {"unanswered"}
        assert len(before & links(gateway)) == 15 - closed.get("unanswered", 0)
    assert_true_to_the_wire(found)
    assert found["listens"]["closes"] == {}, "it asks nothing"
    told = [count for codes in found.all("closes").values() for count in codes.values()]
    # Clients that wait for a busy machine ask in the same turn of the loop.
    assert sum(told) == closed.get("unanswered", 0) <= slack(3)
    assert found["ours"]["slowest"] > 1


def held(gateway: Gateway) -> Counter[str]:
    """What the process and its manager hold, by what it is, as soon as nothing is on its way any more."""
    return Counter({**gateway.descriptors(), "stored": stored(gateway), "manager's": _managers_descriptors(gateway)})


def held_at_rest(gateway: Gateway) -> Counter[str]:
    """The same five times: the connection by which the process was asked is closed a moment later."""
    found: list[Counter[str]] = []

    def is_at_rest() -> bool:
        found.append(held(gateway))
        return len(found) > 5 and all(each == found[-1] for each in found[-5:])

    until(is_at_rest, "what it holds at rest")
    return found[-1]


def until_settled(gateway: Gateway) -> None:
    """Nobody is connected, and what a process does in the quiet after READY is done."""
    until(lambda: not links(gateway), "nobody connected")
    until(lambda: stored(gateway) <= OURS, "an empty store")
    gateway.until_settled()


def _managers_descriptors(gateway: Gateway) -> int:
    return len(list((gateway.manager.path(f"/proc/{_manager(gateway)}") / "fd").iterdir()))


def resident_pages(gateway: Gateway) -> int:
    return int((gateway.manager.path(f"/proc/{gateway.pid()}") / "statm").read_text().split()[1])


def _manager(gateway: Gateway) -> int:
    return int(gateway.manager.run("pgrep", "--uid", str(gateway.manager.uid), "--exact", "systemd").stdout)


@pytest.mark.timeout(180 + 10 * LEAKS)
def test_nothing_is_left_behind(unrationed: Gateway) -> None:
    """Some stay, some come and go, some are gone at once; after them the process holds what it did before."""
    kinds = [*RESTARTERS]
    before, pages = Counter[str](), 0
    for times in (len(kinds), LEAKS):
        with peers(unrationed.manager, "--return", ours=5, listens=10, trickles=5, comes_and_goes=5) as found:
            for number in range(times):
                with peers(unrationed.manager, listens=5) as gone:
                    RESTARTERS[kinds[number % len(kinds)]](unrationed)
                    gone.process.send_signal(signal.SIGKILL)
                    gone.books = {"listens": {}}
        hot(unrationed)
        until_settled(unrationed)
        assert found["listens"]["closes"] == {}
        if not before:
            before, pages = held_at_rest(unrationed), resident_pages(unrationed)
    # Waited for, because the manager closes what it is told to forget when it comes to it; a leak stays for ever.
    with contextlib.suppress(AssertionError):
        until(lambda: held(unrationed) == before, "as much as before")
    assert held(unrationed) == before
    assert resident_pages(unrationed) < pages + PAGES
    assert stored(unrationed) == OURS
