"""Connections to one SQLite file: one that writes, others that read, also where nothing can be written.

On disk means on disk: WAL with a sync for each commit, and where the file system has no shared memory for a WAL, or
other machines may have it too, a rollback journal whose removal is synced as well (`synchronous=EXTRA` is both).
"""

import errno
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from enum import Enum
from pathlib import Path
from urllib.parse import quote

from gateway.errors import GatewayError
from gateway.machine.filesystem import shared_type, supports_locks, supports_shared_memory

log = logging.getLogger("gateway.sessions")

APPLICATION = 0x4F434757
"""What `PRAGMA application_id` says of our files: "OCGW"."""
BUSY_MS = 10_000
"""The longest wait for another process that writes, such as an import or somebody's clean-up. Who sends meanwhile
waits; after that they are told to ask again."""
WAL_BYTES = 16 * 1024 * 1024
"""To which a WAL is cut once it has been emptied: a backup that read for long has let it grow."""


class StorageFailed(GatewayError):
    """The database cannot be used, or not for this; nothing of what was asked for has been written."""


class NewerDatabase(StorageFailed):
    """A later version of this program has changed the file's form."""


class Journal(Enum):
    """What the file system lets several connections have of one file."""

    WAL = "WAL"
    ROLLBACK = "a rollback journal"
    UNLOCKED = "a rollback journal and no locks"
    """Whoever has connections of this kind lets one of them work at a time."""

    @property
    def mode(self) -> str:
        # Not `nolock=1`, with which SQLite does not open what was a WAL where there were locks.
        return "&vfs=unix-none" if self is Journal.UNLOCKED else ""


def find_journal(path: Path) -> Journal:
    """What the folder of `path` allows, by trying; WAL where nothing can be tried."""
    folder = path.parent
    try:
        if not supports_locks(folder):
            return Journal.UNLOCKED
        return Journal.WAL if shared_type(folder) is None and supports_shared_memory(folder) else Journal.ROLLBACK
    except OSError:
        return Journal.WAL


def writable(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    """Make the file if it is not there, and bring it up to date. Raises StorageFailed, sqlite3.Error and OSError."""
    return writable_with_journal(path, migrations)[0]


def writable_with_journal(path: Path, migrations: Sequence[str]) -> tuple[sqlite3.Connection, Journal]:
    """`writable`, and on what footing, which is a reader's too."""
    _create(path)
    journal = find_journal(path)
    if journal is not Journal.WAL:
        log.info("%s: the file system allows no WAL, so it has %s", path, journal.value)
    return _up_to_date(path, migrations, journal), journal


def _up_to_date(path: Path, migrations: Sequence[str], journal: Journal) -> sqlite3.Connection:
    if journal is not Journal.WAL:
        # One that was made elsewhere may have a WAL, which only an exclusive connection can read without shared memory.
        with closing(_connect(path, f"mode=rw{journal.mode}", "locking_mode=EXCLUSIVE")) as alone:
            alone.execute("PRAGMA journal_mode=DELETE")
    connection = _connect(path, f"mode=rw{journal.mode}")
    try:
        if journal is Journal.WAL:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
        connection.execute("BEGIN IMMEDIATE")  # two that begin at once; and whether it can be written at all
        begun = schema_version(connection, path, len(migrations))
        for script in migrations[begun:]:
            for statement in _statements(script):
                connection.execute(statement)
        if begun < len(migrations):
            connection.execute(f"PRAGMA application_id={APPLICATION}")
            connection.execute(f"PRAGMA user_version={len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def reader(path: Path, journal: Journal = Journal.WAL) -> sqlite3.Connection:
    """For a file that somebody else may write. Raises sqlite3.Error."""
    return _connect(path, f"mode=ro{journal.mode}", "query_only=1")


def exclusive_reader(path: Path) -> sqlite3.Connection:
    """For a full disk or a read-only folder, where no shared memory for the WAL can be made: nobody else may write
    to the file as long as this is open. Raises sqlite3.Error."""
    if _has_wal(path):
        return _connect(path, "mode=rw", "locking_mode=EXCLUSIVE", "query_only=1")
    return _connect(path, "mode=ro&immutable=1")


def command_reader(path: Path) -> sqlite3.Connection:
    """For a command beside a gateway that may run or begin: it changes nothing, and leaves no file behind where it
    can. Raises sqlite3.Error."""
    alone = find_journal(path).mode
    for mode in (f"mode=rw{alone}", f"mode=ro{alone}"):
        try:
            return _connect(path, mode, "query_only=1")
        except sqlite3.OperationalError:
            pass  # what the last way says counts
    return exclusive_reader(path)


def snapshot_reader(path: Path) -> sqlite3.Connection:
    """For reading another program's database: where that program has it open, as it is at this moment. Raises
    sqlite3.Error."""
    return _connect(path, "mode=ro" if _has_wal(path) else "mode=ro&immutable=1")


def schema_version(connection: sqlite3.Connection, path: Path, known: int) -> int:
    """How many migrations the file has had. Raises StorageFailed for one that is not ours, or newer than `known`."""
    (ours,) = connection.execute("PRAGMA application_id").fetchone()
    (form,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if ours != APPLICATION and (ours or form or tables):
        raise StorageFailed(f"{path} is the database of another program; move it away")
    if form > known:
        raise NewerDatabase(
            f"{path} was written by a newer version (form {form}, this one knows {known}); "
            "install that version again, or move the file away to begin without it"
        )
    return int(form)


def explain(error: BaseException) -> str:
    """What went wrong, and the way out where there is one."""
    if isinstance(error, OSError):
        text, remedy = error.strerror or str(error), _ERRNOS.get(error.errno or 0)
    else:
        code = getattr(error, "sqlite_errorcode", 0)
        text, remedy = str(error), _CODES.get(code) or _CODES.get(code & 0xFF)
    return f"{text}; {remedy}" if remedy else text


_ROOM = "make room on the disk"
_ALLOW = "let this user write to the file and its folder"
_ERRNOS = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EROFS: _ALLOW,
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
}
_CODES = {
    sqlite3.SQLITE_FULL: _ROOM,
    sqlite3.SQLITE_IOERR_SHMSIZE: _ROOM,
    sqlite3.SQLITE_READONLY: _ALLOW,
    sqlite3.SQLITE_CANTOPEN: _ALLOW,
    sqlite3.SQLITE_IOERR: "see what the kernel says of the disk: journalctl -k",
    sqlite3.SQLITE_CORRUPT: "`openclaw-gateway doctor` says what can be done",
    sqlite3.SQLITE_NOTADB: "it is something else: move it away",
    sqlite3.SQLITE_BUSY: "another program holds it",
    sqlite3.SQLITE_LOCKED: "another program holds it",
}
"""By primary code, or by extended code where that says more."""


def _connect(path: Path, mode: str, *pragmas: str) -> sqlite3.Connection:
    """Autocommit, to be used by one thread at a time. `casefold(text)` is Python's: SQLite's `lower` knows ASCII."""
    connection = sqlite3.connect(
        address(path, mode),
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_MS / 1000,
    )
    try:
        # `locking_mode` counts only before the first look at the file, which `synchronous` already is.
        for pragma in (*pragmas, "synchronous=EXTRA", "foreign_keys=1", "trusted_schema=0"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # whatever is wrong shows at the first look
        connection.create_function("casefold", 1, lambda text: text and text.casefold(), deterministic=True)
    except BaseException:
        connection.close()
        raise
    return connection


def address(path: Path, mode: str = "") -> str:
    """A file's URI, as SQLite has it."""
    return f"file:{quote(str(path))}?{mode}"


def wal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _has_wal(path: Path) -> bool:
    wal = wal_of(path)
    return wal.exists() and wal.stat().st_size > 0


def _create(path: Path) -> None:
    """SQLite would make it, and the files beside it, with the mode that the umask leaves. A file that is there is not
    opened: to close it would take SQLite's locks away (fcntl(2))."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    for folder in (path.parent, path.parent.parent):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Without it a crash can take away what was made in it, or undo a rename. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _statements(script: str) -> Iterator[str]:
    """`executescript` would commit before it begins."""
    statement = ""
    for piece in script.split(";")[:-1]:
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
