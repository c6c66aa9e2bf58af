"""One gateway per state folder: a kernel lock on the folder itself.

flock(2) on the folder's descriptor, so it works on a full or read-only disk, leaves no file behind and is freed by
death. It belongs to the open file description: carried over a re-exec by passing the descriptor on, never put into
systemd's fd store, where it would outlive us.
"""

import fcntl
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import AlreadyRunning
from gateway.lifecycle import holders

log = logging.getLogger("gateway.lease")


@dataclass(frozen=True)
class Lease:
    """The right to use a state folder; `fd` is None where there is no folder to lock."""

    fd: int | None
    problem: str | None = None
    """Why there is no folder, or why it cannot be written to; the gateway runs all the same."""


def acquire(state_dir: Path, inherited: int | None = None) -> Lease:
    """Lock `state_dir`, creating it (mode 0700) if need be. `inherited` is the lease of our previous image.

    Raises AlreadyRunning if another process holds it.
    """
    if inherited is not None:
        if _is_folder(inherited, state_dir):
            return Lease(inherited, _problem(state_dir))
        os.close(inherited)
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return Lease(None, f"no state folder {state_dir}: {error.strerror}")
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
    return Lease(fd, _problem(state_dir))


def obstacle(state_dir: Path, held: int | None) -> str | None:
    """Why the next image would not get its lease: the folder was replaced, and somebody else uses the new one."""
    if held is None or _is_folder(held, state_dir):
        return None
    try:
        fd = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None  # it is made anew at the start, or done without
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"{state_dir} was replaced while we ran, and {_owner(fd)} uses it now"
    finally:
        os.close(fd)
    return None


def _is_folder(fd: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(folder))
    except OSError:
        return False


def _problem(folder: Path) -> str | None:
    return None if os.access(folder, os.W_OK | os.X_OK) else f"state folder {folder} is not writable"


def _owner(fd: int) -> str:
    """Who holds the lock, as well as /proc tells: `pid 4242 (openclaw-gateway run)`."""
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
