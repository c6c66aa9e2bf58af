import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from msgspec.structs import replace

from gateway.process import background
from gateway.process.background import is_being_stopped, rehearse, status_line, store_size, tell_status
from gateway.report import ConfigReport, Issue, ReloadResult
from tests.fakes.report import make_report
from tests.fakes.service_manager import FakeNotifier
from tests.processes import alive

REPORT = make_report(websockets=3, connections=5)


def test_status_says_address_clients_and_config() -> None:
    assert status_line(REPORT) == "Serving 127.0.0.1:18789, [::1]:18789 | 3 clients | config good"
    assert "1 client |" in status_line(replace(REPORT, websockets=1))


def test_status_says_what_the_last_reload_did() -> None:
    result = ReloadResult("hot", "applied without a restart: gateway.auth.token", at=1_000)
    line = status_line(replace(REPORT, config=replace(REPORT.config, last_reload=result)))
    assert line.endswith(": applied without a restart: gateway.auth.token") and "| reload " in line
    unchanged = replace(result, outcome="unchanged")
    assert "reload" not in status_line(replace(REPORT, config=replace(REPORT.config, last_reload=unchanged)))


def test_status_says_what_is_wrong_and_what_runs_instead() -> None:
    issues = (Issue("expected an integer", "gateway.port", "/c", 3, 5), Issue("another"))
    config = ConfigReport("/c", "degraded", "last-good", issues=issues)
    line = status_line(replace(REPORT, degraded=("config",), config=config))
    assert "DEGRADED config: /c:3:5: gateway.port: expected an integer (+1 more)" in line
    assert "running on the last known good one" in line


def test_status_of_a_missing_config() -> None:
    line = status_line(replace(REPORT, config=ConfigReport("/c", "missing", "defaults")))
    assert line.endswith("no config at /c, defaults")


def test_status_is_sent_when_it_changes_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "STATUS_EVERY_S", 0)
    manager = FakeNotifier()

    async def scene() -> None:
        wanted, reports = asyncio.Event(), [REPORT, REPORT, replace(REPORT, websockets=4)]
        task = asyncio.ensure_future(tell_status(manager, wanted, lambda: reports.pop(0)))
        async with asyncio.timeout(5):
            while reports:
                wanted.set()
                await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(scene())
    assert [line.split(" | ")[1] for line in manager.said] == ["3 clients", "4 clients"]


@pytest.mark.process
def test_the_installed_program_can_start() -> None:
    assert asyncio.run(rehearse()) is None


@pytest.mark.process
def test_a_program_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "msgspec.py").write_text("raise ImportError('half installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert asyncio.run(rehearse()) == "ImportError: half installed"


@pytest.mark.process
def test_an_interpreter_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background.sys, "executable", "/nonexistent/python")
    assert asyncio.run(rehearse()) == "/nonexistent/python: No such file or directory"


@pytest.mark.process
def test_a_program_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "msgspec.py").write_text("import signal\nsignal.pause()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(background, "REHEARSAL_S", 0.2)
    problem = asyncio.run(rehearse())
    assert problem is not None and "took over" in problem


@pytest.mark.process
def test_of_a_program_that_says_much_the_last_words_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "msgspec.py").write_text(
        "import sys\nsys.stderr.write('x' * 5_000_000)\nraise ImportError('last words')"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert asyncio.run(rehearse()) == "ImportError: last words"


@pytest.mark.process
def test_a_rehearsal_that_is_called_off_leaves_no_child_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "msgspec.py").write_text(
        f"import os, signal\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\nsignal.pause()"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    async def scene() -> int:
        task = asyncio.ensure_future(rehearse())
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return int((tmp_path / "pid").read_text())

    pid = asyncio.run(scene())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


UNIT = "openclaw-gateway.service"


@pytest.fixture
def systemctl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Answer by what this shell script says; returns where it writes down what it was asked."""

    def answer(script: str) -> Path:
        asked = tmp_path / "asked"
        program = tmp_path / "systemctl"
        program.write_text(f'#!/bin/sh\necho "$*" >> {asked}\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        # On a busy machine a shell may take longer than systemd is given.
        monkeypatch.setattr(background, "ASK_S", 30.0)
        return asked

    return answer


@pytest.mark.process
@pytest.mark.parametrize(
    ("script", "stopped"),
    [
        (f"echo '77 {UNIT} stop running'", True),
        (f"echo '76 other.service stop running'; echo '77 {UNIT} stop waiting'", True),
        (f"case $1 in --system) echo '77 {UNIT} stop running' ;; esac", True),
        (f"case $1 in --user) exit 1 ;; esac; echo '77 {UNIT} stop running'", True),
        (f"echo '77 {UNIT} restart running'", False),
        (f"echo '77 {UNIT} start waiting'; echo '78 other.service stop running'", False),
        (f"echo '77 {UNIT} stop running'; exit 1", False),
        ("", False),
        ("echo; echo stop; printf '\\377\\n'", False),
    ],
)
def test_systemds_jobs_tell_a_stop_from_a_restart(systemctl: Any, script: str, stopped: bool) -> None:
    asked = systemctl(script)
    assert asyncio.run(is_being_stopped(UNIT)) is stopped
    question = f"--no-pager list-jobs --plain --no-legend {UNIT}"
    assert sorted(asked.read_text().splitlines()) == [f"--system {question}", f"--user {question}"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("script", "size"),
    [
        ("echo MainPID=$PPID; echo FileDescriptorStoreMax=8192", 8192),
        ("case $1 in --system) echo FileDescriptorStoreMax=0; echo MainPID=$PPID;; esac", 0),
        ("echo MainPID=1; echo FileDescriptorStoreMax=8192", None),
        ("echo MainPID=$PPID; echo FileDescriptorStoreMax=", None),
        ("exit 1", None),
    ],
)
def test_the_size_of_the_store_is_that_of_the_unit_we_are_the_main_process_of(
    systemctl: Any, script: str, size: int | None
) -> None:
    systemctl(script)
    assert asyncio.run(store_size(UNIT)) == size


@pytest.mark.process
def test_a_systemd_that_does_not_answer_is_taken_for_a_restart(systemctl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    systemctl("exec sleep 60")
    monkeypatch.setattr(background, "ASK_S", 0.05)
    assert asyncio.run(asyncio.wait_for(is_being_stopped(UNIT), 5)) is False


@pytest.mark.process
def test_a_question_to_systemd_that_is_called_off_leaves_no_child_behind(systemctl: Any, tmp_path: Path) -> None:
    systemctl(f"echo $$ >> {tmp_path / 'pids'}; exec sleep 60")

    def pids() -> list[int]:
        file = tmp_path / "pids"
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []

    async def scene() -> None:
        task = asyncio.ensure_future(store_size(UNIT))
        while len(pids()) < 2:  # one of each manager
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not any(map(alive, pids())), "and not only when the garbage collector comes by"
        await asyncio.sleep(0)  # in which the loop sees that their pipes have ended

    uvloop.run(asyncio.wait_for(scene(), 20))


def test_a_machine_without_systemctl_is_taken_for_a_restart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert asyncio.run(is_being_stopped(UNIT)) is False
