"""The program itself, without systemd: started, reloaded, restarted in place, stopped, and refused."""

import asyncio
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.client.client import GatewayClient
from gateway.client.errors import ConnectRefused, Disconnected
from gateway.files.paths import Paths
from gateway.process.signals import MAIN_THREAD_ONLY
from tests.effort import share
from tests.program import Program
from tests.slack import LIMIT_S

pytestmark = pytest.mark.process

ROUNDS = share(4, 2)
"""Restarts where each is like the last; from the second on, a process passes on what was passed on to it."""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    if program.process is not None:
        if program.process.poll() is None:
            program.process.kill()
        program.process.wait()


def test_it_serves_and_stops(program: Program) -> None:
    program.start()
    assert program.get("/healthz") == (200, {"ok": True, "status": "live"})
    assert program.get("/readyz")[1]["ready"] is True
    status = program.status()
    assert status["port_owner"] == "self" and status["listeners"][0] == f"127.0.0.1:{program.port}"
    limits = Path(f"/proc/{program.process.pid}/limits").read_text()  # type: ignore[union-attr]
    assert re.search(r"Max core file size +0 ", limits)
    assert program.stop() == 0
    assert not program.control.exists()
    assert "listening on" in program.output()


def test_a_secret_nobody_configured_is_generated_for_the_user_alone(program: Program) -> None:
    program.start()
    token = program.state / "gateway" / "token"
    assert len(token.read_text().strip()) > 30 and token.stat().st_mode & 0o777 == 0o600


class Load(threading.Thread):
    """Opens a connection per request until it is told to end, and keeps what went wrong."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program, self.served, self.failed, self.over = program, 0, [], threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.002):
            try:
                assert self.program.get("/healthz")[0] == 200
                self.served += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failed.append(repr(error))

    def __enter__(self) -> "Load":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


def test_hot_restarts_lose_no_request_and_keep_the_pid(program: Program) -> None:
    program.start()
    pid, boots = program.status()["pid"], {program.status()["boot_id"]}
    with Load(program) as load:
        for count in range(1, ROUNDS + 1):
            program.signal(signal.SIGUSR1)
            program.until(lambda count=count: program.status()["restarts"]["hot"] == count)  # type: ignore[misc]
            boots.add(program.status()["boot_id"])
    assert load.failed == [] and load.served > 0
    assert program.status()["pid"] == pid and len(boots) == ROUNDS + 1
    assert program.status()["restarts"]["last"]["gap_ms"] > 0


def test_nothing_leaks_over_restarts(program: Program) -> None:
    program.start()

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{program.status()['pid']}/fd"))

    def settled() -> int:
        """Descriptors after what follows READY, which opens some for a moment. Those of `status` go a moment later."""
        program.until(lambda: (status := program.status())["settled"] and status["watching"] != "off")
        found: list[int] = []
        program.until(lambda: found.append(descriptors()) or len(found) > 5 and len({*found[-5:]}) == 1)  # type: ignore[func-returns-value]
        return found[-1]

    program.signal(signal.SIGUSR1)
    program.until(lambda: program.status()["restarts"]["hot"] == 1)
    before = settled()
    for count in range(2, 5):
        program.signal(signal.SIGUSR1)
        program.until(lambda count=count: program.status()["restarts"]["hot"] == count)  # type: ignore[misc]
    assert abs(settled() - before) <= 1  # the log file may be open or not


def test_a_second_gateway_on_the_same_state_is_told_and_the_first_does_not_notice(program: Program) -> None:
    program.start()
    boot = program.status()["boot_id"]
    second = program.refused("--force")
    assert second.returncode == 11
    assert f"pid {program.status()['pid']}" in second.stderr and "nothing to force" in second.stderr
    assert program.status()["boot_id"] == boot and program.control.exists()


def test_a_busy_port_is_told(program: Program, tmp_path: Path) -> None:
    program.start()
    second = program.refused(OPENCLAW_STATE_DIR=str(tmp_path / "other"))
    assert second.returncode == 10 and f"pid {program.status()['pid']}" in second.stderr


def test_garbage_for_descriptors_is_told(program: Program) -> None:
    as_systemd = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.executable, sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", as_systemd, *program.command()],
        env=program.environ | {"LISTEN_FDS": "many"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 12 and "LISTEN_FDS=many" in done.stderr


def test_edits_are_taken_as_they_need(program: Program) -> None:
    program.write({"gateway": {"reload": {"debounceMs": 10}}})
    program.start()
    program.until(lambda: program.status()["watching"] != "off")
    boot = program.status()["boot_id"]
    program.write({"gateway": {"reload": {"debounceMs": 10}, "auth": {"token": "new"}}})
    program.until(lambda: program.status()["config"]["last_reload"]["outcome"] == "hot")
    assert program.status()["boot_id"] == boot
    program.write({"gateway": {"reload": {"debounceMs": 10}, "controlUi": {"basePath": "/ui"}}})
    program.until(lambda: program.status()["boot_id"] != boot)
    program.write("{ broken")
    program.until(lambda: program.status()["config"]["state"] == "degraded")
    status, ready = program.get("/readyz")
    assert (status, ready["ready"], ready["degraded"]) == (200, True, ["config"])
    program.write({"gateway": {"reload": {"debounceMs": 10}}})
    program.until(lambda: program.status()["config"]["state"] == "good")


def test_a_changed_token_closes_who_used_the_old_one(program: Program) -> None:
    def config(token: str) -> dict[str, Any]:
        return {"gateway": {"auth": {"token": token}, "reload": {"debounceMs": 10}}}

    async def scene() -> None:
        url = f"ws://127.0.0.1:{program.port}"
        async with asyncio.timeout(LIMIT_S), GatewayClient(url, token="old") as client:
            assert (await client.call("health"))["ok"] is True
            program.write(config("new"))
            with pytest.raises(Disconnected) as closed:
                async for _ in client.events():
                    pass
            assert closed.value.code == 1008
            with pytest.raises(ConnectRefused):
                await GatewayClient(url, token="old").connect()
            async with GatewayClient(url, token="new") as again:
                assert (await again.call("health"))["ok"] is True

    program.write(config("old"))
    program.start()
    program.until(lambda: program.status()["watching"] != "off")
    asyncio.run(scene())


TOKEN = {"gateway": {"auth": {"token": "t0k"}}}


async def restart(program: Program) -> None:
    count = (await asyncio.to_thread(program.status))["restarts"]["hot"]
    program.signal(signal.SIGUSR1)
    await asyncio.to_thread(program.until, lambda: program.status()["restarts"]["hot"] == count + 1)


def test_a_websocket_stays_over_restarts(program: Program) -> None:
    async def scene() -> None:
        async with asyncio.timeout(60), GatewayClient(f"ws://127.0.0.1:{program.port}", token="t0k") as client:
            seen: list[int] = []

            async def listen() -> None:
                async for event in client.events():
                    if event.seq is not None:
                        assert event.seq == len(seen) + 1
                        seen.append(event.seq)

            listening = asyncio.ensure_future(listen())
            for count in range(1, ROUNDS + 1):
                await restart(program)
                assert (await client.call("health"))["ok"] is True
                last = program.status()["restarts"]["last"]
                assert (last["adopted"], last.get("closed", {})) == (1, {}) and last["silence_ms"] > 0
                assert program.status()["websockets"] == 1
                assert program.status()["restarts"]["adopted"] == count
            assert seen and not listening.done()
            assert await asyncio.to_thread(program.stop) == 0
            with pytest.raises(Disconnected) as closed:
                await listening
            assert (closed.value.code, closed.value.reason) == (1012, "service restart")

    program.write(TOKEN)
    program.start()
    asyncio.run(scene())


def test_only_the_main_thread_takes_signals(program: Program) -> None:
    """So a process that the watchdog aborts after a SIGSTOP reads nothing more: SIGCONT wakes the other threads too."""
    program.write(TOKEN)
    elsewhere = program.state / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "more.json").write_text("{}")
    program.start()
    program.until(lambda: program.status()["watching"] == "inotify")
    assert program.process is not None
    tasks = Path(f"/proc/{program.process.pid}/task")
    before = len(list(tasks.iterdir()))
    program.write(TOKEN | {"$include": str(elsewhere / "more.json")})
    program.until(lambda: len(list(tasks.iterdir())) > before)  # the threads of another watched folder
    for task in tasks.iterdir():
        blocked = int(re.findall(r"^SigBlk:\s*(\w+)", (task / "status").read_text(), re.M)[0], 16)
        free = {number for number in MAIN_THREAD_ONLY if not blocked >> number - 1 & 1}
        assert free == (set(MAIN_THREAD_ONLY) if task.name == tasks.parent.name else set()), (task / "comm").read_text()


def test_an_http_connection_stays_over_a_restart(program: Program) -> None:
    # Idle it is closed after `keepAliveMs`, restart or not, and restarts on a busy machine take longer than that.
    program.write({"gateway": {"http": {"limits": {"keepAliveMs": 600_000}}}})
    program.start()
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=LIMIT_S)
    boots = set()
    for count in range(1, ROUNDS + 1):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        ours = connection.sock.getsockname()
        boots.add(program.status()["boot_id"])
        program.signal(signal.SIGUSR1)
        program.until(lambda count=count: program.status()["restarts"]["hot"] == count)  # type: ignore[misc]
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200 and connection.sock.getsockname() == ours and len(boots) == ROUNDS
    connection.close()


def test_whoever_asks_for_a_restart_over_the_control_socket_is_answered(program: Program) -> None:
    program.start()
    for count in range(1, ROUNDS + 1):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(program.control))
            sock.sendall(b"POST /control/restart HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
            # All of it, and then the end: it is not passed on.
            assert b'"state":"scheduled"' in b"".join(iter(partial(sock.recv, 65536), b""))
        program.until(lambda count=count: program.status()["restarts"]["hot"] == count)  # type: ignore[misc]
    assert program.stop() == 0
    assert "leaving (SIGTERM)" in program.output(), "the last lines are written"


def test_a_stop_in_the_middle_of_a_restart_closes_the_clients(program: Program) -> None:
    async def scene() -> None:
        async with asyncio.timeout(60), GatewayClient(f"ws://127.0.0.1:{program.port}", token="t0k") as client:
            program.signal(signal.SIGUSR1)
            while "leaving" not in program.output():
                await asyncio.sleep(0)
            program.signal(signal.SIGTERM)
            assert program.process is not None
            code = await asyncio.to_thread(program.process.wait, 20)
            with pytest.raises(Disconnected) as closed:
                async for _ in client.events():
                    pass
            assert code == 0 and closed.value.code == 1012

    program.write(TOKEN)
    program.start()
    asyncio.run(scene())


def test_sighup_reloads_and_a_broken_config_changes_nothing(program: Program) -> None:
    program.write({"gateway": {"reload": {"mode": "off"}}})
    program.start()
    program.write("{")
    program.signal(signal.SIGHUP)
    program.until(lambda: program.status()["config"]["last_reload"]["outcome"] == "invalid")
    assert program.get("/healthz")[0] == 200


def test_a_broken_config_at_start_runs_on_the_last_good_one(program: Program) -> None:
    program.write({"gateway": {"auth": {"token": "good"}, "reload": {"debounceMs": 10}}})
    program.start()
    program.until(lambda: (program.state / "gateway" / "last-good.json").exists())
    program.stop()
    program.write("{ broken")
    program.start()
    status = program.status()
    assert (status["config"]["source"], status["degraded"]) == ("last-good", ["config"])
    assert status["config"]["issues"][0]["line"] == 1
    assert program.config.read_text() == "{ broken"
    program.until(lambda: program.status()["watching"] != "off")
    program.write({"gateway": {"auth": {"token": "good"}}})
    program.until(lambda: program.status()["config"]["source"] == "file" and not program.status()["degraded"])


def test_a_broken_config_at_the_first_start_runs_on_defaults(program: Program) -> None:
    program.write("[]")
    program.start()
    assert program.status()["config"]["source"] == "defaults"
    assert program.get("/healthz")[0] == 200 and program.get("/__openclaw/control-ui-config.json")[0] == 401


def test_a_program_that_cannot_start_is_not_restarted_into(program: Program, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    program.environ["PYTHONPATH"] = f"{trap}:{os.getcwd()}"
    program.start()
    boot = program.status()["boot_id"]
    (trap / "msgspec.py").write_text("raise ImportError('half installed')")
    program.signal(signal.SIGUSR1)
    program.until(lambda: program.status()["restart_problem"])
    assert program.status()["restart_problem"] == "ImportError: half installed"
    assert program.status()["boot_id"] == boot and program.get("/readyz")[0] == 200
    (trap / "msgspec.py").unlink()
    program.signal(signal.SIGUSR1)
    program.until(lambda: program.status()["boot_id"] != boot)


def test_a_state_folder_that_cannot_be_is_a_degraded_gateway(program: Program, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a folder")
    program.control = Paths.from_env(program.environ).control
    program.start()
    assert "state" in program.status()["degraded"]
    assert program.get("/healthz")[0] == 200


def test_it_ends_with_0_on_an_interrupt_too(program: Program) -> None:
    program.start()
    program.signal(signal.SIGINT)
    assert program.process is not None and program.process.wait(20) == 0


@pytest.mark.parametrize("bind", ["nowhere", "300.1.1.1", "example.org"])
def test_an_address_that_is_none_is_a_usage_error(bind: str) -> None:
    refused = CliRunner().invoke(cli, ["run", "--bind", bind])
    assert refused.exit_code == 2 and "neither loopback nor lan nor auto nor an IP address" in refused.stderr


# Which addresses others can reach is tested in tests/config/test_validate.py and test_guard.py.
@pytest.mark.parametrize(
    ("bind", "auth"),
    [
        ("lan", {}),
        ("::", {"mode": "none"}),
        *(
            pytest.param(bind, auth, marks=pytest.mark.exhaustive)
            for bind in ("0.0.0.0", "::", "192.0.2.77", "lan")
            for auth in ({}, {"mode": "none"})
        ),
    ],
)
def test_a_bind_that_would_let_others_in_is_refused(program: Program, bind: str, auth: dict[str, str]) -> None:
    program.write({"gateway": {"auth": auth}})
    refused = program.refused("--bind", bind)
    assert refused.returncode == 78
    assert (
        f"Refusing to bind gateway to {bind} without auth. Set gateway.auth.token in {program.config}" in refused.stderr
    )
    assert not (program.state / "gateway" / "token").exists()


def test_what_lets_others_in_while_they_can_connect_is_not_taken_by_any_way(program: Program) -> None:
    """Neither by an edit, which may move the port away only later, nor by a restart."""
    quick = {"reload": {"debounceMs": 10, "mode": "hot"}}
    program.write({"gateway": {"auth": {"token": "t"}, "bind": "lan", **quick}})
    program.start()
    program.until(lambda: (program.state / "gateway" / "last-good.json").exists())
    boot = program.status()["boot_id"]
    program.write({"gateway": {"auth": {"mode": "none"}, "bind": "loopback", **quick}})
    program.until(lambda: program.status()["config"]["last_reload"]["outcome"] == "invalid")
    assert program.get("/__openclaw/control-ui-config.json")[0] == 401
    [issue] = program.status()["config"]["issues"]
    assert f"Refusing to bind to 0.0.0.0:{program.port}" in issue["message"]
    program.signal(signal.SIGUSR1)
    program.until(lambda: program.status()["boot_id"] != boot and program.status()["ready"])
    status = program.status()
    assert status["listeners"] == [f"127.0.0.1:{program.port}", f"[::1]:{program.port}"] and not status["degraded"]


def test_a_gateway_that_others_can_reach_goes_on_when_its_secret_is_taken_away(program: Program) -> None:
    program.write({"gateway": {"auth": {"token": "t"}, "reload": {"debounceMs": 10}}})
    program.start("--bind", "lan")
    program.until(lambda: (program.state / "gateway" / "last-good.json").exists())
    boot = program.status()["boot_id"]
    program.write({"gateway": {"reload": {"debounceMs": 10}}})
    program.until(lambda: program.status()["degraded"] == ["config"])
    program.signal(signal.SIGUSR1)
    program.until(lambda: program.status()["boot_id"] != boot and program.status()["ready"])
    assert program.status()["config"]["source"] == "last-good"
    (program.state / "gateway" / "last-good.json").unlink()
    boot = program.status()["boot_id"]
    program.signal(signal.SIGUSR1)
    program.until(lambda: program.status()["boot_id"] != boot and program.status()["ready"])
    assert program.status()["degraded"] == ["config", "auth"]
    assert program.get("/__openclaw/control-ui-config.json")[0] == 401
