import os
import stat
from pathlib import Path

import pytest

from gateway.files.ours import folder_refusal, open_ours, refusal


def found(mode: int, uid: int | None = None) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, os.getuid() if uid is None else uid, 0, 0, 0, 0, 0))


def test_nobody_else_may_write() -> None:
    for mode in range(0o1000):
        assert (refusal(found(stat.S_IFREG | mode)) is None) == (not mode & 0o022)


def test_it_is_this_users() -> None:
    assert refusal(found(0o600, os.getuid() + 1)) == f"it belongs to another user (uid {os.getuid() + 1})"
    assert refusal(found(0o100664)) == "others may write it (mode 0664); to mend it: chmod go-w"


def test_a_folder(tmp_path: Path) -> None:
    folder, link, file = tmp_path / "folder", tmp_path / "link", tmp_path / "file"
    folder.mkdir(0o755)
    link.symlink_to(folder)
    file.touch(0o600)
    assert folder_refusal(folder) is None
    assert folder_refusal(link) == folder_refusal(file) == "it is no folder"
    folder.chmod(0o1777)
    assert str(folder_refusal(folder)).startswith("others may write it (mode 1777)")
    with pytest.raises(FileNotFoundError):
        folder_refusal(tmp_path / "none")


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with open_ours(file) as opened:
        assert opened.read() == b"x"
    file.chmod(0o622)
    with pytest.raises(PermissionError, match=f"not read: others may write it .*: '{file}'"):
        open_ours(file)
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="symbolic links"):
        open_ours(tmp_path / "link")
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(PermissionError, match="it is no file"):
            open_ours(path)
