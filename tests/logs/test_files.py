import os
import stat
from pathlib import Path

import pytest

from gateway.logs import files
from gateway.logs.files import PATTERN, choose_folder, daily_file, folders, newest, prune, successors

NOON = 1_795_348_800.0


def test_of_the_folders_in_tmp_one_is_used_that_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, own = (tmp_path / name for name in ("openclaw", "openclaw-1", "state/logs"))
    monkeypatch.setattr(files, "folders", lambda state: (first, second, own))
    for folder, following in ((first, second), (second, own)):
        assert choose_folder(tmp_path) == folder and stat.S_IMODE(folder.stat().st_mode) == 0o700
        for mode in (0o777, 0o720, 0o702):
            folder.chmod(mode)
            assert choose_folder(tmp_path) == following
            following.exists() and following.rmdir()
        folder.chmod(0o700)
        folder.rmdir()
        folder.symlink_to(tmp_path)
        assert choose_folder(tmp_path) == following
    assert choose_folder(tmp_path) == own and not own.exists(), "it is made with the file"


def test_where_the_folders_are() -> None:
    assert folders(Path("/s")) == (Path("/tmp/openclaw"), Path(f"/tmp/openclaw-{os.getuid()}"), Path("/s/logs"))


def test_of_folders_in_tmp_only_what_is_ours(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder, mode in ((ours, 0o700), (theirs, 0o777)):
        folder.mkdir()
        (folder / "openclaw-2999-01-01.log").touch()
        folder.chmod(mode)
    os.utime(ours / "openclaw-2999-01-01.log", (1, 1))
    assert newest([theirs, ours, tmp_path / "none"]) == ours / "openclaw-2999-01-01.log"
    (ours / "openclaw-2999-01-01.log").chmod(0o666)
    assert newest([theirs, ours]) is None
    (ours / "openclaw-2999-01-02.log").symlink_to("/etc/hostname")
    os.mkfifo(ours / "openclaw-2999-01-03.log", 0o600)
    assert newest([theirs, ours]) is None


def test_the_last_written_is_the_newest(tmp_path: Path) -> None:
    assert newest([tmp_path]) is None
    for name, age_s in (("openclaw-2026-11-22.log", 100), ("openclaw-2026-11-21.log", 50), ("other.log", 1)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (NOON - age_s, NOON - age_s))
    assert newest([tmp_path]) == tmp_path / "openclaw-2026-11-21.log"


def test_a_days_file_is_found_by_the_pattern_and_is_followed_by_the_next_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "choose_folder", lambda state: tmp_path)
    days = [daily_file(Path("unused"), NOON + day * 86400) for day in range(3)]
    for day in days:
        assert day.match(PATTERN)
        day.touch()
    assert successors(days[1]) == [days[1], days[2]]
    assert successors(tmp_path / "own.log") == [tmp_path / "own.log"]


def test_old_files_go_with_what_was_rotated_away(tmp_path: Path) -> None:
    names = ("openclaw-2020-01-01.log", "openclaw-2020-01-01.log.1", "openclaw-2020-01-02.log", "notes.log")
    for name, age_s in zip(names, (2 * 86400, 2 * 86400, 3600, 2 * 86400), strict=True):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (NOON - age_s, NOON - age_s))
    prune(tmp_path, NOON)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["notes.log", "openclaw-2020-01-02.log"]
