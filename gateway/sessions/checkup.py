"""The check of the database for `doctor` and `sessions check`. It changes nothing."""

import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.sqlite import NewerDatabase, StorageFailed, command_reader, explain, schema_version, wal_of

MAX_DAMAGES = 10
"""Most damages that are listed."""
STEPS = 10_000
"""Instructions of SQLite's virtual machine between two looks at the clock."""


class Checkup(Struct, frozen=True):
    path: str
    size: int = 0
    """Bytes of the file."""
    wal: int = 0
    """Bytes of the WAL."""
    unused: int = 0
    """Bytes of the file that are free, because rows were deleted."""
    mode: int = 0o600
    form: int = 0
    """The number of migrations that the file has had."""
    sessions: int = 0
    messages: int = 0
    problem: str | None = None
    """Why it cannot be read, with a remedy."""
    newer: bool = False
    """Whether it cannot be read because a later version has migrated it."""
    ruined: bool = False
    """Whether it cannot be read because its header is no database's."""
    damages: tuple[str, ...] = ()
    complete: bool = True
    """False if the time limit ended the check."""


def look(path: Path, limit_s: float | None = None, *, deep: bool = False) -> Checkup | None:
    """Check the database; None if there is none. `deep`: also compare each index with its table."""
    found = Checkup(str(path))
    try:
        facts, wal = path.stat(), wal_of(path)
        found = replace(
            found,
            size=facts.st_size,
            wal=wal.stat().st_size if wal.exists() else 0,
            mode=stat.S_IMODE(facts.st_mode),
        )
        with closing(command_reader(path)) as connection:
            return _examine(connection, path, found, limit_s, deep)
    except FileNotFoundError:
        return None
    except StorageFailed as error:
        return replace(found, problem=str(error), newer=isinstance(error, NewerDatabase))
    except (sqlite3.Error, OSError) as error:
        ruined = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        return replace(found, problem=f"cannot read {path}: {explain(error)}", ruined=ruined)


def _examine(connection: sqlite3.Connection, path: Path, found: Checkup, limit_s: float | None, deep: bool) -> Checkup:
    found = replace(found, form=schema_version(connection, path, len(MIGRATIONS)))
    if limit_s is not None:
        over = time.monotonic() + limit_s
        connection.set_progress_handler(lambda: time.monotonic() > over, STEPS)
    try:
        check = "integrity_check" if deep else "quick_check"
        told = [text for (text,) in connection.execute(f"PRAGMA {check}({MAX_DAMAGES})")]
        if found.form:
            (sessions, messages) = connection.execute("SELECT count(*), total(messages) FROM sessions").fetchone()
            found = replace(found, sessions=sessions, messages=int(messages))
        (pages,) = connection.execute("PRAGMA freelist_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return replace(found, complete=False)
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CORRUPT:
            return replace(found, damages=(str(error),))
        raise
    return replace(found, damages=() if told == ["ok"] else tuple(told), unused=pages * size)
