"""The harness itself, with a socket-activated server of twenty lines: what it reports as lost must be lost."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from gateway.units import ENABLED, UNITS
from tests.e2e.asking import INTERFACES
from tests.e2e.gateway import Gateway
from tests.e2e.inside import Inside
from tests.e2e.load import load
from tests.e2e.manager import UserManager, until

SERVER = """
import asyncio, os, signal, socket, sys
from systemd.daemon import notify

async def serve():
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async def answer(reader, writer):
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
        writer.close()
    inherited = "LISTEN_FDS" in os.environ
    sock = socket.socket(fileno=3) if inherited else socket.create_server(("127.0.0.1", 18789))
    server = await asyncio.start_server(answer, sock=sock)
    notify("READY=1")
    await over.wait()
    server.close()
    await asyncio.sleep(0.1)

print("serving", flush=True)
asyncio.run(serve())
"""
SOCKET = "[Socket]\nListenStream=127.0.0.1:18789\n"
SERVICE = "[Service]\nType=notify\nExecStart=/run/e2e/venv/bin/python %h/server.py\n"


@pytest.fixture
def server(manager: UserManager) -> UserManager:
    manager.write("server.py", SERVER)
    manager.write(".config/systemd/user/toy.socket", SOCKET)
    manager.write(".config/systemd/user/toy.service", SERVICE)
    manager.systemctl("daemon-reload")
    return manager


@pytest.mark.parametrize("kind", ["fresh", "keepalive", "post"])
def test_restart_behind_a_socket_unit_loses_nothing(server: UserManager, kind: str) -> None:
    server.systemctl("start", "toy.socket")
    with load(server, kind) as clients:
        for _ in range(3):
            server.systemctl("restart", "toy.service")
    assert clients.outcomes["ok"]  # how many depends on the machine
    assert clients.lost == {}


def test_restart_without_a_socket_unit_refuses(server: UserManager) -> None:
    server.systemctl("start", "toy.service")
    with load(server, "fresh") as clients:
        server.systemctl("restart", "toy.service")
    assert clients.lost["refused"] > 0
    # Whoever stood in its queue is reset with it.
    assert {failure["outcome"] for failure in clients.failures} <= {"refused", "reset"}


def test_unanswered_request_is_told_from_a_refused_one(server: UserManager) -> None:
    server.systemctl("start", "toy.socket")
    Gateway(server).get()
    with load(server, "fresh", workers=2, timeout=1) as clients:
        server.systemctl("kill", "--signal=STOP", "toy.service")
        until(lambda: server.run("sleep", "1.5"), "a pause longer than the clients' patience")
        server.systemctl("kill", "--signal=KILL", "toy.service")
    assert clients.lost["timeout"] >= 2
    assert "refused" not in clients.lost


def test_journal_and_properties(server: UserManager) -> None:
    server.systemctl("start", "toy.service")
    assert server.show("toy.service", "ActiveState", "SubState") == {"ActiveState": "active", "SubState": "running"}
    until(lambda: "serving" in server.messages("toy.service"), "what the service printed, in the journal")


def test_what_is_asked_is_what_systemctl_shows(server: UserManager) -> None:
    for change in ("start", "kill --signal=KILL", "start", "stop"):
        server.systemctl(*change.split(), "toy.service")
        until(lambda: server.ask("toy.service", "ActiveState") != ["deactivating"], "a state that lasts")
        shown = server.show("toy.service", *INTERFACES)
        assert {name: str(*server.ask("toy.service", name)) for name in INTERFACES} == shown
    assert server.ask("nowhere.service", "LoadState", "MainPID") == ["not-found", 0]


def start_sleep(manager: UserManager) -> Inside:
    process = manager.popen("sleep", "60")
    until(lambda: manager.run("pgrep", "sleep", check=False).stdout, "a process inside")
    return process


def test_signals_reach_the_process_inside(manager: UserManager) -> None:
    process = start_sleep(manager)
    process.terminate()
    assert process.wait(timeout=5) == -signal.SIGTERM


def test_a_signal_to_all_inside_does_not_reach_the_tests(manager: UserManager) -> None:
    """`kill 0` is for the process group, and that does not end at a namespace."""
    assert os.getpgid(start_sleep(manager).pid) != os.getpgrp()
    manager.root_run("sh", "-c", "kill -TERM 0; sleep 60", check=False)
    with pytest.raises(AssertionError, match="no process"):
        manager.kill(0)


def test_two_managers_hold_the_same_port(server: UserManager, installation: Path, tmp_path: Path) -> None:
    server.systemctl("start", "toy.service")
    with UserManager(tmp_path / "other", installation, uid=server.uid + 1) as other:
        assert Gateway(other).manager.run("curl", "-s", "http://127.0.0.1:18789/", check=False).returncode == 7
    assert Gateway(server).get("/").body == "ok"


def test_nothing_is_left_behind(installation: Path, tmp_path: Path) -> None:
    with UserManager(tmp_path, installation) as manager:
        process = start_sleep(manager)
        folder = manager.path("/")
    assert process.wait(timeout=5) == -signal.SIGKILL
    assert not folder.exists()


LIBRARYS_OWN = 0b11 << 31
"""Signals 32 and 33: the C library keeps them for threads, and no program can set them."""


def test_what_a_process_inside_is_given(manager: UserManager) -> None:
    """Its place, its user, its variables, and nothing of the machine's own."""
    told = manager.run(
        "sh", "-c", "id -u; id -G; pwd; grep ^0:: /proc/self/cgroup; ls /proc/self/fd; env", env={"MINE": "1"}
    )
    uid, groups, folder, cgroup, *rest = told.stdout.splitlines()
    assert (uid, groups, folder) == (str(manager.uid), str(manager.uid), manager.inner_home)
    assert cgroup == f"0::/user.slice/user-{uid}.slice/session-1.scope"
    assert rest[:4] == ["0", "1", "2", "3"], "and 3 is how `ls` reads the folder"
    assert {"MINE=1", f"HOME={folder}"} <= {*rest[4:]}
    assert not any(line.startswith("PYTEST") for line in rest)
    caught = manager.run("sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status").stdout
    masks = [int(line.split()[1], 16) for line in caught.splitlines()]
    assert [mask & ~LIBRARYS_OWN for mask in masks] == [0, 0]


def test_what_a_process_inside_says_is_heard_whole(manager: UserManager) -> None:
    script = "echo first; read word; echo $word; yes | head -c 300000; yes | head -c 300000 >&2; exit 3"
    with manager.popen("sh", "-c", script) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "first\n"
        process.stdin.write("second\n")
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out[:7], len(out)) == (3, "second\n", 300007)
    assert len(err) == 300000


def test_a_process_inside_that_lasts_is_given_up(manager: UserManager) -> None:
    process = start_sleep(manager)
    for ask in (process.wait, process.communicate):
        with pytest.raises(subprocess.TimeoutExpired):
            ask(timeout=0.05)
    assert process.poll() is None
    with pytest.raises(AssertionError, match="ended with 127\nno-such-command cannot be started"):
        manager.run("no-such-command")


def test_what_install_left_is_as_a_run_of_it_would_leave_it(installed: Gateway) -> None:
    """Nothing runs, and a run of `install` finds nothing to do."""
    assert [installed.state(unit) for unit in UNITS] == ["inactive"] * len(UNITS)
    assert installed.manager.systemctl("is-enabled", *ENABLED).stdout.split() == ["enabled"] * len(ENABLED)
    assert "nothing to change" in installed.command("install").stdout
    assert [installed.state(unit) for unit in UNITS] == ["inactive"] * len(UNITS)
