"""Nothing that anybody starts, or leaves behind, can hold the port or disturb the gateway."""

import os

import pytest

from gateway.exits import ExitCode
from tests.e2e.gateway import PORT, SERVICE, SOCKET, Gateway
from tests.e2e.load import load
from tests.e2e.manager import SCRIPTS, VENV, until
from tests.effort import daily, pairs

HANDED_BY_SYSTEMD = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
LEFT_BEHIND = {"child": "RTMIN+1", "daemon": "RTMIN+2", "outside the unit": "RTMIN+3"}


@pytest.mark.parametrize("words", [["run"], ["run", "--force"], ["run", "--port", "18790"]])
def test_second_gateway_on_the_same_state(gateway: Gateway, words: list[str]) -> None:
    pid = gateway.pid()
    with load(gateway.manager, "fresh") as clients:
        second = gateway.command(*words, check=False)
    assert second.returncode == ExitCode.ALREADY_RUNNING
    assert f"pid {pid}" in second.stderr
    assert "openclaw-gateway status" in second.stderr
    assert clients.lost == {}
    assert (gateway.pid(), gateway.restarts()) == (pid, 0)


def test_second_gateway_with_its_own_state_on_the_same_port(gateway: Gateway) -> None:
    pid = gateway.pid()
    env = {"OPENCLAW_STATE_DIR": f"{gateway.manager.inner_home}/second"}
    with load(gateway.manager, "fresh") as clients:
        second = gateway.command("run", check=False, env=env)
    assert second.returncode == ExitCode.PORT_BUSY
    assert SOCKET in second.stderr
    assert f"pid {pid}" in second.stderr
    assert clients.lost == {}
    assert (gateway.pid(), gateway.restarts()) == (pid, 0)


def test_second_gateway_with_its_own_state_and_port_runs(gateway: Gateway) -> None:
    env = {"OPENCLAW_STATE_DIR": f"{gateway.manager.inner_home}/second"}
    gateway.manager.popen("openclaw-gateway", "run", "--port", str(PORT + 1), env=env)
    until(lambda: answers(gateway, PORT + 1), "the second gateway")
    gateway.command("stop")
    assert answers(gateway, PORT + 1)


def answers(gateway: Gateway, port: int) -> bool:
    return gateway.manager.run("curl", "-sf", f"http://127.0.0.1:{port}/healthz", check=False).returncode == 0


def test_gateway_by_hand_while_only_the_socket_is_active(installed: Gateway) -> None:
    installed.start()
    by_hand = installed.command("run", check=False)
    assert by_hand.returncode == ExitCode.PORT_BUSY
    assert SOCKET in by_hand.stderr
    assert installed.get().status == 200


def test_foreign_program_on_the_port_is_named_and_left_alone(installed: Gateway) -> None:
    words = ("-m", "http.server", str(PORT), "--bind", "127.0.0.1")
    foreign = installed.manager.popen(f"{VENV}/bin/python", *words)
    until(lambda: installed.manager.run("pgrep", "-f", "http.server", check=False).stdout, "the foreign program")
    pid = installed.manager.run("pgrep", "-f", "http.server").stdout.strip()
    until(lambda: installed.manager.run("curl", "-s", f"http://127.0.0.1:{PORT}/", check=False).returncode == 0, "it")
    by_hand = installed.command("run", check=False)
    assert by_hand.returncode == ExitCode.PORT_BUSY
    assert f"pid {pid}" in by_hand.stderr
    assert installed.manager.systemctl("start", SOCKET, check=False).returncode != 0
    assert f"pid {pid}" in installed.command("doctor", check=False).stdout
    assert foreign.poll() is None


@pytest.fixture
def misled(installed: Gateway) -> Gateway:
    installed.drop_in(SERVICE, f"[Service]\nEnvironment=PYTHONPATH={SCRIPTS}/inject\n")
    gateway = installed.begin()
    gateway.until_settled()  # a fork in the middle of another thread's import may never come to its exec
    return gateway


@pytest.mark.parametrize("how", daily(LEFT_BEHIND, "daemon"))
def test_child_is_handed_nothing(misled: Gateway, how: str) -> None:
    misled.kill(LEFT_BEHIND[how])
    orphan = misled.orphan()
    assert orphan.listeners == []
    assert [name for name in HANDED_BY_SYSTEMD if name in orphan.environment] == []


@pytest.mark.parametrize(("how", "event"), pairs(LEFT_BEHIND, ["hot", "cold", "kill"]))
def test_child_left_behind_answers_nobody(misled: Gateway, how: str, event: str) -> None:
    misled.kill(LEFT_BEHIND[how])
    orphan = misled.orphan()
    pid = misled.pid()
    if event == "kill":
        misled.kill()
        misled.until_ready(other_than=pid)
    else:
        misled.command("restart", *(["--cold"] if event == "cold" else []))
    with load(misled.manager, "fresh") as clients:
        until(lambda: misled.get().status == 200, "an answer")
    assert clients.lost == {}
    assert set(clients.statuses) == {"200"}
    assert misled.restarts() == (1 if event == "kill" else 0)
    alive = os.path.exists(misled.manager.path(f"/proc/{orphan.pid}"))
    assert alive == (event == "hot" or how == "outside the unit"), "a cold start takes the unit's children along"


def test_stop_takes_the_children_along(misled: Gateway) -> None:
    misled.kill(LEFT_BEHIND["daemon"])
    orphan = misled.orphan()
    misled.command("stop")
    assert not misled.manager.path(f"/proc/{orphan.pid}").exists()
