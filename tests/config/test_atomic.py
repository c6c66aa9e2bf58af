import os
from pathlib import Path

import pytest

from gateway.config import atomic
from gateway.config.atomic import create_text, replace_text


def test_replaces_as_the_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("old")
    file.chmod(0o644)
    replace_text(file, "nèw\udcff")
    assert file.read_bytes() == b"n\xc3\xa8w\xff"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_text_and_no_litter(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "f"
    file.write_text("old")
    monkeypatch.setattr(atomic.os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        replace_text(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_it_is_on_disk_before_it_is_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(atomic.os, "fsync", lambda fd: (steps.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(atomic.os, "replace", lambda a, b: (steps.append("replace"), replace(a, b))[1])
    replace_text(tmp_path / "f", "x")
    assert steps == ["fsync", "replace", "fsync"]


def test_what_is_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "f"
    assert create_text(file, "first")
    assert not create_text(file, "second")
    assert file.read_text() == "first"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]
