import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.systemd import manager
from gateway.systemd.manager import is_being_stopped, store_size
from tests.processes import alive
from tests.slack import LIMIT_S

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
        monkeypatch.setattr(manager, "ANSWER_S", 30.0)
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
    monkeypatch.setattr(manager, "ANSWER_S", 0.05)
    assert asyncio.run(asyncio.wait_for(is_being_stopped(UNIT), LIMIT_S)) is False


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

    uvloop.run(asyncio.wait_for(scene(), LIMIT_S))


@pytest.mark.process
def test_a_machine_without_systemctl_is_taken_for_a_restart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert asyncio.run(is_being_stopped(UNIT)) is False
