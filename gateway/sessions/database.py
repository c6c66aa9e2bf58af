"""One SQLite file. Work on it runs in two threads, a writer and a reader: the event loop waits for no disk.

All writes that arrive during a commit become the next commit, so that a hundred writers cost one `fsync`. A write is on
disk when `write` returns.

On a full disk or in a read-only folder, also at the start, what exists stays readable. Each write tries again, so that
no restart is needed once there is room.
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
from gateway.sessions.sqlite import (
    Journal,
    data_version,
    exclusive_reader,
    explain,
    reader,
    schema_version,
    writable_with_journal,
)
from gateway.sessions.sqlite import StorageFailed as StorageFailed

log = logging.getLogger("gateway.sessions")

MAX_BATCH = 256
"""Most jobs in one commit."""
T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
Version = tuple[sqlite3.Connection, int]
"""The number that a connection has for what is committed. Another connection counts in another way."""


class Database:
    """`migrations`: SQL scripts. `PRAGMA user_version` is the number of those that the file has had."""

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self.path = path
        self.problem: str | None = None
        """Why the last write failed; None if it did not."""
        self._migrations = migrations
        self._lock = threading.RLock()
        """Guards the connections: a read holds it, so that no connection is closed during a read."""
        self._journal = Journal.WAL
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._exclusive = False
        """Whether the reader is exclusive, so that it must be closed before a writer is opened."""
        self._file: tuple[int, int] | None = None
        """Device and inode of the file as it was first opened."""
        self._closed = False
        self._writes = BatchExecutor(self._commit_batch, MAX_BATCH)
        self._reads = BatchExecutor(self._read_batch, 1)

    async def open(self) -> None:
        """Open the file for writing, creating or migrating it, or else for reading alone.

        Raises StorageFailed if it cannot be read either. Later reads and writes try again.
        """
        await asyncio.to_thread(self._open)

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction. If it raises, only its own changes are undone. Raises StorageFailed."""
        return await self._writes.run(work)

    async def read(self, work: Work[T]) -> T:
        """Run `work` on one snapshot of what has been committed. Raises StorageFailed."""
        return await self._reads.run(work)

    def version(self) -> Version | None:
        """A value that is another one after every commit, of this process and of any other.

        SQLite keeps it in shared memory (`PRAGMA data_version`), so it is asked for without a thread. None where that
        might wait: during a read, and where the journal is no WAL.
        """
        if self._writer is None or self._journal is not Journal.WAL or not self._lock.acquire(blocking=False):
            return None
        try:
            return None if self._reader is None else (self._reader, data_version(self._reader))
        except sqlite3.Error:
            return None  # a read says what is wrong
        finally:
            self._lock.release()

    async def close(self) -> None:
        """Finish all jobs, then close the connections. No method may be called afterwards."""
        await self._writes.idle()
        await self._reads.idle()
        await asyncio.to_thread(self._close)

    # -- in a thread -----------------------------------------------------------------------------------------------

    def _commit_batch(self, batch: Batch) -> None:
        with self._lock if self._journal is Journal.UNLOCKED else nullcontext():
            self._commit_all(batch)

    def _commit_all(self, batch: Batch) -> None:
        try:
            connection = self._writer or self._writable()
            self._check_identity()
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                self._run_job(job, connection)
            connection.execute("COMMIT")
        except BaseException as error:
            with self._lock:
                self._drop_writer()  # which rolls back
            failed = self._storage_failed("write", error)
            self._cannot_write(failed)
            for job in batch:
                job.error = type(failed)(str(failed))  # one object each: a traceback grows with each `raise`
        else:
            self._can_write()

    def _run_job(self, job: Job[T], connection: sqlite3.Connection) -> None:
        connection.execute("SAVEPOINT work")
        try:
            job.result = job.work(connection)
        except Exception as error:
            if not connection.in_transaction:
                raise  # SQLite has rolled back the whole transaction
            connection.execute("ROLLBACK TO work")
            job.error = self._error_for_caller("write", error)
        connection.execute("RELEASE work")

    def _read_batch(self, batch: Batch) -> None:
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
                job.error = self._error_for_caller("read", error)

    def _error_for_caller(self, what: str, error: Exception) -> Exception:
        """The error for the caller. The frames of its traceback are cleared: their cursors would keep the WAL open."""
        clear_frames(error.__traceback__)
        return self._storage_failed(what, error) if isinstance(error, sqlite3.Error | OSError) else error

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
        """Open a writer and a reader, or else a reader alone. Raises StorageFailed if neither can be opened."""
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
            failed = self._storage_failed("open", error)
            self._cannot_write(failed)
            if self._reader is None and not self._connect_reader():
                raise failed from error
        else:
            self._can_write()
        self._file = self._file or _identity(self.path)

    def _connect_reader(self) -> bool:
        """Open a reader where no writer can be opened. Returns whether that succeeded."""
        for connect in (reader, exclusive_reader):
            try:
                self._reader = connect(self.path)
                self._exclusive = connect is exclusive_reader
                if schema_version(self._reader, self.path, len(self._migrations)) == len(self._migrations):
                    return True
            except (StorageFailed, sqlite3.Error, OSError):
                pass  # the error of the writer says more
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
            self._drop_writer()  # the last connection empties and removes the WAL

    # -- what is wrong -----------------------------------------------------------------------------------------------

    def _check_identity(self) -> None:
        """Raises StorageFailed if the file was replaced or deleted: SQLite would go on writing into the old one."""
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

    def _storage_failed(self, what: str, error: BaseException) -> StorageFailed:
        if isinstance(error, StorageFailed):
            return error
        return StorageFailed(f"cannot {what} {self.path}: {explain(error)}")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_dev, facts.st_ino
