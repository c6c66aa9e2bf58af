import errno
import fcntl
import mmap
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.machine.filesystem import SHARED_TYPES, shared_type, supports_locks, supports_shared_memory


def mounted(folder: Path, kind: str) -> str:
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    return (
        "21 1 254:77 / / rw - ext4 /dev/vda rw\n"
        f"36 21 {number} / /home/ann\\040b rw,noatime master:1 - {kind} server:/x rw,vers=4.2\n"
    )


@pytest.mark.parametrize("kind", [*sorted(SHARED_TYPES), "fuse", "fuse.sshfs", "fuse.grpcfuse"])
def test_what_another_machine_may_have_too_is_named(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(mounted(tmp_path, kind))
    assert shared_type(tmp_path, mounts) == kind


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", "fuse.fuse-overlayfs", "nfsd"])
def test_what_is_of_this_machine_is_not(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(mounted(tmp_path, kind))
    assert shared_type(tmp_path, mounts) is None


def test_what_cannot_be_looked_at_is_taken_for_this_machine_s(tmp_path: Path) -> None:
    assert shared_type(tmp_path / "none") is None
    assert shared_type(tmp_path, tmp_path / "none") is None


def test_locks_and_memory_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert supports_locks(tmp_path) and supports_shared_memory(tmp_path)
    assert list(tmp_path.iterdir()) == []

    def refuse(*args: Any) -> None:
        raise OSError(errno.ENODEV, "no")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    monkeypatch.setattr(mmap, "mmap", refuse)
    assert not supports_locks(tmp_path) and not supports_shared_memory(tmp_path)
    with pytest.raises(OSError, match="none"):
        supports_locks(tmp_path / "none")
