"""One gateway per state folder: a kernel lock on the folder itself.

The lock is flock(2) on the folder's descriptor. It works on a full or read-only disk, leaves no file behind, and is
freed when the process dies. It belongs to the open file description: a re-exec passes the descriptor on. systemd's fd
store must never get it, because the lock would outlive the process there.

NFS and other file systems cannot lock a folder. Then a file in the run-time folder is locked in its place, which keeps
out other gateways on this machine. A gateway on another machine is only noticed, by its host name in a file.
"""

import errno
import fcntl
import logging
import os
import re
import socket
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from gateway.errors import AlreadyRunning
from gateway.files.atomic import replace_text
from gateway.files.ours import folder_refusal
from gateway.machine import holders
from gateway.machine.filesystem import shared_type

log = logging.getLogger("gateway.lease")

HOST_NAME = "gateway/host"
"""The file below a state folder on a shared file system with the name of the host whose gateway uses it."""
MAX_HOST = 253
"""The most characters of a host name (RFC 1035)."""


class Lease(Struct, frozen=True):
    """The right to use a state folder; `fd` is None if nothing could be locked."""

    fd: int | None
    problem: str | None = None
    """Why there is no folder, or why it cannot be written to or locked; the gateway runs in spite of it."""
    mark: Path | None = None
    """The file with our host's name."""

    def remove_mark(self) -> None:
        """Remove our host's name: no gateway of this host uses the folder any more."""
        if self.mark is not None and _host_in(self.mark) == socket.gethostname():
            with suppress(OSError):
                self.mark.unlink()


def acquire(state_dir: Path, inherited: int | None = None, stand_in: Path | None = None) -> Lease:
    """Lock `state_dir`; it is created with mode 0700 if it does not exist. Raises AlreadyRunning if it is locked.

    `inherited` is the descriptor of our previous image's lease, `stand_in` a file to lock if the folder cannot be.
    """
    if inherited is not None:
        if _is_same(inherited, state_dir):
            return Lease(inherited, _write_problem(state_dir), _mark(state_dir))
        if stand_in is not None and _is_same(inherited, stand_in):
            return Lease(inherited, _lockless_problem(state_dir, None), _mark(state_dir, lockless=True))
        os.close(inherited)
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return Lease(None, f"no state folder {state_dir}: {error.strerror}")
    try:
        _lock(fd, state_dir)
    except OSError as error:
        os.close(fd)
        return _lease_without_lock(state_dir, error, stand_in)
    mark = _mark(state_dir)
    other = _other_host(state_dir) if mark else None
    return Lease(fd, _write_problem(state_dir) or other, mark)


def _lock(fd: int, state_dir: Path) -> None:
    """Raises AlreadyRunning, and closes `fd` then; raises OSError if the file system has no such locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = _owner(fd)
        os.close(fd)
        raise AlreadyRunning(
            f"another gateway uses {state_dir}: {owner}. It was not disturbed. "
            "Talk to it with `openclaw-gateway status`, restart it with `openclaw-gateway restart`, or run a second "
            "one with its own folder: OPENCLAW_STATE_DIR=DIR openclaw-gateway run --port PORT."
        ) from None


def _lease_without_lock(state_dir: Path, error: OSError, stand_in: Path | None) -> Lease:
    """The lease of a folder that cannot be locked, by the `stand_in` if there is one. Raises AlreadyRunning."""
    problem = _lockless_problem(state_dir, error)
    other = _other_host(state_dir)
    fd = None
    try:
        if stand_in is not None:
            fd = _open_stand_in(stand_in)
            _lock(fd, state_dir)
    except OSError as second:
        if fd is not None:
            os.close(fd)
            fd = None
        problem += f"; nor is another one on this machine, because {stand_in} cannot be locked: {second.strerror}"
    return Lease(fd, f"{problem}; {other}" if other else problem, _mark(state_dir, lockless=True))


def _open_stand_in(path: Path) -> int:
    """The file is never removed: the lock of a file without a name keeps nobody out. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if why := folder_refusal(path.parent):
        raise PermissionError(errno.EPERM, why, str(path.parent))
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _lockless_problem(state_dir: Path, error: OSError | None) -> str:
    kind = shared_type(state_dir)
    reason = f" ({error.strerror})" if error else ""
    return (
        f"the file system of {state_dir}{f', {kind},' if kind else ''} knows no locks{reason}: a gateway on another "
        "machine that uses this folder too is not kept out. Put it on a disk of this machine with OPENCLAW_STATE_DIR"
    )


def _mark(state_dir: Path, *, lockless: bool = False) -> Path | None:
    return state_dir / HOST_NAME if lockless or shared_type(state_dir) else None


def _other_host(state_dir: Path) -> str | None:
    """Write our host's name; return the sentence about another host whose name stood there."""
    mark, ours = state_dir / HOST_NAME, socket.gethostname()
    found = _host_in(mark)
    try:
        mark.parent.mkdir(mode=0o700, exist_ok=True)
        replace_text(mark, f"{ours}\n")
    except OSError as error:
        log.debug("cannot write %s: %s", mark, error.strerror)
    if not found or found == ours:
        return None
    return (
        f"a gateway on {found} uses {state_dir} too, or ended there without a word: if it still runs, stop one of both"
    )


def _host_in(mark: Path) -> str:
    try:
        with mark.open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_HOST).strip()
    except OSError:
        return ""


def obstacle(state_dir: Path, held: int | None, stand_in: Path | None = None) -> str | None:
    """Why the next image would not get its lease: the folder was replaced, and another process uses the new one.

    `held` is the descriptor of our lease. None if nothing is in the way.
    """
    if held is None or _is_same(held, state_dir) or (stand_in is not None and _is_same(held, stand_in)):
        return None
    try:
        fd = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None  # the start makes it, or runs without it
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"{state_dir} was replaced while we ran, and {_owner(fd)} uses it now"
    except OSError:
        return None  # it cannot be locked, and the start runs without the lock
    finally:
        os.close(fd)
    return None


def _is_same(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False


def _write_problem(folder: Path) -> str | None:
    return None if os.access(folder, os.W_OK | os.X_OK) else f"state folder {folder} is not writable"


def _owner(fd: int) -> str:
    """The holder of the lock as far as /proc shows it: `pid 4242 (openclaw-gateway run)`."""
    inode = os.fstat(fd).st_ino
    try:
        locks = Path("/proc/locks").read_text()
    except OSError:
        locks = ""
    for match in re.finditer(rf"FLOCK\s+ADVISORY\s+WRITE\s+(\d+)\s+\S+:{inode}\s", locks):
        pid = int(match[1])
        if not os.path.exists(f"/proc/{pid}"):
            return f"pid {pid}, which is gone, but a child that it left behind still holds the lock"
        unit = holders.unit(pid)
        return f"pid {pid} ({holders.command(pid)}{f', in {unit}' if unit else ''})"
    return "a process that cannot be seen from here (another user or container)"
