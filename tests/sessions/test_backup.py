import asyncio
import os
import re
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from gateway.sessions import backup
from gateway.sessions.backup import copy
from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.sqlite import StorageFailed, writable
from gateway.sessions.transcripts import append, rows, touch
from tests.sessions.disks import fill, make_room, on_a_small_disk, remount
from tests.sessions.talk import MAIN, NOW, assistant, converse, opened, user


def make(folder: Path, messages: int = 3) -> Path:
    path = folder / "a.sqlite"
    with closing(writable(path, MIGRATIONS)) as db:
        db.execute("BEGIN")
        touch(MAIN, "main", NOW, db)
        for number in range(messages):
            append(MAIN, user(f"{number} " + "x" * 1000), NOW, db)
        db.execute("COMMIT")
    return path


def test_a_copy_has_all_and_stands_alone(tmp_path: Path) -> None:
    path, target = make(tmp_path), tmp_path / "copy.sqlite"
    before = os.umask(0)
    try:
        size = copy(path, target)
    finally:
        os.umask(before)
    assert sorted(os.listdir(tmp_path)) == ["a.sqlite", "copy.sqlite"]
    assert (target.stat().st_size, stat.S_IMODE(target.stat().st_mode)) == (size, 0o600)
    with closing(writable(target, MIGRATIONS)) as db:  # it is of our form: the gateway can take it
        assert len(rows(MAIN, 10, None, db)) == 3
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_running_gateway_goes_on_while_it_is_copied(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            await converse(store, "r1", MAIN, "?", assistant("one"))
            copied, _ = await asyncio.gather(store.backup(tmp_path / "copy.sqlite"), converse(store, "r2", MAIN, "??"))
            assert copied > 0
            assert len(await store.rows(MAIN, 10)) == 3

    asyncio.run(scenario())
    with closing(sqlite3.connect(tmp_path / "copy.sqlite")) as db:
        assert len(rows(MAIN, 10, None, db)) in (2, 3)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_nothing_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    path, target = make(tmp_path), tmp_path / "copy.sqlite"
    if when == "before":
        target.write_text("mine")
    else:
        monkeypatch.setattr(backup, "_sync", lambda part: target.write_text("mine"))
    with pytest.raises(StorageFailed, match=r"copy\.sqlite is there already; name another file, or move it away"):
        copy(path, target)
    assert target.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["a.sqlite", "copy.sqlite"]


def test_a_disk_without_room_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9, 1))  # type: ignore[attr-defined]
    with pytest.raises(
        StorageFailed, match=r"has 0.0 MB free and the copy takes 0.1 MB; make room, or name a file elsew"
    ):
        copy(path, tmp_path / "copy.sqlite")
    assert os.listdir(tmp_path) == ["a.sqlite"]


@pytest.mark.parametrize(
    ("database", "target", "why"),
    [
        ("none.sqlite", "copy.sqlite", "unable to open database file; let this user write to the file and its folder"),
        ("a.sqlite", "nowhere/copy.sqlite", "No such file or directory"),
        ("diary", "copy.sqlite", "file is not a database; it is something else: move it away"),
    ],
)
def test_what_cannot_be_copied_says_why(tmp_path: Path, database: str, target: str, why: str) -> None:
    make(tmp_path)
    (tmp_path / "diary").write_text("a diary" * 1000)
    expected = f"cannot copy {tmp_path / database} to {tmp_path / target}: {why}"
    with pytest.raises(StorageFailed, match=f"^{re.escape(expected)}$"):
        copy(tmp_path / database, tmp_path / target)


def full_in_the_middle(folder: Path) -> None:
    path = make(folder, 300)
    fill(folder, leave=100_000)
    backup._check_room = lambda connection, target: None  # somebody takes the room after it was looked at
    try:
        copy(path, folder / "copy.sqlite")
    except StorageFailed as error:
        assert str(error).endswith("database or disk is full; make room on the disk"), error
    else:
        raise AssertionError("there was room")
    assert sorted(os.listdir(folder)) == ["a.sqlite", "filler"]
    make_room(folder)


def from_a_read_only_folder(folder: Path) -> None:
    path, elsewhere = make(folder), folder.parent / "copy.sqlite"
    remount(folder, "ro")
    assert copy(path, elsewhere) > 0
    with closing(sqlite3.connect(elsewhere)) as db:
        assert len(rows(MAIN, 10, None, db)) == 3


def from_a_full_disk_after_a_crash(folder: Path) -> None:
    if (pid := os.fork()) == 0:
        db = writable(folder / "a.sqlite", MIGRATIONS)
        touch(MAIN, "main", NOW, db)
        os._exit(0)
    os.waitpid(pid, 0)
    (folder / "a.sqlite-shm").unlink()
    fill(folder)
    elsewhere = folder.parent / "copy.sqlite"
    assert copy(folder / "a.sqlite", elsewhere) > 0
    with closing(sqlite3.connect(elsewhere)) as db:
        assert db.execute("SELECT key FROM sessions").fetchall() == [(MAIN,)]


@pytest.mark.process
@pytest.mark.parametrize("scenario", [full_in_the_middle, from_a_read_only_folder, from_a_full_disk_after_a_crash])
def test_a_disk_in_need_can_be_copied_from(tmp_path: Path, scenario: object) -> None:
    (tmp_path / "small").mkdir()
    on_a_small_disk(scenario, tmp_path / "small", "4m")  # type: ignore[arg-type]
