"""A copy of the database in one file: a snapshot, taken while the database is used."""

import os
import secrets
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.sessions.sqlite import StorageFailed, address, command_reader, explain, find_journal, sync_folder


def copy(database: Path, target: Path) -> int:
    """Write `target` with mode 0600 and sync it. Returns its size in bytes.

    The file appears complete or not at all, and replaces nothing. Raises StorageFailed.
    """
    part = target.with_name(f"{target.name}.{secrets.token_hex(8)}.part")
    try:
        with closing(command_reader(database)) as connection:
            _check_room(connection, target)
            os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            connection.execute("PRAGMA query_only=0")  # it would forbid to write the copy, too
            connection.execute("VACUUM INTO ?", (address(part, find_journal(part).uri_option.removeprefix("&")),))
        _sync(part)
        _check_absent(target)
        part.rename(target)
        sync_folder(target.parent)
    except (sqlite3.Error, OSError) as error:
        raise StorageFailed(f"cannot copy {database} to {target}: {explain(error)}") from error
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def _check_absent(target: Path) -> None:
    if target.exists():
        raise StorageFailed(f"{target} is there already; name another file, or move it away")


def _check_room(connection: sqlite3.Connection, target: Path) -> None:
    """Raises StorageFailed if the target exists or the disk has no room, before minutes are spent."""
    _check_absent(target)
    counts = (connection.execute(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size"))
    pages, unused, size = (int(row.fetchone()[0]) for row in counts)
    needed, free = (pages - unused) * size, shutil.disk_usage(target.parent).free
    if free < needed:
        raise StorageFailed(
            f"{target.parent} has {free / 1e6:.1f} MB free and the copy takes {needed / 1e6:.1f} MB; "
            "make room, or name a file elsewhere"
        )


def _sync(path: Path) -> None:
    """Sync a file: VACUUM INTO does not."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
