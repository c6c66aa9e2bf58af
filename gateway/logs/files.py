"""OpenClaw's daily log files: their name, their folder, which is the newest, and when one is removed."""

import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.files.ours import folder_refusal, open_ours

PATTERN = "openclaw-*.log"
"""The names of all daily files; sorted, they are in the order of their days."""
KEEP_FILES_S = 24 * 3600
"""Seconds after its last line for which a daily file is kept, as OpenClaw keeps it."""

log = logging.getLogger("gateway.logs")


def folders(state: Path) -> tuple[Path, ...]:
    """The folders that may hold the files, in the order of preference: OpenClaw's, and those for when it is another
    user's."""
    return Path("/tmp/openclaw"), Path(f"/tmp/openclaw-{os.getuid()}"), state / "logs"


def choose_folder(state: Path) -> Path:
    """The first of `folders` that only this user can write; those in /tmp are made here, the last one is not."""
    *shared, own = folders(state)
    for folder in shared:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder_refusal(folder) is None:
                return folder
        except OSError:
            continue  # the next one is the answer to every reason
    return own


def daily_file(state: Path, now: float) -> Path:
    """The file for a line of this time, in seconds since 1970."""
    return choose_folder(state) / time.strftime("openclaw-%Y-%m-%d.log", time.localtime(now))


def prune(folder: Path, now: float) -> None:
    """Remove the daily files whose last line is older than `KEEP_FILES_S`, and what was rotated away from them."""
    for old in folder.glob("openclaw-????-??-??.log*"):
        try:
            if now - old.stat().st_mtime > KEEP_FILES_S:
                old.unlink()
        except OSError as error:
            log.debug("cannot remove the old log file %s: %s", old, error.strerror)


def newest(places: Iterable[Path]) -> Path | None:
    """The daily file in these folders that was written last, of those that only this user can write."""
    found = [each for folder in places for each in _own_files(folder)]
    return max(found, default=(0.0, None))[1]


def _own_files(folder: Path) -> Iterator[tuple[float, Path]]:
    """This user's own files with the time of their last line: another user may have made a folder of the name first."""
    try:
        if folder_refusal(folder) is not None:
            return
    except OSError:
        return
    for path in folder.glob(PATTERN):
        try:
            with open_ours(path) as file:
                yield os.fstat(file.fileno()).st_mtime, path
        except OSError:
            continue


def successors(path: Path) -> list[Path]:
    """The files that may continue this one: a new one of the same name, and those of later days."""
    days = sorted(path.parent.glob(PATTERN)) if path.match(PATTERN) else []
    return [path, *(day for day in days if day.name > path.name)]
