import asyncio
import logging
import os
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from subprocess import PIPE, Popen, run
from typing import Any

import pytest

from gateway.sessions import sqlite as connections
from gateway.sessions.database import MAX_BATCH, Database, StorageFailed
from gateway.sessions.sqlite import NewerDatabase
from tests.sessions.disks import PROJECT, fill, make_room, on_a_small_disk, remount

SCHEMA = ("CREATE TABLE t (x TEXT);",)


def insert(text: str, db: sqlite3.Connection) -> int | None:
    return db.execute("INSERT INTO t VALUES (?)", (text,)).lastrowid


def texts(db: sqlite3.Connection) -> list[str]:
    return [text for (text,) in db.execute("SELECT x FROM t")]


def count(db: sqlite3.Connection) -> int:
    (number,) = db.execute("SELECT count(*) FROM t").fetchone()
    return int(number)


async def put(database: Database, text: str) -> None:
    await database.write(lambda db: insert(text, db))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Database]:
    database = Database(folder / "a.sqlite", SCHEMA)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


class Slow:
    """Work on the database that goes on until `let` is set."""

    def __init__(self) -> None:
        self.busy, self.let = threading.Event(), threading.Event()

    def __call__(self, db: sqlite3.Connection) -> None:
        self.busy.set()
        assert self.let.wait(10)


async def refused(what: Coroutine[Any, Any, Any]) -> str:
    with pytest.raises(StorageFailed) as raised:
        await what
    return str(raised.value)


# -- writing and reading -----------------------------------------------------------------------------------------------


def test_what_is_written_is_there_for_readers_and_for_the_next_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            assert await database.write(lambda db: insert("one", db)) == 1
            assert await database.read(texts) == ["one"]
        async with opened(tmp_path) as database:
            assert await database.read(texts) == ["one"]

    asyncio.run(scenario())


@pytest.mark.parametrize(("writers", "commits"), [(MAX_BATCH, 1), (MAX_BATCH + 1, 2)])
def test_writers_share_commits_up_to_a_bound(tmp_path: Path, writers: int, commits: int) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            statements: list[str] = []
            busy, let = threading.Event(), threading.Event()

            def first(db: sqlite3.Connection) -> None:
                db.set_trace_callback(statements.append)
                busy.set()
                assert let.wait(10)

            blocker = asyncio.ensure_future(database.write(first))
            await asyncio.to_thread(busy.wait)
            others = [asyncio.ensure_future(put(database, str(number))) for number in range(writers)]
            await asyncio.sleep(0)
            let.set()
            await asyncio.gather(blocker, *others)
            assert statements.count("COMMIT") == 1 + commits
            assert await database.read(texts) == [str(number) for number in range(writers)]

    asyncio.run(scenario())


def test_what_raises_undoes_its_own_changes_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:

            def slip(db: sqlite3.Connection) -> None:
                insert("never", db)
                raise LookupError("mine")

            def bad_sql(db: sqlite3.Connection) -> None:
                insert("never", db)
                db.execute("INSERT INTO nowhere VALUES (1)")

            outcomes = await asyncio.gather(
                *(put(database, "one"), database.write(slip), database.write(bad_sql), put(database, "two")),
                return_exceptions=True,
            )
            assert outcomes[0] is outcomes[3] is None
            assert isinstance(outcomes[1], LookupError)
            assert isinstance(outcomes[2], StorageFailed)
            assert await database.read(texts) == ["one", "two"]

    asyncio.run(scenario())


def test_work_that_ends_the_transaction_costs_its_batch_and_nothing_else(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:

            def ends(db: sqlite3.Connection) -> None:
                db.execute("ROLLBACK")
                raise LookupError("mine")

            outcomes = await asyncio.gather(
                *(put(database, "one"), put(database, "two"), database.write(ends)), return_exceptions=True
            )
            assert outcomes[0] is None  # was alone in its commit
            assert [type(each) for each in outcomes[1:]] == [StorageFailed, StorageFailed]
            await put(database, "three")
            assert await database.read(texts) == ["one", "three"]
            assert database.problem is None

    asyncio.run(scenario())


def test_each_caller_gets_an_error_of_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            (tmp_path / "a.sqlite").rename(tmp_path / "b.sqlite")
            errors = await asyncio.gather(*(put(database, "x") for _ in range(3)), return_exceptions=True)
            assert len({id(error) for error in errors}) == 3

    asyncio.run(scenario())


def test_a_caller_that_is_cancelled_leaves_whole_transactions(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            writers = [asyncio.ensure_future(put(database, str(number))) for number in range(20)]
            await asyncio.sleep(0)
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
            await put(database, "last")
            assert await database.read(count) == 21

    asyncio.run(scenario())


def test_a_read_is_of_one_moment(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            looked, written = threading.Event(), threading.Event()

            def twice(db: sqlite3.Connection) -> tuple[int, int]:
                first = count(db)
                looked.set()
                assert written.wait(10)
                return first, count(db)

            read = asyncio.ensure_future(database.read(twice))
            await asyncio.to_thread(looked.wait)
            await put(database, "one")  # no read stands in its way
            written.set()
            assert await read == (0, 0)
            assert await database.read(count) == 1

    asyncio.run(scenario())


def test_a_read_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            await refused(database.read(lambda db: insert("never", db)))
            await put(database, "one")
            assert await database.read(texts) == ["one"]

    asyncio.run(scenario())


def test_an_error_that_somebody_keeps_does_not_keep_the_wal(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            for text in ("one", "two"):
                await put(database, text)

            def breaks_off(db: sqlite3.Connection) -> None:
                for (text,) in db.execute("SELECT x FROM t"):
                    raise LookupError(text)

            with pytest.raises(LookupError) as kept:
                await database.read(breaks_off)
            await put(database, "three")
            checkpoint = sqlite3.connect(database.path)
            assert checkpoint.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
            checkpoint.close()
            assert kept.value.args == ("one",)

    asyncio.run(scenario())


def test_the_event_loop_waits_for_no_disk(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            slow = Slow()
            work = [asyncio.ensure_future(database.write(slow)), asyncio.ensure_future(database.read(slow))]
            await asyncio.to_thread(slow.busy.wait)
            slow.let.set()  # reached although both threads wait for it
            await asyncio.gather(*work)

    asyncio.run(scenario())


# -- whether something was committed -----------------------------------------------------------------------------------


def test_a_version_lasts_until_somebody_commits(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            before = database.version()
            assert before is not None and database.version() == before
            await database.read(texts)
            await refused(database.write(lambda db: db.execute("SELECT * FROM nothing")))
            assert database.version() == before, "nothing was committed"
            await put(database, "ours")
            ours = database.version()
            assert ours not in (None, before) and database.version() == ours
            with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                insert("theirs", other)
                assert database.version() == ours, "it is not committed yet"
                other.execute("COMMIT")
                theirs = database.version()
                assert theirs not in (None, before, ours)
            assert await database.read(texts) == ["ours", "theirs"]
            assert database.version() == theirs
        assert database.version() is None, "it is closed"

    asyncio.run(scenario())


def test_there_is_no_version_where_asking_might_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            slow = Slow()
            reading = asyncio.ensure_future(database.read(slow))
            await asyncio.to_thread(slow.busy.wait)
            assert database.version() is None
            slow.let.set()
            await reading
            assert database.version() is not None
        monkeypatch.setattr(connections, "find_journal", lambda path: connections.Journal.ROLLBACK)
        async with opened(tmp_path) as database:
            assert database.version() is None

    asyncio.run(scenario())


def test_after_close_the_file_stands_alone_and_nothing_more_is_done(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database(tmp_path / "a.sqlite", SCHEMA)
        await database.open()
        late = asyncio.ensure_future(put(database, "asked before"))
        await asyncio.sleep(0)
        await database.close()
        await late
        assert os.listdir(tmp_path) == ["a.sqlite"]
        for what in (put(database, "never"), database.read(count)):
            assert await refused(what) == f"{database.path} is closed"
        async with opened(tmp_path) as database:
            assert await database.read(texts) == ["asked before"]

    asyncio.run(scenario())


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_full_database_refuses_what_is_too_large_and_nothing_else(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            await database.write(lambda db: db.execute("PRAGMA max_page_count=20").fetchone())
            error = await refused(put(database, "x" * 200_000))
            assert error == f"cannot write {database.path}: database or disk is full; make room on the disk"
            await put(database, "small")
            assert await database.read(texts) == ["small"]

    asyncio.run(scenario())


def test_another_process_that_writes_is_waited_for_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_MS", 50)

    async def scenario() -> None:
        async with opened(tmp_path) as database:
            other = sqlite3.connect(database.path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            error = await refused(put(database, "one"))
            assert error == f"cannot write {database.path}: database is locked; another program holds it"
            assert await database.read(texts) == []
            other.execute("COMMIT")
            other.close()
            await put(database, "two")
            assert await database.read(texts) == ["two"]

    asyncio.run(scenario())


def test_who_writes_while_another_program_does_waits_and_is_stored(tmp_path: Path) -> None:
    """A clean-up that holds the writer for long."""

    async def scenario() -> None:
        async with opened(tmp_path) as database:
            other = sqlite3.connect(database.path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            sender = asyncio.create_task(put(database, "one"))
            assert await database.read(texts) == []  # readers do not wait
            assert not sender.done()
            other.execute("COMMIT")
            other.close()
            await sender
            assert await database.read(texts) == ["one"]

    asyncio.run(scenario())


def test_a_clean_up_or_a_backup_from_outside_between_writes_costs_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            with closing(sqlite3.connect(database.path)) as other:
                for number in range(3):
                    await put(database, str(number))
                    other.execute("VACUUM")
                    with closing(sqlite3.connect(tmp_path / f"copy{number}.sqlite")) as copy:
                        other.backup(copy)
                        assert texts(copy) == [str(each) for each in range(number + 1)]
            assert await database.read(texts) == ["0", "1", "2"]

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_is_gone_is_not_written_any_more(tmp_path: Path, how: str) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            await put(database, "one")
            database.path.rename(tmp_path / "b.sqlite")
            if how == "replaced":
                sqlite3.connect(database.path).close()
            for _ in range(2):
                error = await refused(put(database, "lost"))
                assert (
                    error
                    == f"{database.path} was moved or deleted while it was open; put it back, or restart without it"
                )
            assert await database.read(texts) == ["one"]
            (tmp_path / "b.sqlite").rename(database.path)
            await put(database, "two")
            assert await database.read(texts) == ["one", "two"]

    asyncio.run(scenario())


def test_a_newer_file_is_refused_until_it_is_moved_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        newer = Database(tmp_path / "a.sqlite", (*SCHEMA, "CREATE TABLE u (x);"))
        await newer.open()
        await newer.close()
        database = Database(tmp_path / "a.sqlite", SCHEMA)
        with pytest.raises(NewerDatabase):
            await database.open()
        assert "newer version" in await refused(database.read(texts))
        assert "newer version" in await refused(put(database, "one"))
        database.path.unlink()
        await put(database, "one")
        assert await database.read(texts) == ["one"]
        await database.close()

    asyncio.run(scenario())


def test_what_is_no_database_is_refused_until_it_is_moved_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "a.sqlite").write_text("a diary" * 1000)
        database = Database(tmp_path / "a.sqlite", SCHEMA)
        error = await refused(database.open())
        expected = "file is not a database; it is something else: move it away"
        assert error == database.problem == f"cannot open {database.path}: {expected}"
        assert await refused(database.read(texts)) == error
        database.path.unlink()
        assert await database.read(texts) == []
        assert database.problem is None
        await database.close()

    asyncio.run(scenario())


def test_a_damaged_page_costs_what_lies_on_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            await database.write(lambda db: db.executemany("INSERT INTO t VALUES (?)", [("x" * 3000,)] * 10).rowcount)
        with database.path.open("r+b") as file:
            file.seek(5 * 4096)
            file.write(b"\xff" * 4096)
        async with opened(tmp_path) as database:
            error = await refused(database.read(texts))
            assert error.endswith("malformed; `openclaw-gateway doctor` says what can be done")
            (first,) = await database.read(lambda db: db.execute("SELECT x FROM t").fetchone())
            assert first == "x" * 3000

    asyncio.run(scenario())


def test_what_cannot_be_written_is_logged_once_and_so_is_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as database:
            database.path.rename(tmp_path / "b.sqlite")
            for _ in range(3):
                await refused(put(database, "x"))
            (tmp_path / "b.sqlite").rename(database.path)
            for _ in range(3):
                await put(database, "x")

    with caplog.at_level(logging.INFO, "gateway.sessions"):
        asyncio.run(scenario())
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert caplog.records[1].message == f"{tmp_path}/a.sqlite can be written again"


# -- full disks and read-only folders ----------------------------------------------------------------------------------


def full_in_a_commit(folder: Path) -> None:
    """The pages of a batch stay in memory until its COMMIT, which is what fails."""

    async def scenario() -> None:
        async with opened(folder) as database:
            await put(database, "before")
            fill(folder, leave=40_000)
            outcomes = await asyncio.gather(*(put(database, str(n) * 50_000) for n in range(4)), return_exceptions=True)
            expected = f"cannot write {database.path}: database or disk is full; make room on the disk"
            assert {str(each) for each in outcomes} == {expected} and database.problem == expected
            assert await database.read(texts) == ["before"]
            make_room(folder)
            await put(database, "after")
            assert database.problem is None
            assert await database.read(texts) == ["before", "after"]
        async with opened(folder) as database:
            assert await database.read(texts) == ["before", "after"]

    asyncio.run(scenario())


def full_from_the_start(folder: Path) -> None:
    async def scenario() -> None:
        async with opened(folder) as database:
            await put(database, "before")
        fill(folder)
        async with opened(folder) as database:
            assert database.problem is not None and database.problem.endswith("make room on the disk")
            assert await database.read(texts) == ["before"]
            assert (await refused(put(database, "x"))).endswith("make room on the disk")
            assert await database.read(texts) == ["before"]
            make_room(folder)
            await put(database, "after")
            assert database.problem is None
            assert await database.read(texts) == ["before", "after"]

    asyncio.run(scenario())


def full_after_a_crash(folder: Path) -> None:
    async def crash() -> None:
        database = Database(folder / "a.sqlite", SCHEMA)
        await database.open()
        await put(database, "in the WAL")
        os._exit(0)

    if (pid := os.fork()) == 0:
        asyncio.run(crash())
    os.waitpid(pid, 0)
    (folder / "a.sqlite-shm").unlink()
    fill(folder)

    async def scenario() -> None:
        async with opened(folder) as database:
            assert await database.read(texts) == ["in the WAL"]
            await refused(put(database, "x"))
            make_room(folder)
            await put(database, "after")
            assert await database.read(texts) == ["in the WAL", "after"]

    asyncio.run(scenario())


def read_only_from_the_start(folder: Path) -> None:
    async def scenario() -> None:
        async with opened(folder) as database:
            await put(database, "before")
        remount(folder, "ro")
        async with opened(folder) as database:
            assert await database.read(texts) == ["before"]
            assert (await refused(put(database, "x"))).endswith("let this user write to the file and its folder")
            remount(folder, "rw")
            await put(database, "after")
            assert await database.read(texts) == ["before", "after"]

    asyncio.run(scenario())


def nothing_there_and_read_only(folder: Path) -> None:
    async def scenario() -> None:
        remount(folder, "ro")
        database = Database(folder / "a.sqlite", SCHEMA)
        expected = "Read-only file system; let this user write to the file and its folder"
        for what in (database.open(), database.read(texts), put(database, "x")):
            assert await refused(what) == f"cannot open {database.path}: {expected}"
        remount(folder, "rw")
        assert await database.read(texts) == []
        await database.close()

    asyncio.run(scenario())


@pytest.mark.process
@pytest.mark.parametrize(
    "scenario",
    [
        full_in_a_commit,
        full_from_the_start,
        full_after_a_crash,
        read_only_from_the_start,
        nothing_there_and_read_only,
    ],
)
def test_what_exists_stays_readable(tmp_path: Path, scenario: Any) -> None:
    on_a_small_disk(scenario, tmp_path)


# -- sudden ends -------------------------------------------------------------------------------------------------------

WRITES_UNTIL_KILLED = """
import asyncio, itertools, sys
from pathlib import Path
from tests.sessions.test_database import SCHEMA, Database, put

async def write():
    database = Database(Path(sys.argv[1]), SCHEMA)
    await database.open()
    async def one(number):
        await put(database, f"{number} " + "x" * 5000)
        print(number, flush=True)
    for start in itertools.count(0, 8):
        await asyncio.gather(*(one(number) for number in range(start, start + 8)))

asyncio.run(write())
"""


@pytest.mark.process
@pytest.mark.parametrize("acknowledged", [1, 30, 300])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "a.sqlite"
    with Popen([sys.executable, "-c", WRITES_UNTIL_KILLED, path], cwd=PROJECT, stdout=PIPE, text=True) as child:
        assert child.stdout is not None
        told = [int(child.stdout.readline()) for _ in range(acknowledged)]
        child.kill()
        told += [int(line) for line in child.stdout.read().splitlines()]

    async def scenario() -> None:
        async with opened(tmp_path) as database:
            assert await database.read(lambda db: db.execute("PRAGMA integrity_check").fetchall()) == [("ok",)]
            found = await database.read(texts)
            assert all(len(text.split(" ")[1]) == 5000 for text in found)
            numbers = [int(text.split(" ")[0]) for text in found]
            assert numbers[: len(told)] == sorted(told)
            assert numbers == list(range(len(numbers)))
            await put(database, "goes on")

    asyncio.run(scenario())


REPLACES_ITSELF = """
import asyncio, os, sys, threading
from pathlib import Path
from tests.sessions.test_database import SCHEMA, Database, insert, put

async def first(path):
    database = Database(path, SCHEMA)
    await database.open()
    await put(database, "acknowledged")
    busy = threading.Event()
    def in_a_transaction(db):
        insert("under way", db)
        busy.set()
        threading.Event().wait()
    asyncio.ensure_future(database.write(in_a_transaction))
    await asyncio.to_thread(busy.wait)
    os.execv(sys.executable, [*sys.orig_argv, "again"])

async def second(path):
    database = Database(path, SCHEMA)
    await database.open()
    await put(database, "next image")
    await database.close()

asyncio.run((second if "again" in sys.argv else first)(Path(sys.argv[1])))
"""


@pytest.mark.process
@pytest.mark.serial
def test_a_process_that_replaces_itself_in_a_transaction_leaves_no_lock(tmp_path: Path) -> None:
    began = time.monotonic()
    run([sys.executable, "-c", REPLACES_ITSELF, tmp_path / "a.sqlite"], cwd=PROJECT, check=True, timeout=30)
    assert time.monotonic() - began < connections.BUSY_MS / 1000

    async def scenario() -> None:
        async with opened(tmp_path) as database:
            assert await database.read(texts) == ["acknowledged", "next image"]

    asyncio.run(scenario())
