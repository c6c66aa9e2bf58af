"""Finding the log file, its last lines, and what is added to it."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from gateway.client.control import Control
from gateway.config import files
from gateway.errors import GatewayError
from gateway.files.ours import folder_refusal, open_ours
from gateway.files.paths import Paths
from gateway.logs.setup import folders

PATTERN = "openclaw-*.log"
BLOCK = 64 * 1024
MAX_LINE = 1024 * 1024
"""Longest line kept together, in bytes; what is longer comes in pieces."""


def find(env: Mapping[str, str], places: Iterable[Path] | None = None) -> Path | None:
    """The running gateway's file, else the config's, else the newest of this user's own in `places`."""
    try:
        told = Control.from_env(env).status().log_file
    except GatewayError:
        told = None
    if told:
        return Path(told)
    paths = Paths.from_env(env)
    config = files.read(paths.config, env, paths.state, door_only=True).config
    if config and config.logging.file and Path(config.logging.file).exists():
        return Path(config.logging.file)
    found = [each for folder in places or folders(paths.state) for each in _files(folder)]
    return max(found, default=(0.0, None))[1]


def _files(folder: Path) -> Iterator[tuple[float, Path]]:
    """This user's own log files, each with its age: another user may have made a folder of the name first."""
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


def last_lines(path: Path, count: int | None, end: int) -> list[str]:
    """The last `count` lines before the byte `end`; all of them for None."""
    with open_ours(path) as file:
        if count is None:
            return _texts(file.read(end))
        blocks: deque[bytes] = deque()
        breaks = 0
        # One more line end than lines, because the file ends with one.
        while end > 0 and breaks <= count:
            start = max(end - BLOCK, 0)
            file.seek(start)
            blocks.appendleft(file.read(end - start))
            breaks += blocks[0].count(b"\n")
            end = start
    lines = _texts(b"".join(blocks))
    return lines[len(lines) - count :] if count < len(lines) else lines


def _texts(data: bytes) -> list[str]:
    return [line.decode(errors="replace") for line in data.split(b"\n") if line]


class Follower:
    """New lines of a file that may be rotated (another file under the name), truncated, or followed by the next day's.

    Construct it before the last lines are read: `position` is where it will go on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_ours(path)
        self._file.seek(0, os.SEEK_END)
        self._rest = b""

    def close(self) -> None:
        self._file.close()

    @property
    def position(self) -> int:
        return self._file.tell()

    def lines(self, pause: Callable[[], None]) -> Iterator[str]:
        """For ever; `pause` is called when there is nothing new."""
        while True:
            found = self._read()
            yield from found
            if not found and not self._turn():
                pause()

    def _read(self) -> list[str]:
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)  # truncated: begin again
            self._rest = b""
        data = self._rest + self._file.read(BLOCK)
        whole, _, self._rest = data.rpartition(b"\n")
        if len(self._rest) > MAX_LINE:
            whole, self._rest = data, b""
        return _texts(whole)

    def _turn(self) -> bool:
        """Go on with the file that has taken the place of this one, if there is any."""
        here = os.fstat(self._file.fileno())
        for path in self._successors():
            try:
                file = open_ours(path)
            except OSError:
                continue  # between the rename and the new file
            if os.path.samestat(os.fstat(file.fileno()), here):
                file.close()
                continue
            self._file.close()
            self._file, self.path, self._rest = file, path, b""
            return True
        return False

    def _successors(self) -> list[Path]:
        """The same name, and later days: names sort by date."""
        days = sorted(self.path.parent.glob(PATTERN)) if self.path.match(PATTERN) else []
        return [self.path, *(path for path in days if path.name > self.path.name)]
