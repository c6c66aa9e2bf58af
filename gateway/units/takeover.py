"""Putting aside a unit file that is not ours, so that ours can have its name. The backup stays in the same folder."""

import os
import time
from collections.abc import Callable
from pathlib import Path

BACKUP = "openclaw-backup"


def put_aside(path: Path, clock: Callable[[], float] = time.time) -> Path:
    """Rename `path` to a backup that systemd does not read and that no later call overwrites. Return the backup."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(clock()))
    number = 0
    while True:
        suffix = f"-{number}" if number else ""
        backup = path.with_name(f"{path.name}.{BACKUP}-{stamp}{suffix}")
        try:
            # A link fails when the name is taken, where a rename would overwrite.
            os.link(path, backup, follow_symlinks=False)
        except FileExistsError:
            number += 1
            continue
        path.unlink()
        return backup


def backups(folder: Path) -> list[Path]:
    """The files that were put aside in this folder, sorted by name and time."""
    return sorted(folder.glob(f"*.{BACKUP}-*"))
