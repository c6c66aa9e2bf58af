"""One SQLite file. Work on it runs in threads, one that writes and one that reads: the event loop waits for no disk.

Whatever is asked to be written while a commit is under way becomes the next commit, so a hundred writers cost one
`fsync`. A write is on disk when `write` returns (WAL, synchronous=FULL).
"""

import asyncio
import logging
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from gateway.errors import GatewayError

log = logging.getLogger("gateway.sessions")

BUSY_MS = 5000
"""The longest wait for another process that has the file open, such as a backup."""
MAX_BATCH = 256
"""Pieces of work in one commit."""
T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class StorageFailed(GatewayError):
    """The database cannot be used, or not for this; nothing of what was asked for has been written."""


class NewerDatabase(StorageFailed):
    """A later version of this program has changed the file's form."""


class Database:
    """`migrations`: SQL scripts; the file's form is the number of those that it has had (`PRAGMA user_version`)."""

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self.path = path
        self._migrations = migrations
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._writes = _Lane(self._commit, MAX_BATCH)
        self._reads = _Lane(self._look, 1)

    async def open(self) -> None:
        """Create it if it is not there, and bring it up to date. Raises StorageFailed."""
        await asyncio.to_thread(self._open)

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; what it raises undoes its own changes alone. Raises StorageFailed."""
        return await self._writes.run(work)

    async def read(self, work: Work[T]) -> T:
        """Run `work` on what has been committed. Raises StorageFailed."""
        return await self._reads.run(work)

    async def close(self) -> None:
        """After what has been asked for is done; nothing may be asked for any more."""
        await self._writes.idle()
        await self._reads.idle()
        await asyncio.to_thread(self._close)

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite would make it, and the files beside it, with the mode that the umask leaves.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._writer = connect(self.path)
            self._migrate(self._writer)
            self._reader = connect(self.path)
            self._reader.execute("PRAGMA query_only=1")
        except (sqlite3.Error, OSError) as error:
            self._close()
            raise self._failed("open", error) from error
        except StorageFailed:
            self._close()
            raise

    def _migrate(self, connection: sqlite3.Connection) -> None:
        (form,) = connection.execute("PRAGMA user_version").fetchone()
        if form > len(self._migrations):
            raise NewerDatabase(
                f"{self.path} was written by a newer version (form {form}, this one knows {len(self._migrations)}); "
                "install that version again, or move the file away to begin without it"
            )
        for number in range(form, len(self._migrations)):
            # executescript would commit what is open; the script brings its own transaction.
            script = f"BEGIN IMMEDIATE; {self._migrations[number]} PRAGMA user_version={number + 1}; COMMIT;"
            try:
                connection.executescript(script)
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _close(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None

    def _commit(self, batch: "Sequence[_Job[Any]]") -> None:
        connection = self._writer
        if connection is None:
            _fail(batch, StorageFailed(f"{self.path} is not open"))
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                connection.execute("SAVEPOINT work")
                try:
                    job.result = job.work(connection)
                except Exception as error:
                    if isinstance(error, sqlite3.Error) and not connection.in_transaction:
                        raise  # SQLite has undone everything: a full disk
                    connection.execute("ROLLBACK TO work")
                    job.error = self._failed("write", error) if isinstance(error, sqlite3.Error) else error
                connection.execute("RELEASE work")
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            _fail(batch, self._failed("write", error))

    def _look(self, batch: "Sequence[_Job[Any]]") -> None:
        connection = self._reader
        for job in batch:
            try:
                if connection is None:
                    raise StorageFailed(f"{self.path} is not open")
                job.result = job.work(connection)
            except sqlite3.Error as error:
                job.error = self._failed("read", error)
            except Exception as error:
                job.error = error

    def _failed(self, what: str, error: Exception) -> StorageFailed:
        return StorageFailed(f"cannot {what} {self.path}: {explain(error)}")


def connect(path: Path) -> sqlite3.Connection:
    """Autocommit, to be used by one thread at a time. `casefold(text)` is Python's: SQLite's `lower` knows ASCII."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=1", "trusted_schema=0"):
            connection.execute(f"PRAGMA {pragma}")
        connection.create_function("casefold", 1, lambda text: text and text.casefold(), deterministic=True)
    except BaseException:
        connection.close()
        raise
    return connection


def explain(error: Exception) -> str:
    """What went wrong, and the way out where there is one."""
    text = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    for sign, remedy in _REMEDIES.items():
        if sign in text.lower():
            return f"{text}; {remedy}"
    return text


_REMEDIES = {
    "is full": "make room on the disk",
    "no space left": "make room on the disk",
    "readonly": "let this user write to the file and its folder",
    "read-only": "let this user write to the file and its folder",
    "malformed": "`openclaw-gateway doctor` says what can be saved",
    "not a database": "it is something else: move it away",
    "locked": "another program holds it",
}


class _Job(Generic[T]):
    __slots__ = ("done", "error", "result", "work")

    def __init__(self, work: Work[T], done: "asyncio.Future[None]") -> None:
        self.work = work
        self.done = done
        self.result: T | None = None
        self.error: Exception | None = None


def _fail(batch: "Sequence[_Job[Any]]", error: Exception) -> None:
    for job in batch:
        job.error = error


class _Lane:
    """Jobs, in order, in a thread: one batch at a time. A caller that is cancelled only stops waiting."""

    def __init__(self, work_off: "Callable[[Sequence[_Job[Any]]], None]", most: int) -> None:
        self._work_off = work_off
        self._most = most
        self._waiting: deque[_Job[Any]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def run(self, work: Work[T]) -> T:
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work(), name="database")
        await job.done
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value]  # None only where T is None

    async def idle(self) -> None:
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            await asyncio.to_thread(self._work_off, batch)
            for job in batch:
                if not job.done.done():
                    job.done.set_result(None)
        self._worker = None
