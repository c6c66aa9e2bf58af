"""Files and folders in places where others can write, such as `/tmp`: they are used only if they are this user's."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def refusal(found: os.stat_result, owner: int | None = None) -> str | None:
    """Why it is not used. None if it belongs to `owner` (None: this user) and nobody else may write it."""
    if found.st_uid != (os.getuid() if owner is None else owner):
        return f"it belongs to another user (uid {found.st_uid})"
    if found.st_mode & 0o022:
        return f"others may write it (mode {stat.S_IMODE(found.st_mode):04o}); to mend it: chmod go-w"
    return None


def folder_refusal(path: Path, owner: int | None = None) -> str | None:
    """Why a folder is not used, by the same rule. Raises OSError if there is nothing, or it cannot be read."""
    found = path.lstat()
    return refusal(found, owner) if stat.S_ISDIR(found.st_mode) else "it is no folder"


def open_ours(path: Path) -> BinaryIO:
    """Open this user's file for reading. Raises PermissionError for another user's, or what is no regular file, and
    another OSError for a link."""
    # Not blocking, because opening a FIFO waits for its writer.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    found = os.fstat(fd)
    why = refusal(found) if stat.S_ISREG(found.st_mode) else "it is no file"
    if why is not None:
        os.close(fd)
        raise PermissionError(errno.EPERM, f"not read: {why}", str(path))
    return os.fdopen(fd, "rb")
