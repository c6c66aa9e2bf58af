"""Features of the file system that a folder is on. NFS, 9p, virtiofs and FUSE lack many."""

import fcntl
import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
SHARED_TYPES = frozenset(
    ("9p", "afs", "ceph", "cifs", "drvfs", "fakeowner", "gfs2", "lustre", "nfs", "nfs4", "ocfs2", "smb3", "virtiofs")
)
"""Types that another machine may have mounted too: a server's clients, or the host of this virtual machine. FUSE is
treated as one of them."""
_FUSE_OF_THIS_MACHINE = frozenset(("fuse.lxcfs", "fuse.overlayfs", "fuse.fuse-overlayfs", "fuseblk"))


def shared_type(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """The type of the folder's file system, if another machine may have mounted it too. None for any other."""
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


def supports_locks(folder: Path) -> bool:
    """True if byte-range locks (fcntl(2)) work on files in `folder`. Raises OSError if no file can be made there."""
    import tempfile  # here, because a start of the gateway does not need it

    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def supports_shared_memory(folder: Path) -> bool:
    """True if processes can share memory through files in `folder`. Raises OSError if no file can be made there."""
    import mmap
    import tempfile

    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(mmap.PAGESIZE)
        try:
            mmap.mmap(file.fileno(), mmap.PAGESIZE).close()
        except OSError:
            return False
    return True
