"""Writing a file so that a reader, a crash or a full disk finds the old text or the new one, and never half of one."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_WAIT_S = 5.0
"""Seconds that a writer waits for another one."""
_RETRY_S = 0.02
_MODE = 0o600


def replace_text(path: Path, text: str, mode: int = _MODE) -> None:
    """Replace the file or link, with mode 0600 by default. The text is on disk when this returns. Raises OSError."""
    with _written(path, text, mode) as temporary:
        os.replace(temporary, path)


def overwrite_text(path: Path, text: str) -> None:
    """Write the text over a file that cannot be replaced, because it is a mount point. It is on disk when this returns.

    The text is padded with spaces before the file is truncated, so that a reader never finds the end of the old text
    behind the new JSON. Raises OSError, after it has tried to write the old text back.
    """
    data = text.encode("utf-8", "surrogateescape")
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        before = os.pread(fd, size, 0)
        try:
            _write_over(fd, data.ljust(size))
            os.ftruncate(fd, len(data))
            os.fsync(fd)
        except OSError:
            _write_over(fd, before)
            os.ftruncate(fd, size)
            raise
    finally:
        os.close(fd)


def _write_over(fd: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], done)


def create_text(path: Path, text: str) -> bool:
    """Create the file as `replace_text` would. False if it exists. Of several processes that try, one gets True."""
    with _written(path, text) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    return True


@contextmanager
def _written(path: Path, text: str, mode: int = _MODE) -> Iterator[Path]:
    """A temporary file with the text on disk, to be renamed."""
    # It has OpenClaw's kind of name, so that OpenClaw's clean-up removes what a crash leaves behind.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(8)}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(fd, "wb") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))
            if mode != _MODE:  # not in vain: some file systems refuse it
                os.fchmod(fd, mode)
            stream.flush()
            os.fsync(stream.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Without this, a crash can undo the rename."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Exclude the other writers of this file in all processes.

    The lock is on the file itself; if the file was replaced meanwhile, the lock is taken on the new one. There is no
    lock if the file system does not support it or there is no file yet. Raises BlockingIOError after `LOCK_WAIT_S`.
    """
    fd = _open_locked(path, time.monotonic() + LOCK_WAIT_S)
    try:
        yield
    finally:
        if fd is not None:
            os.close(fd)


def _open_locked(path: Path, deadline: float) -> int | None:
    while True:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            if not _lock(fd, deadline) or _is_at(fd, path):
                return fd
        except OSError:
            os.close(fd)
            raise
        os.close(fd)


def _lock(fd: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_S)
        except OSError:
            return False


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False
