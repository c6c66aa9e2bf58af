"""What a folder's file system can do for those who share it. NFS, 9p, virtiofs and FUSE leave out much of it."""

import fcntl
import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
SHARED_TYPES = frozenset(
    ("9p", "afs", "ceph", "cifs", "drvfs", "fakeowner", "gfs2", "lustre", "nfs", "nfs4", "ocfs2", "smb3", "virtiofs")
)
"""What other machines may have mounted too, or, on the desktop, the machine around this one; FUSE beside them."""
_FUSE_OF_THIS_MACHINE = frozenset(("fuse.lxcfs", "fuse.overlayfs", "fuse.fuse-overlayfs", "fuseblk"))


def shared(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """The type of a file system that another machine may have mounted too; None for one of this machine alone."""
    try:
        device = os.stat(folder).st_dev
        found = mounts.read_text(errors="replace")
    except OSError:
        return None
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in found.splitlines():
        if match := re.match(rf"\d+ \d+ {number} .* - (\S+) ", line):
            kind = match[1]
            fuse = kind == "fuse" or (kind.startswith("fuse.") and kind not in _FUSE_OF_THIS_MACHINE)
            return kind if fuse or kind in SHARED_TYPES else None
    return None


def knows_locks(folder: Path) -> bool:
    """Whether byte-range locks (fcntl(2)) work on files in `folder`. Raises OSError if no file can be made there."""
    import tempfile  # not needed for a start, as the next one

    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def shares_memory(folder: Path) -> bool:
    """Whether processes can share memory through files in `folder`. Raises OSError if no file can be made there."""
    import mmap
    import tempfile

    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(mmap.PAGESIZE)
        try:
            mmap.mmap(file.fileno(), mmap.PAGESIZE).close()
        except OSError:
            return False
    return True
