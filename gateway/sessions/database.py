"""One SQLite file. Work on it runs in threads, one that writes and one that reads: the event loop waits for no disk.

Whatever is asked to be written while a commit is under way becomes the next commit, so a hundred writers cost one
`fsync`. A write is on disk when `write` returns.

A disk that is full, or a folder that is read-only, also at the start, leaves what exists readable. Each write tries
anew, so nobody has to restart anything once there is room.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from traceback import clear_frames
from typing import TypeVar

from gateway.sessions.batches import Batch, BatchExecutor, Job
from gateway.sessions.sqlite import Journal, exclusive_reader, explain, reader, schema_version, writable_with_journal
from gateway.sessions.sqlite import StorageFailed as StorageFailed

log = logging.getLogger("gateway.sessions")

MAX_BATCH = 256
"""Pieces of work in one commit."""
T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class Database:
    """`migrations`: SQL scripts; the file's form is the number of those that it has had (`PRAGMA user_version`)."""

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self.path = path
        self.problem: str | None = None
        """Why nothing can be written, as far as has been seen."""
        self._migrations = migrations
        self._lock = threading.RLock()
        """Of the connections: a read holds it, so none is closed under it."""
        self._journal = Journal.WAL
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._exclusive = False
        """Whether the reader stands in the way of a writer."""
        self._file: tuple[int, int] | None = None
        """Device and inode of the file that was opened first."""
        self._closed = False
        self._writes = BatchExecutor(self._commit, MAX_BATCH)
        self._reads = BatchExecutor(self._look, 1)

    async def open(self) -> None:
        """Create it if it is not there, and bring it up to date; where that cannot be, have it read. Raises
        StorageFailed if it cannot be read either; all that is asked for later tries again."""
        await asyncio.to_thread(self._open)

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; what it raises undoes its own changes alone. Raises StorageFailed."""
        return await self._writes.run(work)

    async def read(self, work: Work[T]) -> T:
        """Run `work` on what has been committed, all of it as of one moment. Raises StorageFailed."""
        return await self._reads.run(work)

    async def close(self) -> None:
        """After what has been asked for is done; nothing may be asked for any more."""
        await self._writes.idle()
        await self._reads.idle()
        await asyncio.to_thread(self._close)

    # -- in a thread -----------------------------------------------------------------------------------------------

    def _commit(self, batch: Batch) -> None:
        with self._lock if self._journal is Journal.UNLOCKED else nullcontext():
            self._commit_all(batch)

    def _commit_all(self, batch: Batch) -> None:
        try:
            connection = self._writer or self._writable()
            self._check_identity()
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                self._try(job, connection)
            connection.execute("COMMIT")
        except BaseException as error:
            with self._lock:
                self._drop_writer()  # which undoes what is open
            failed = self._failed("write", error)
            self._cannot_write(failed)
            for job in batch:
                job.error = type(failed)(str(failed))  # each its own: a traceback grows with each `raise`
        else:
            self._can_write()

    def _try(self, job: Job[T], connection: sqlite3.Connection) -> None:
        connection.execute("SAVEPOINT work")
        try:
            job.result = job.work(connection)
        except Exception as error:
            if not connection.in_transaction:
                raise  # SQLite has undone everything
            connection.execute("ROLLBACK TO work")
            job.error = self._told("write", error)
        connection.execute("RELEASE work")

    def _look(self, batch: Batch) -> None:
        for job in batch:
            try:
                with self._lock:
                    connection = self._readable()
                    connection.execute("BEGIN")
                    try:
                        job.result = job.work(connection)
                    finally:
                        connection.execute("ROLLBACK")
            except Exception as error:
                job.error = self._told("read", error)

    def _told(self, what: str, error: Exception) -> Exception:
        """What whoever asked hears. A traceback would keep the cursors of its frames open, and with them the WAL."""
        clear_frames(error.__traceback__)
        return self._failed(what, error) if isinstance(error, sqlite3.Error | OSError) else error

    # -- connections -------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        with self._lock:
            self._connect()

    def _writable(self) -> sqlite3.Connection:
        with self._lock:
            self._connect()
            if self._writer is None:
                raise StorageFailed(self.problem)
            return self._writer

    def _readable(self) -> sqlite3.Connection:
        if self._reader is None:
            self._connect()
        assert self._reader is not None
        return self._reader

    def _connect(self) -> None:
        """A writer, and a reader beside it; else a reader. Raises StorageFailed if neither can be had."""
        if self._closed:
            raise StorageFailed(f"{self.path} is closed")
        if self._exclusive:
            self._drop_reader()
        try:
            self._check_identity()
            self._writer, journal = writable_with_journal(self.path, self._migrations)
            if journal is not self._journal:
                self._drop_reader()
            self._journal = journal
            self._reader = self._reader or reader(self.path, journal)
        except (StorageFailed, sqlite3.Error, OSError) as error:
            self._drop_writer()
            failed = self._failed("open", error)
            self._cannot_write(failed)
            if self._reader is None and not self._connect_reader():
                raise failed from error
        else:
            self._can_write()
        self._file = self._file or _identity(self.path)

    def _connect_reader(self) -> bool:
        """Whether what is there can be read at least."""
        for connect in (reader, exclusive_reader):
            try:
                self._reader = connect(self.path)
                self._exclusive = connect is exclusive_reader
                if schema_version(self._reader, self.path, len(self._migrations)) == len(self._migrations):
                    return True
            except (StorageFailed, sqlite3.Error, OSError):
                pass  # why nothing can be written says more
            self._drop_reader()
        return False

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def _drop_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader, self._exclusive = None, False

    def _close(self) -> None:
        with self._lock:
            self._closed = True
            self._drop_reader()
            self._drop_writer()  # the last one, which empties and removes the WAL

    # -- what is wrong -----------------------------------------------------------------------------------------------

    def _check_identity(self) -> None:
        """SQLite would go on writing into a file that has no name any more. Raises StorageFailed."""
        if self._file is not None and _identity(self.path) != self._file:
            raise StorageFailed(
                f"{self.path} was moved or deleted while it was open; put it back, or restart without it"
            )

    def _cannot_write(self, failed: StorageFailed) -> None:
        if self.problem is None:
            log.error("%s", failed)
        self.problem = str(failed)

    def _can_write(self) -> None:
        if self.problem is not None:
            log.info("%s can be written again", self.path)
        self.problem = None

    def _failed(self, what: str, error: BaseException) -> StorageFailed:
        if isinstance(error, StorageFailed):
            return error
        return StorageFailed(f"cannot {what} {self.path}: {explain(error)}")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_dev, facts.st_ino
