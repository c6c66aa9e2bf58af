"""Connections to one SQLite file: one that writes, others that read, also where nothing can be written.

Each commit is synced (`synchronous=EXTRA`). The journal is a WAL; where the file system has no shared memory for it, or
other machines may mount it, it is a rollback journal whose removal is synced as well.
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
"""`PRAGMA application_id` of our files: "OCGW"."""
BUSY_MS = 10_000
"""The longest wait for another process that writes, such as an import. After it a client is told to ask again."""
WAL_BYTES = 16 * 1024 * 1024
"""The size to which an emptied WAL is truncated: it grows while a backup reads."""


class StorageFailed(GatewayError):
    """The database cannot be used, or not for this; nothing has been written."""


class NewerDatabase(StorageFailed):
    """The schema of the file is one of a later version of this program."""


class Journal(Enum):
    """The journal that the file system allows, and whether several connections may use the file at once."""

    WAL = "WAL"
    ROLLBACK = "a rollback journal"
    UNLOCKED = "a rollback journal and no locks"
    """Connections do not lock the file, so that only one of them may work at a time."""

    @property
    def uri_option(self) -> str:
        # Not `nolock=1`: SQLite does not open with it what had a WAL on a file system with locks.
        return "&vfs=unix-none" if self is Journal.UNLOCKED else ""


def find_journal(path: Path) -> Journal:
    """The journal that the folder of `path` allows, found by trying; WAL where that cannot be tried."""
    folder = path.parent
    try:
        if not supports_locks(folder):
            return Journal.UNLOCKED
        return Journal.WAL if shared_type(folder) is None and supports_shared_memory(folder) else Journal.ROLLBACK
    except OSError:
        return Journal.WAL


def writable(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    """Create or migrate the file, and open it for writing. Raises StorageFailed, sqlite3.Error and OSError."""
    return writable_with_journal(path, migrations)[0]


def writable_with_journal(path: Path, migrations: Sequence[str]) -> tuple[sqlite3.Connection, Journal]:
    """As `writable`, with the journal, which readers need, too."""
    _create(path)
    journal = find_journal(path)
    if journal is not Journal.WAL:
        log.info("%s: the file system allows no WAL, so it has %s", path, journal.value)
    return _up_to_date(path, migrations, journal), journal


def _up_to_date(path: Path, migrations: Sequence[str], journal: Journal) -> sqlite3.Connection:
    if journal is not Journal.WAL:
        # A file from elsewhere may have a WAL. Without shared memory only an exclusive connection can read it.
        with closing(_connect(path, f"mode=rw{journal.uri_option}", "locking_mode=EXCLUSIVE")) as alone:
            alone.execute("PRAGMA journal_mode=DELETE")
    connection = _connect(path, f"mode=rw{journal.uri_option}")
    try:
        if journal is Journal.WAL:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
        connection.execute("BEGIN IMMEDIATE")  # against a second process; it also shows whether the file can be written
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
    """A reader of a file that another connection may write. Raises sqlite3.Error."""
    return _connect(path, f"mode=ro{journal.uri_option}", "query_only=1")


def exclusive_reader(path: Path) -> sqlite3.Connection:
    """A reader for a full disk or a read-only folder, where the WAL can have no shared memory. Raises sqlite3.Error.

    While it is open no other connection may write to the file.
    """
    if _has_wal(path):
        return _connect(path, "mode=rw", "locking_mode=EXCLUSIVE", "query_only=1")
    return _connect(path, "mode=ro&immutable=1")


def command_reader(path: Path) -> sqlite3.Connection:
    """A reader for commands, beside a gateway that may run or start. Raises sqlite3.Error.

    It changes nothing, and leaves no file behind where it can.
    """
    alone = find_journal(path).uri_option
    for mode in (f"mode=rw{alone}", f"mode=ro{alone}"):
        try:
            return _connect(path, mode, "query_only=1")
        except sqlite3.OperationalError:
            pass  # the error of the last way is raised
    return exclusive_reader(path)


def snapshot_reader(path: Path) -> sqlite3.Connection:
    """A reader of another program's database, which that program may have open. Raises sqlite3.Error."""
    return _connect(path, "mode=ro" if _has_wal(path) else "mode=ro&immutable=1")


def schema_version(connection: sqlite3.Connection, path: Path, known: int) -> int:
    """The number of migrations that the file has had.

    Raises StorageFailed if the file is another program's, NewerDatabase if it has had more than `known`.
    """
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


def data_version(connection: sqlite3.Connection) -> int:
    """A number that is another one after each commit of any other connection. Raises sqlite3.Error.

    With a WAL it is read from shared memory. It waits only while another process recovers a WAL, which is once after a
    process was killed in the middle of a commit.
    """
    [(number,)] = connection.execute("PRAGMA data_version").fetchall()
    return int(number)


def explain(error: BaseException) -> str:
    """The text of an error of SQLite or the system, with a remedy where there is one."""
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
"""Remedies by primary code, or by extended code where that says more."""


def _connect(path: Path, mode: str, *pragmas: str) -> sqlite3.Connection:
    """A connection in autocommit mode, for one thread at a time. Its `casefold(text)` is Python's."""
    connection = sqlite3.connect(
        address(path, mode),
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_MS / 1000,
    )
    try:
        # `locking_mode` must come before the first access to the file, which `synchronous` is.
        for pragma in (*pragmas, "synchronous=EXTRA", "foreign_keys=1", "trusted_schema=0"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # the first access raises what is wrong
        connection.create_function("casefold", 1, lambda text: text and text.casefold(), deterministic=True)
    except BaseException:
        connection.close()
        raise
    return connection


def address(path: Path, mode: str = "") -> str:
    """The URI of a file for SQLite (sqlite.org/uri.html)."""
    return f"file:{quote(str(path))}?{mode}"


def wal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _has_wal(path: Path) -> bool:
    wal = wal_of(path)
    return wal.exists() and wal.stat().st_size > 0


def _create(path: Path) -> None:
    """Create the file with mode 0600: SQLite would use the umask, for the files beside it as well.

    An existing file is not opened, because closing it would release SQLite's locks (fcntl(2)).
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    for folder in (path.parent, path.parent.parent):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Sync a folder: without it a crash can undo the creation of a file or a rename. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script. `executescript` would commit before it begins."""
    statement = ""
    for piece in script.split(";")[:-1]:
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
