import errno
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.sessions import sqlite as connections
from gateway.sessions.sqlite import (
    APPLICATION,
    Journal,
    NewerDatabase,
    StorageFailed,
    command_reader,
    exclusive_reader,
    explain,
    find_journal,
    reader,
    schema_version,
    snapshot_reader,
    writable,
    writable_with_journal,
)
from tests.sessions.disks import fill, on_a_small_disk, remount

FIRST = "CREATE TABLE t (x TEXT); INSERT INTO t VALUES ('a;b'); -- one; two\n"
SECOND = "ALTER TABLE t ADD COLUMN y TEXT; UPDATE t SET y = 'new';"


def rows(connection: sqlite3.Connection) -> list[tuple[str]]:
    return connection.execute("SELECT * FROM t").fetchall()


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_a_new_file_gets_all_migrations(tmp_path: Path) -> None:
    connection = writable(tmp_path / "new" / "a.sqlite", (FIRST, SECOND))
    assert rows(connection) == [("a;b", "new")]
    pragmas = ("user_version", "application_id", "journal_mode", "synchronous", "foreign_keys")
    values = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert values == [2, APPLICATION, "wal", 3, 1]
    connection.close()


def test_an_older_file_gets_those_that_it_lacks_and_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    connection = writable(path, (FIRST,))
    connection.execute("INSERT INTO t VALUES ('mine')")
    connection.close()
    connection = writable(path, (FIRST, SECOND))
    assert rows(connection) == [("a;b", "new"), ("mine", "new")]
    connection.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    writable(path, (FIRST,)).close()
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        writable(path, (FIRST, SECOND, "DELETE FROM t; INSERT INTO nowhere VALUES (1);"))
    connection = writable(path, (FIRST,))
    assert rows(connection) == [("a;b",)]
    connection.close()


def test_of_two_that_begin_at_once_one_migrates(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with ThreadPoolExecutor(4) as pool:
        all_ = [each.result() for each in [pool.submit(writable, path, (FIRST, SECOND)) for _ in range(4)]]
    assert [rows(each) for each in all_] == [[("a;b", "new")]] * 4
    for each in all_:
        each.close()


def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    writable(path, (FIRST, SECOND)).close()
    before = path.read_bytes()
    with pytest.raises(NewerDatabase, match=r"a\.sqlite was written by a newer version \(form 2, this one knows 1\)"):
        writable(path, (FIRST,))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "script", ["CREATE TABLE mine (x)", "PRAGMA user_version=1", "PRAGMA application_id=7; CREATE TABLE mine (x)"]
)
def test_another_programs_database_is_refused(tmp_path: Path, script: str) -> None:
    path = tmp_path / "a.sqlite"
    other = sqlite3.connect(path)
    other.executescript(script)
    other.close()
    with pytest.raises(StorageFailed, match=r"a\.sqlite is the database of another program; move it away"):
        writable(path, (FIRST,))


def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_text("a diary" * 1000)
    with pytest.raises(sqlite3.DatabaseError) as raised:
        writable(path, (FIRST,))
    assert explain(raised.value) == "file is not a database; it is something else: move it away"
    assert path.read_text() == "a diary" * 1000


def test_all_files_are_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        connection = writable(tmp_path / "state" / "a.sqlite", (FIRST,))
        beside = reader(tmp_path / "state" / "a.sqlite")
        assert modes(tmp_path / "state") == {"a.sqlite": 0o600, "a.sqlite-wal": 0o600, "a.sqlite-shm": 0o600}
        assert modes(tmp_path) == {"state": 0o700}
        beside.close()
        connection.close()
    finally:
        os.umask(before)


def test_a_name_is_not_taken_for_an_address(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory#%41.sqlite"
    writable(path, (FIRST,)).close()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_reader_sees_what_is_committed_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    connection = writable(path, (FIRST,))
    beside = reader(path)
    connection.execute("INSERT INTO t VALUES ('Ünder')")
    assert beside.execute("SELECT casefold(x) FROM t").fetchall() == [("a;b",), ("ünder",)]
    assert beside.execute("SELECT casefold(NULL)").fetchone() == (None,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        beside.execute("DELETE FROM t")
    assert schema_version(beside, path, 1) == 1
    beside.close()
    connection.close()


def test_a_reader_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        reader(tmp_path / "a.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_shared_memory_it_does_without_a_wal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda file, **options: real(f"{file}&vfs=unix-dotfile", **options))
    path = tmp_path / "a.sqlite"
    connection = writable(path, (FIRST,))
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    beside = reader(path)
    assert rows(beside) == [("a;b",)]
    connection.execute("INSERT INTO t VALUES ('more')")
    assert len(rows(beside)) == 2
    beside.close()
    connection.close()


def test_a_wal_that_has_grown_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WAL_BYTES", 1024 * 1024)
    path = tmp_path / "a.sqlite"
    wal = path.with_name("a.sqlite-wal")
    connection, backup = writable(path, (FIRST,)), reader(path)
    backup.execute("BEGIN")
    rows(backup)
    for _ in range(10):
        connection.execute("INSERT INTO t VALUES (?)", ("x" * 1_000_000,))
    assert wal.stat().st_size > 10_000_000
    backup.execute("ROLLBACK")
    for _ in range(2):  # the first empties it, the second begins anew
        connection.execute("INSERT INTO t VALUES ('y')")
    assert wal.stat().st_size <= 1024 * 1024
    backup.close()
    connection.close()
    assert not wal.exists()


def test_a_reader_for_commands_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    connection = writable(path, (FIRST,))
    beside = command_reader(path)
    assert rows(beside) == [("a;b",)]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        beside.execute("DELETE FROM t")
    beside.close()
    connection.close()
    alone = command_reader(path)
    assert rows(alone) == [("a;b",)]
    alone.close()
    assert os.listdir(tmp_path) == ["a.sqlite"]
    with pytest.raises(sqlite3.OperationalError):
        command_reader(tmp_path / "none.sqlite")


@pytest.mark.parametrize("used", [True, False])
def test_a_foreign_database_is_left_as_it_is(tmp_path: Path, used: bool) -> None:
    path = tmp_path / "a.sqlite"
    connection = writable(path, (FIRST,))
    connection.execute("INSERT INTO t VALUES ('more')")
    if not used:
        connection.close()
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir() if not each.name.endswith("-shm")}
    reading = snapshot_reader(path)
    assert rows(reading) == [("a;b",), ("more",)]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reading.execute("DELETE FROM t")
    reading.close()
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir() if not each.name.endswith("-shm")} == before
    connection.close()


def without_room(folder: Path) -> None:
    path = folder / "a.sqlite"
    writable(path, (FIRST,)).close()
    fill(folder)
    for connect in (lambda: writable(path, (FIRST,)), lambda: reader(path)):
        try:
            connect()
        except sqlite3.OperationalError as error:
            assert explain(error).endswith("make room on the disk"), explain(error)
        else:
            raise AssertionError("there is room")
    exclusive = exclusive_reader(path)
    assert rows(exclusive) == [("a;b",)]
    exclusive.close()


def without_room_after_a_crash(folder: Path) -> None:
    path = folder / "a.sqlite"
    if (pid := os.fork()) == 0:
        writable(path, (FIRST,)).execute("INSERT INTO t VALUES ('in the WAL')")
        os._exit(0)
    os.waitpid(pid, 0)
    path.with_name("a.sqlite-shm").unlink()
    fill(folder)
    exclusive = exclusive_reader(path)
    assert rows(exclusive) == [("a;b",), ("in the WAL",)]
    try:
        exclusive.execute("DELETE FROM t")
    except sqlite3.OperationalError as error:
        assert "readonly" in str(error)
    exclusive.close()


def without_leave(folder: Path) -> None:
    path = folder / "a.sqlite"
    writable(path, (FIRST,)).close()
    remount(folder, "ro")
    try:
        writable(path, (FIRST,))
    except sqlite3.OperationalError as error:
        assert explain(error).endswith("let this user write to the file and its folder"), explain(error)
    else:
        raise AssertionError("it can be written")
    exclusive = exclusive_reader(path)
    assert rows(exclusive) == [("a;b",)]
    exclusive.close()
    assert [each.name for each in folder.iterdir()] == ["a.sqlite"]


@pytest.mark.process
@pytest.mark.parametrize("scenario", [without_room, without_room_after_a_crash, without_leave])
def test_an_exclusive_reader_reads_what_no_other_can(tmp_path: Path, scenario: object) -> None:
    on_a_small_disk(scenario, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room on the disk"),
        (errno.EDQUOT, "make room on the disk"),
        (errno.EROFS, "let this user write to the file and its folder"),
        (errno.EACCES, "let this user write to the file and its folder"),
    ],
)
def test_an_error_of_the_system_comes_with_its_way_out(number: int, remedy: str) -> None:
    assert explain(OSError(number, os.strerror(number), "a.sqlite")) == f"{os.strerror(number)}; {remedy}"


def test_an_error_without_a_way_out_is_itself() -> None:
    assert explain(OSError(errno.EMFILE, os.strerror(errno.EMFILE))) == "Too many open files"
    assert explain(sqlite3.ProgrammingError("a slip")) == "a slip"


def test_what_other_machines_may_have_too_gets_no_wal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.sqlite"
    before = writable(path, (FIRST,))
    before.execute("INSERT INTO t VALUES ('in the WAL')")
    before.close()
    monkeypatch.setattr(connections, "shared_type", lambda folder: "virtiofs")
    connection, journal = writable_with_journal(path, (FIRST,))
    beside = reader(path, journal)
    assert journal is Journal.ROLLBACK and connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert rows(beside) == [("a;b",), ("in the WAL",)]
    assert modes(tmp_path) == {"a.sqlite": 0o600}
    for each in (connection, beside):
        each.close()


def test_where_nothing_can_be_tried_the_first_error_counts(tmp_path: Path) -> None:
    assert find_journal(tmp_path / "none" / "a.sqlite") is Journal.WAL


ON_HARD_GROUND = """
import asyncio, os, sys
from pathlib import Path
from gateway.sessions.checkup import look
from gateway.sessions.store import Store

REFUSED = {"MEMORY": "19"}, {"LOCKS": "37"}, {"LOCKS": "95"}, {"LOCKS": "9", "MEMORY": "19"}

async def talk(path, key):
    store = Store(path)
    await store.open(1)
    assert store.database.problem is None, store.database.problem
    async def read():
        for _ in range(4):
            await store.session("a")
    async def note(n):
        await store.patch(key, "main", lambda entry: {**entry, "n": n}, n)
    await asyncio.gather(read(), *map(note, range(4)))
    session = await store.session(key)
    beside = path.with_name(f"{key}-{path.name}")
    assert await store.backup(beside) > 0 and look(beside).problem is None  # as commands do it while it runs
    assert look(path).problem is None and look(path).sessions > 0
    await store.close()
    return store.database._journal, session.entry["n"]

async def main():
    ground = Path(os.environ["GROUND"])
    for n, refused in enumerate(REFUSED):
        await talk(ground / "old.sqlite", f"a{n}")  # which has a WAL then
        for what, number in refused.items():
            os.environ[f"GROUND_{what}"] = number
        for name in ("old.sqlite", f"new{n}.sqlite"):  # made before where all was allowed, and made here
            journal, last = await talk(ground / name, f"s{n}")
            assert journal.name == ("UNLOCKED" if "LOCKS" in refused else "ROLLBACK"), (refused, journal)
            assert last == 3, last
        for what in refused:
            del os.environ[f"GROUND_{what}"]
    assert (await talk(ground / "old.sqlite", "z"))[0].name == "WAL"
    print("all")

asyncio.run(main())
"""


@pytest.mark.process
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_conversations_go_on_where_the_file_system_has_no_locks_or_no_shared_memory(tmp_path: Path) -> None:
    shim, ground = tmp_path / "ground.so", tmp_path / "ground"
    ground.mkdir()
    source = Path(__file__).parents[1] / "fakes" / "ground.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    env = {**os.environ, "LD_PRELOAD": str(shim), "GROUND": str(ground)}
    done = subprocess.run(
        [sys.executable, "-c", ON_HARD_GROUND], env=env, cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert done.stdout == "all\n", done.stderr
