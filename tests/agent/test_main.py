"""`openclaw-agent` on a command line, where it has no business to be."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import __version__
from gateway.exits import ExitCode
from tests.slack import LIMIT_S

pytestmark = pytest.mark.process


PROJECT = Path(__file__).parents[2]


def agent(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.agent", *arguments],
        env={**os.environ, **environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def test_by_hand_it_says_what_it_is_and_what_to_do() -> None:
    done = agent()
    assert done.returncode == ExitCode.USAGE and not done.stdout
    assert "there is no socket to serve on" in done.stderr and "openclaw-gateway install --now" in done.stderr
    assert "openclaw-gateway run" in done.stderr and "Traceback" not in done.stderr


def test_help_and_version() -> None:
    done = agent("--help")
    assert done.returncode == 0 and "--fd N" in done.stdout and "Runs models and tools" in done.stdout
    assert agent("--version").stdout.strip() == __version__


@pytest.mark.parametrize("arguments", [["--fd"], ["--fd", "x"], ["serve"]])
def test_a_wrong_command_line_is_said(arguments: list[str]) -> None:
    done = agent(*arguments)
    assert done.returncode == ExitCode.USAGE and "usage: openclaw-agent" in done.stderr


@pytest.mark.parametrize("fd", ["0", "99", "-1"])
def test_a_descriptor_that_is_no_socket_is_said(fd: str) -> None:
    done = agent(f"--fd={fd}")
    assert done.returncode == ExitCode.BAD_DESCRIPTORS and f"descriptor {fd}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_listener_where_a_connection_belongs_is_said(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        done = subprocess.run(
            [sys.executable, "-m", "gateway.agent", "--fd", str(listener.fileno())],
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            pass_fds=[listener.fileno()],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    assert done.returncode == ExitCode.BAD_DESCRIPTORS and "listens" in done.stderr


def test_the_console_script_is_installed_with_the_package() -> None:
    assert 'openclaw-agent = "gateway.agent.__main__:main"' in (PROJECT / "pyproject.toml").read_text()
