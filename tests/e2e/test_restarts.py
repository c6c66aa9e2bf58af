"""Restarts under load: nothing refused, nothing reset, and the right process answers afterwards.

How long anybody waits is in test_patience.py.
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e.faults import hot
from tests.e2e.gateway import PORT, SERVICE, TOKEN, Gateway
from tests.e2e.load import Clients, load
from tests.e2e.manager import UserManager, until
from tests.effort import daily, share

TIMES = share(20, 3)
BURST = 5
"""Hot restarts that may follow each other at once (lifecycle/phases.py); a stop of the service begins a new count."""
WORKERS = 4
"""Clients of each kind."""


@contextmanager
def all_loads(manager: UserManager) -> Iterator[list[Clients]]:
    with ExitStack() as stack:
        yield [stack.enter_context(load(manager, kind, workers=WORKERS)) for kind in ("fresh", "keepalive", "post")]


def assert_nothing_lost(loads: list[Clients]) -> None:
    for clients in loads:
        assert clients.lost == {}, clients.failures[:5]
        assert clients.outcomes["ok"] > TIMES
        assert clients.outcomes.get("closed_racing", 0) == 0


def test_systemctl_restart(gateway: Gateway) -> None:
    boots = {gateway.report()["boot_id"]}
    with all_loads(gateway.manager) as loads:
        for _ in range(TIMES):
            gateway.manager.systemctl("restart", SERVICE)
            boots.add(gateway.report()["boot_id"])
    assert_nothing_lost(loads)
    assert len(boots) == TIMES + 1
    assert gateway.report()["pid"] == gateway.pid()
    assert gateway.report()["restarts"]["cold"] == TIMES
    assert gateway.restarts() == 0


def test_hot_restart(gateway: Gateway) -> None:
    for done in range(0, TIMES, BURST):
        # Without clients: a stop closes idle connections, and a request may be on its way just then.
        gateway.manager.systemctl("stop", SERVICE)
        gateway.manager.systemctl("start", SERVICE)
        pid = gateway.until_ready()
        with all_loads(gateway.manager) as loads:
            for number in range(1, min(BURST, TIMES - done) + 1):
                before = gateway.report()
                hot(gateway)
                after = gateway.report()
                assert after["boot_id"] != before["boot_id"]
                assert after["pid"] == pid == gateway.pid()
                assert after["restarts"]["hot"] == number
        assert_nothing_lost(loads)
    assert gateway.restarts() == 0


def test_sigkill(gateway: Gateway) -> None:
    """What the killed process had accepted and not answered is lost with it; that, and nothing else."""
    kills: list[tuple[float, float]] = []
    with all_loads(gateway.manager) as loads:
        for _ in range(TIMES):
            pid, begun = gateway.pid(), time.monotonic()
            gateway.kill()
            kills.append((begun, time.monotonic()))
            gateway.until_ready(other_than=pid)
            time.sleep(0.1)  # some answers between one kill and the next
    for clients in loads:
        assert set(clients.lost) <= {"reset", "short"}, clients.lost
        assert [failure for failure in clients.failures if not overlaps(failure, kills)] == []
        assert len(clients.failures) <= TIMES * WORKERS
        assert clients.outcomes["ok"] > TIMES
    assert gateway.restarts() == TIMES
    assert gateway.report()["restarts"]["crash"] == TIMES
    assert gateway.report()["pid"] == gateway.pid()


def overlaps(failure: dict[str, float], spans: list[tuple[float, float]]) -> bool:
    return any(failure["began"] <= end and failure["ended"] >= begin for begin, end in spans)


def test_a_program_that_cannot_start_is_tried_at_a_pace_and_clients_are_served_once_it_can(gateway: Gateway) -> None:
    gateway.drop_in(SERVICE, "[Service]\nExecStart=\nExecStart=/bin/false\n")
    begun = time.monotonic()
    gateway.kill()
    with gateway.manager.popen("curl", "--silent", f"http://127.0.0.1:{PORT}/healthz") as client:
        until(lambda: int(*gateway.manager.ask(SERVICE, "NRestarts")) >= 4, "some attempts")
        assert time.monotonic() - begun > 3 * 0.5, "the first one comes at once"
        assert f"{SERVICE} cannot start" in gateway.command("doctor", check=False).stdout
        gateway.drop_in(SERVICE, "")
        assert json.loads(client.communicate(timeout=20)[0])["ok"]


@pytest.mark.parametrize("how", daily(["cold", "hot"], "cold"))
def test_websocket_clients_stay(gateway: Gateway, how: str) -> None:
    workers = 10
    cold = ["--cold"] if how == "cold" else []
    with load(gateway.manager, "ws", token=TOKEN, workers=workers, pace=0.05) as clients:
        for _ in range(3):
            until(lambda: gateway.report()["websockets"] == workers, "all clients connected")
            gateway.command("restart", *cold)
            assert gateway.report()["websockets"] == workers
    assert clients.closes == {}
    assert "shutdown" not in clients.events
    assert set(clients.statuses) == {"ok"} and clients.lost == {}


def test_websocket_clients_are_told_of_a_stop(gateway: Gateway) -> None:
    workers = 10
    with load(gateway.manager, "ws", token=TOKEN, workers=workers, pace=0.05) as clients:
        until(lambda: gateway.report()["websockets"] == workers, "all clients connected")
        gateway.manager.systemctl("stop", SERVICE)
        until(lambda: gateway.runs() and gateway.report()["websockets"] == workers, "all clients connected again")
    assert clients.closes == {"1012": workers}
    assert clients.events["shutdown"] == workers


def test_restart_says_how_long_clients_waited(gateway: Gateway) -> None:
    with load(gateway.manager, "fresh"):
        told = gateway.command("restart").stdout
    assert "hot restart, ready after" in told
    last = gateway.report()["restarts"]["last"]
    assert last["kind"] == "hot"
    assert last["gap_ms"] > 0


def test_restart_from_inside_the_unit(gateway: Gateway) -> None:
    """A command that runs in the gateway's own cgroup, as one that an agent runs would, gets its answer."""
    before = gateway.report()["boot_id"]
    told = gateway.command("restart", unit=SERVICE)
    assert "ready after" in told.stdout
    assert gateway.report()["boot_id"] != before


def test_many_requests_are_one_restart(gateway: Gateway) -> None:
    asked = [gateway.manager.popen("openclaw-gateway", "restart") for _ in range(5)]
    assert [process.wait(timeout=30) for process in asked] == [0] * 5
    assert 1 <= gateway.report()["restarts"]["hot"] <= 2


def test_stop_during_a_hot_restart_stops(gateway: Gateway) -> None:
    gateway.manager.popen("openclaw-gateway", "restart")
    gateway.command("stop")
    assert gateway.state() == "inactive"
    assert gateway.manager.show(SERVICE, "Result")["Result"] == "success"
