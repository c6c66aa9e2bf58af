"""Give a file its text so that a reader, a crash or a full disk meets the old text or the new one, never half."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ALONE_S = 5.0
"""How long a writer waits for another one."""
_AGAIN_S = 0.02


def replace_text(path: Path, text: str) -> None:
    """Owner-only (0600), on disk when this returns. `path` itself is replaced, also if it is a link. Raises OSError."""
    with _written(path, text) as temporary:
        os.replace(temporary, path)


def overwrite_text(path: Path, text: str) -> None:
    """For a file that cannot be replaced, because it is a mount point: its bytes become the text's, on disk when this
    returns. Padded with spaces at first, which JSON does not mind, so that nobody reads the end of a longer one before
    it. Raises OSError, and leaves what was there where that can be written back."""
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
    """As `replace_text`, but what is there already stays: False. Of several that try, one gets True."""
    with _written(path, text) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    return True


@contextmanager
def _written(path: Path, text: str) -> Iterator[Path]:
    """The text on disk under another name, to be moved to its own."""
    # OpenClaw's name for it, so that its clean-up finds what a crash leaves behind.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(8)}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))
            stream.flush()
            os.fsync(stream.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Without it a crash can undo the rename."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One of those who write this file at a time, whichever process they are: the lock is on the file that is there,
    and whoever gets it on one that has been replaced meanwhile takes that of the new one. Where the file system knows
    no locks, or there is no file yet, nobody waits. Raises BlockingIOError after `ALONE_S`.
    """
    fd = _lock_of(path, time.monotonic() + ALONE_S)
    try:
        yield
    finally:
        if fd is not None:
            os.close(fd)


def _lock_of(path: Path, deadline: float) -> int | None:
    while True:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            if not _locked(fd, deadline) or _is(fd, path):
                return fd
        except OSError:
            os.close(fd)
            raise
        os.close(fd)


def _locked(fd: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_AGAIN_S)
        except OSError:
            return False


def _is(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False
