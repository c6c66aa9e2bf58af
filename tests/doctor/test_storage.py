import os
from pathlib import Path

import pytest

from gateway.doctor.storage import room


def test_a_folder_with_room(tmp_path: Path) -> None:
    found = room(tmp_path)
    assert found is not None
    assert found.writable
    assert found.free_bytes > 0


def test_no_folder(tmp_path: Path) -> None:
    assert room(tmp_path / "none") is None


def test_a_read_only_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)

    class ReadOnly:
        f_flag = os.ST_RDONLY
        f_bavail, f_frsize, f_favail, f_files = real.f_bavail, real.f_frsize, 0, 0

    monkeypatch.setattr(os, "statvfs", lambda path: ReadOnly)
    found = room(tmp_path)
    assert found is not None
    assert not found.writable
    assert found.free_inodes is None


def test_a_place_that_cannot_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "statvfs", refuse)
    found = room(tmp_path)
    assert found is not None
    assert not found.writable
