import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.sessions.checkup import MAX_DAMAGES, Checkup, look
from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.sqlite import writable
from gateway.sessions.transcripts import append, touch
from tests.sessions.disks import fill, on_a_small_disk
from tests.sessions.talk import MAIN, NOW, user


def make(folder: Path, messages: int = 3) -> Path:
    path = folder / "a.sqlite"
    with closing(writable(path, MIGRATIONS)) as db:
        db.execute("BEGIN")
        touch(MAIN, "main", NOW, db)
        for _ in range(messages):
            append(MAIN, user("x" * 2000), NOW, db)
        db.execute("COMMIT")
    return path


def looked(path: Path, limit_s: float | None = None, *, deep: bool = False) -> Checkup:
    found = look(path, limit_s, deep=deep)
    assert found is not None
    return found


@pytest.mark.parametrize("deep", [False, True])
def test_a_good_database_is_good_and_stays_as_it_is(tmp_path: Path, deep: bool) -> None:
    path = make(tmp_path)
    before = path.read_bytes()
    assert looked(path, deep=deep) == Checkup(
        str(path), size=path.stat().st_size, form=len(MIGRATIONS), sessions=1, messages=3
    )
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.sqlite"]


def test_none_is_none(tmp_path: Path) -> None:
    assert look(tmp_path / "a.sqlite") is None
    assert look(tmp_path / "nowhere" / "a.sqlite") is None


def test_an_empty_file_is_one_that_has_not_begun(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").touch(0o600)
    assert looked(tmp_path / "a.sqlite") == Checkup(str(tmp_path / "a.sqlite"))


def test_what_lies_beside_it_and_in_it_unused_is_measured(tmp_path: Path) -> None:
    path = make(tmp_path, 100)
    path.chmod(0o644)
    with closing(writable(path, MIGRATIONS)) as db:
        db.execute("DELETE FROM messages")
        found = looked(path)
    assert found.mode == 0o644
    assert found.wal > 0
    assert found.unused > 100_000


def test_damage_is_told_up_to_a_bound(tmp_path: Path) -> None:
    path = make(tmp_path, 100)
    with path.open("r+b") as file:
        for page in range(20, 50):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    found = looked(path)
    assert 1 <= len(found.damages) <= MAX_DAMAGES
    assert found.problem is None


def test_a_damaged_schema_is_damage_too(tmp_path: Path) -> None:
    path = make(tmp_path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 2000)
    assert looked(path).problem == f"cannot read {path}: database disk image is malformed; " + (
        "`openclaw-gateway doctor` says what can be done"
    )


def test_an_index_that_does_not_fit_is_found_by_the_deep_look_alone(tmp_path: Path) -> None:
    path = make(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA writable_schema=ON")
        other = "CREATE INDEX messages_by_time ON messages (id)"
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'messages_by_time'", (other,))
        db.commit()
    assert looked(path).damages == ()
    assert any("messages_by_time" in damage for damage in looked(path, deep=True).damages)


@pytest.mark.parametrize(
    ("script", "problem", "newer"),
    [
        ("PRAGMA user_version=99", "was written by a newer version (form 99", True),
        ("PRAGMA application_id=7", "is the database of another program; move it away", False),
    ],
)
def test_a_form_that_is_not_known_is_a_problem(tmp_path: Path, script: str, problem: str, newer: bool) -> None:
    path = make(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(script)
    found = looked(path)
    assert found.problem is not None and problem in found.problem
    assert found.newer is newer


def test_what_is_no_database_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_text("a diary" * 1000)
    assert looked(path).ruined
    assert looked(path).problem == f"cannot read {path}: file is not a database; it is something else: move it away"


def test_a_look_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    path = make(tmp_path, 2000)
    assert not looked(path, 0).complete
    assert looked(path, 60).complete


def on_a_full_disk(folder: Path) -> None:
    path = make(folder)
    fill(folder)
    assert looked(path).messages == 3


@pytest.mark.process
def test_a_full_disk_can_be_looked_at(tmp_path: Path) -> None:
    on_a_small_disk(on_a_full_disk, tmp_path)
