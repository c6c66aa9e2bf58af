import errno
import fcntl
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.files import atomic
from gateway.files.atomic import create_text, overwrite_text, replace_text, write_lock


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
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        replace_text(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_it_is_on_disk_before_it_is_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (steps.append("replace"), replace(a, b))[1])
    replace_text(tmp_path / "f", "x")
    assert steps == ["fsync", "replace", "fsync"]


def test_what_is_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "f"
    assert create_text(file, "first")
    assert not create_text(file, "second")
    assert file.read_text() == "first"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("old", "new"), [("old and longer", "new"), ("old", "new and longer"), ("", "x"), ("x", "")])
def test_what_cannot_be_replaced_is_written_over(tmp_path: Path, old: str, new: str) -> None:
    file = tmp_path / "f"
    file.write_text(old)
    before = file.stat().st_ino
    overwrite_text(file, new)
    assert file.read_text() == new
    assert file.stat().st_ino == before


@pytest.mark.parametrize("step", ["pwrite", "ftruncate", "fsync"])
def test_what_cannot_be_written_over_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    file = tmp_path / "f"
    file.write_text("old and longer")
    real, calls = getattr(os, step), 0

    def fail_once(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, step, fail_once)
    with pytest.raises(OSError, match="No space left"):
        overwrite_text(file, "new")
    assert file.read_text() == "old and longer"


def test_a_longer_text_is_never_seen_with_the_end_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f"
    file.write_text('{"a": [1, 2, 3]}')
    seen: list[str] = []
    truncate = os.ftruncate
    monkeypatch.setattr(os, "ftruncate", lambda fd, size: (seen.append(file.read_text()), truncate(fd, size)))
    overwrite_text(file, "{}")
    assert seen == ["{}              "]


def test_one_writes_at_a_time_also_when_the_file_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "f"
    replace_text(file, "0")

    def add() -> None:
        for _ in range(20):
            with write_lock(file):
                replace_text(file, str(int(file.read_text()) + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read_text() == "80"


def test_who_waits_for_the_file_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "LOCK_WAIT_S", 0.03)
    file = tmp_path / "f"
    file.touch()
    with write_lock(file), pytest.raises(BlockingIOError), write_lock(file):
        pass
    with write_lock(file):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
def test_without_locks_or_a_file_nobody_waits(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", fail)
    file = tmp_path / "f"
    with write_lock(file), write_lock(file):
        file.touch()
    with write_lock(file), write_lock(file):
        pass


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        replace_text(tmp_path / "x", "text", mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == mode
