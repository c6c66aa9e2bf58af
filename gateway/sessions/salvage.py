"""Take what can still be read of a damaged database, row by row, into a new one that takes its place.

The sqlite3 shell's `.recover` could do it, but is not everywhere, and in Debian 12 it fails on every file.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct

from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.sqlite import (
    StorageFailed,
    command_reader,
    explain,
    schema_version,
    sync_folder,
    wal_of,
    writable,
)

TABLES = ("sessions", "messages", "runs", "requests", "usage")
FOUND = "agent:main:recovered:"
"""How the key of a session begins whose row is lost, and whose messages are there."""


class Salvage(Struct, frozen=True):
    rows: dict[str, int]
    """Those that were read, by table."""
    aside: str
    """Where the damaged file lies now."""
    found: int = 0
    """Sessions that were made anew for messages whose session is lost."""


def recover(path: Path, now: int) -> Salvage:
    """Put a new database in place of a damaged one, which is kept beside it. Nobody else may have it open.

    Raises StorageFailed.
    """
    fresh = path.with_name(f"{path.name}.recovering")
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now / 1000))}")
    try:
        fresh.unlink(missing_ok=True)
        with closing(command_reader(path)) as damaged:
            same = MIGRATIONS[: schema_version(damaged, path, len(MIGRATIONS))]  # the gateway brings it up to date
            with closing(writable(fresh, same)) as new:
                rows, found = _copy(damaged, new)
        for old, name in ((path, aside), (wal_of(path), wal_of(aside))):
            if old.exists():
                old.rename(name)
        path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
        fresh.rename(path)
        sync_folder(path.parent)
    except (sqlite3.Error, OSError) as error:
        raise StorageFailed(f"cannot recover {path}: {explain(error)}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return Salvage(rows, str(aside), found)


def _copy(damaged: sqlite3.Connection, new: sqlite3.Connection) -> tuple[dict[str, int], int]:
    new.execute("PRAGMA foreign_keys=0")
    new.execute("BEGIN")
    counts = dict.fromkeys(TABLES, 0)
    for table in TABLES:
        names = [name for _, name, *_ in new.execute(f"PRAGMA table_info({table})")]
        insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        for row in _rows(damaged, table, names):
            try:
                new.execute(insert, row)
            except sqlite3.IntegrityError:
                continue  # nonsense from a damaged page
            counts[table] += 1
    new.execute("DELETE FROM requests WHERE number NOT IN (SELECT number FROM runs)")
    new.execute("DELETE FROM runs WHERE number NOT IN (SELECT number FROM requests)")
    found = new.execute(
        "INSERT INTO sessions (key, id, agent, created, updated)"
        " SELECT ? || session, session, 'main', min(at), max(at) FROM messages"
        " WHERE session NOT IN (SELECT id FROM sessions) GROUP BY session",
        (FOUND,),
    ).rowcount
    new.execute("UPDATE sessions SET messages = (SELECT count(*) FROM messages WHERE session = sessions.id)")
    new.execute("COMMIT")
    return counts, found


def _rows(damaged: sqlite3.Connection, table: str, names: list[str]) -> Iterator[tuple[Any, ...]]:
    """All that can be read, in order; one by one, because a cursor that fails at a row has read the one before it."""
    query = f"SELECT rowid, {', '.join(names)} FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 1"
    last: int | None = 0
    while last is not None:
        try:
            row = damaged.execute(query, (last,)).fetchone()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                raise  # not of the file: of what was asked
            last = _beyond(damaged, table, last)
            continue
        if row is None:
            return
        last = row[0]
        yield row[1:]


def _beyond(damaged: sqlite3.Connection, table: str, last: int) -> int | None:
    """The number after which rows can be read again; None if there are none. Where the page of the next row is good,
    it is that row alone that cannot be read."""
    probe = f"SELECT rowid FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 1"

    def readable(number: int) -> bool:
        try:
            damaged.execute(probe, (number,)).fetchone()
        except sqlite3.DatabaseError:
            return False
        return True

    if readable(last):
        following = damaged.execute(probe, (last,)).fetchone()
        return None if following is None else int(following[0])
    low, step = last, 1
    while not readable(high := last + step):
        low, step = high, step * 2
        if step > 2**62:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if readable(middle) else (middle, high)
    return high
