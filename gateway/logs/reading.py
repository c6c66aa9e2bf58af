"""Reading a log file while it grows: its last lines, the lines that follow, and pages that a client asks for.

The file may be truncated, replaced, or one line of a gigabyte. What is held of it in memory is bounded.
"""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.files.ours import open_ours
from gateway.logs.files import successors

BLOCK = 64 * 1024
MAX_LINE = 1024 * 1024
"""The longest line in bytes that the follower gives as one; it gives a longer line in pieces."""
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC  # opening a FIFO would wait for its writer

FileId = tuple[int, int]
"""Device and inode."""


def last_lines(path: Path, count: int | None, end: int) -> list[str]:
    """The last `count` lines before the byte `end`; all of them for None. Raises OSError."""
    with open_ours(path) as file:
        if count is None:
            return _filled(file.read(end))
        blocks: deque[bytes] = deque()
        breaks = 0
        # One more line end than lines, because the file ends with one.
        while end > 0 and breaks <= count:
            start = max(end - BLOCK, 0)
            file.seek(start)
            blocks.appendleft(file.read(end - start))
            breaks += blocks[0].count(b"\n")
            end = start
    lines = _filled(b"".join(blocks))
    return lines[len(lines) - count :] if count < len(lines) else lines


def _filled(data: bytes) -> list[str]:
    """The lines that are not empty."""
    return [line for line in data.decode(errors="replace").split("\n") if line]


class Follower:
    """New lines of a file that may be rotated (another file under the name), truncated, or continued the next day.

    Construct it before the last lines are read: it begins at `position`. The constructor raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_ours(path)
        self.position = self._size = os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        self._file.close()

    def lines(self, pause: Callable[[], None]) -> Iterator[str]:
        """Never end; call `pause` when there is nothing new."""
        while True:
            found = self._read()
            yield from found
            if not found and not self._switch():
                pause()

    def _read(self) -> list[str]:
        fd = self._file.fileno()
        size = os.fstat(fd).st_size
        if size < self._size:
            self.position = 0  # it was truncated
        self._size = size
        data = os.pread(fd, MAX_LINE, self.position)
        end = data.rfind(b"\n") + 1 or (len(data) if len(data) == MAX_LINE else 0)
        self.position += end
        return _filled(data[:end])

    def _switch(self) -> bool:
        """Open the file that has taken the place of this one. False if there is none."""
        here = os.fstat(self._file.fileno())
        for path in successors(self.path):
            try:
                file = open_ours(path)
            except OSError:
                continue  # between the rename and the new file
            if os.path.samestat(os.fstat(file.fileno()), here):
                file.close()
                continue
            self._file.close()
            self._file, self.path, self.position, self._size = file, path, 0, 0
            return True
        return False


@dataclass(frozen=True)
class LogPage:
    """Whole lines between two offsets of a file."""

    end: int
    """The offset behind the last line: the cursor for the next page."""
    size: int
    """Bytes in the file."""
    lines: list[str]
    truncated: bool
    """Older bytes of the file were left out, because they are more than `max_bytes`."""
    reset: bool
    """The page does not begin at the cursor. It is the end of the file."""
    skipped_bytes: int
    """Bytes between a valid cursor and the first line of the page."""


def read_page(
    file: str, cursor: int | None, limit: int, max_bytes: int, known: FileId | None = None
) -> tuple[LogPage | None, FileId | None]:
    """Read at most `limit` lines and `max_bytes` from the offset `cursor` on, or from the end of the file for None.

    `known` is the file that the cursor counts in. The second value is the file that was read. Both are None if there
    is no regular file. Raises OSError if the file cannot be opened.
    """
    try:
        fd = os.open(file, _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return None, None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return None, None
        id = (found.st_dev, found.st_ino)
        return _page(fd, found.st_size, cursor, limit, max_bytes, replaced=known not in (None, id)), id
    finally:
        os.close(fd)


def _page(fd: int, size: int, cursor: int | None, limit: int, max_bytes: int, replaced: bool) -> LogPage:
    start = oldest = max(0, size - max_bytes)
    lost = behind = False
    if cursor is not None:
        # A cursor of ours begins a line, unless that line was longer than max_bytes: another one counts in a lost file.
        lost = replaced or cursor > size or not _begins_line(fd, cursor)
        behind = not lost and cursor < oldest
        start = oldest if lost or behind else cursor
    onward = cursor is not None and not lost and not behind
    data = os.pread(fd, size - start, start)
    first = 0 if _begins_line(fd, start) else data.find(b"\n") + 1 or len(data)
    end = max(data.rfind(b"\n") + 1, first)  # what follows is still being written
    ends = _line_ends(data, first, end)
    if len(ends) > limit:
        if onward:
            end = ends[limit - 1] + 1  # the others come with the next page
        else:
            first = ends[-limit - 1] + 1
    return LogPage(
        end=start + end,
        size=size,
        lines=data[first:end].decode(errors="replace").split("\n")[:-1],
        truncated=not onward and oldest > 0,
        reset=lost or behind,
        skipped_bytes=start + first - cursor if behind and cursor is not None else 0,
    )


def _begins_line(fd: int, offset: int) -> bool:
    return offset == 0 or os.pread(fd, 1, offset - 1) == b"\n"


def _line_ends(data: bytes, first: int, end: int) -> list[int]:
    found = []
    at = data.find(b"\n", first, end)
    while at >= 0:
        found.append(at)
        at = data.find(b"\n", at + 1, end)
    return found
