"""Free space in the state folder."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FreeSpace:
    writable: bool
    free_bytes: int
    free_inodes: int | None
    """None for file systems without inodes."""


def room(folder: Path) -> FreeSpace | None:
    """None if the folder does not exist."""
    try:
        facts = os.statvfs(folder)
    except FileNotFoundError:
        return None
    except OSError:
        return FreeSpace(False, 0, None)
    read_only = bool(facts.f_flag & os.ST_RDONLY)
    writable = not read_only and os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    return FreeSpace(writable, facts.f_bavail * facts.f_frsize, facts.f_favail if facts.f_files else None)
