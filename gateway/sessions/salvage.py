"""Copy what can be read of a damaged database, row by row, into a new one that replaces it.

`.recover` of the sqlite3 shell does the same, but the shell is not always installed, and in Debian 12 it fails on every
file.
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
"""Prefix of the key of a session whose row is lost and whose messages are not."""


class Salvage(Struct, frozen=True):
    rows: dict[str, int]
    """Rows that were copied, by table."""
    aside: str
    """Path of the damaged file."""
    found: int = 0
    """Sessions that were created for messages whose session is lost."""


def recover(path: Path, now: int) -> Salvage:
    """Replace a damaged database by a new one, and keep the damaged file beside it. Raises StorageFailed.

    No other process may have it open. `now`: milliseconds since 1970.
    """
    fresh = path.with_name(f"{path.name}.recovering")
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now / 1000))}")
    try:
        fresh.unlink(missing_ok=True)
        with closing(command_reader(path)) as damaged:
            same = MIGRATIONS[: schema_version(damaged, path, len(MIGRATIONS))]  # the gateway migrates it
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
                continue  # an invalid row of a damaged page
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
    """All rows that can be read, in order. Each has its own query: a cursor that fails loses the row before."""
    query = f"SELECT rowid, {', '.join(names)} FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 1"
    last: int | None = 0
    while last is not None:
        try:
            row = damaged.execute(query, (last,)).fetchone()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                raise  # the query is wrong, not the file
            last = _after_damage(damaged, table, last)
            continue
        if row is None:
            return
        last = row[0]
        yield row[1:]


def _after_damage(damaged: sqlite3.Connection, table: str, last: int) -> int | None:
    """The rowid after which rows can be read again; None if there are none. If the page of the next row is good, only
    that row is skipped."""
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
