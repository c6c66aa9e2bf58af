"""Scenarios on a small disk of their own, which can be full or read-only: a tmpfs in a mount namespace."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


def on_a_small_disk(scenario: Callable[[Path], None], folder: Path, size: str = "1m") -> None:
    """Run a module's function in a process that has a file system of this size at `folder`."""
    mount = 'mount -t tmpfs -o "size=$0" tmpfs "$1" && shift && exec "$@"'
    call = f"from pathlib import Path; from {scenario.__module__} import {scenario.__name__} as scenario; "
    python = [sys.executable, "-W", "error", "-c", f"{call}scenario(Path({str(folder)!r}))"]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, size, str(folder), *python],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=50,
    )
    if done.returncode and "Traceback" not in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


def fill(folder: Path, leave: int = 0) -> None:
    """All but so many bytes."""
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    file_size = (folder / "filler").stat().st_size
    os.truncate(folder / "filler", max(0, file_size - leave))


def make_room(folder: Path) -> None:
    (folder / "filler").unlink()


def remount(folder: Path, how: str) -> None:
    """`ro` or `rw`. The options that it has name a user of the machine, who may be unknown in here."""
    subprocess.run(["mount", "--options-mode=ignore", "-o", f"remount,{how}", str(folder)], check=True)
