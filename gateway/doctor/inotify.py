"""The use of the user's inotify limits, from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class InotifyUsage:
    """inotify instances and watches of one user; a limit of None is unknown."""

    instances: int = 0
    max_instances: int | None = None
    watches: int = 0
    max_watches: int | None = None


def usage(proc: Path = PROC, uid: int | None = None) -> InotifyUsage:
    owner = os.getuid() if uid is None else uid
    instances = watches = 0
    for process in proc.iterdir():
        if process.name.isdigit():
            found = _instances(process, owner)
            instances += len(found)
            watches += sum(found)
    limits = proc / "sys/fs/inotify"
    return InotifyUsage(instances, _limit(limits / "max_user_instances"), watches, _limit(limits / "max_user_watches"))


def _instances(process: Path, owner: int) -> list[int]:
    """The number of watches of each inotify instance that a process has open."""
    counts: list[int] = []
    try:
        if process.stat().st_uid != owner:
            return []
        for number in os.listdir(process / "fd"):
            if os.readlink(process / "fd" / number) in ("anon_inode:inotify", "inotify"):
                text = (process / "fdinfo" / number).read_text()
                counts.append(sum(line.startswith("inotify ") for line in text.splitlines()))
    except OSError:
        pass  # the process ended, or may not be read: the count so far stands
    return counts


def _limit(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
