import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.sqlite import writable


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = writable(tmp_path / "a.sqlite", MIGRATIONS)
    yield connection
    connection.close()


def test_every_table_holds_to_its_types(db: sqlite3.Connection) -> None:
    tables = {name: strict for _, name, kind, _, _, strict in db.execute("PRAGMA table_list") if kind == "table"}
    ours = {name for name in tables if not name.startswith("sqlite_")}
    assert ours == {"sessions", "messages", "runs", "requests", "usage"}
    assert all(tables[name] for name in ours)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize(
    ("query", "plan"),
    [
        ("SELECT * FROM sessions WHERE key = 'k'", "SEARCH sessions USING INDEX sqlite_autoindex_sessions_1 (key=?)"),
        ("SELECT * FROM sessions WHERE id = 'i'", "SEARCH sessions USING INDEX sessions_by_id (id=?)"),
        ("SELECT * FROM sessions ORDER BY updated DESC LIMIT 9", "SCAN sessions USING INDEX sessions_by_time"),
        (
            "SELECT body FROM messages WHERE session = 'i' AND position < 9 ORDER BY position DESC",
            "SEARCH messages USING INDEX messages_by_session (session=? AND position<?)",
        ),
        (
            "SELECT count(*) FROM messages WHERE at >= 1 AND at < 2",
            "SEARCH messages USING COVERING INDEX messages_by_time (at>? AND at<?)",
        ),
        ("SELECT * FROM runs WHERE id = 'r'", "SEARCH runs USING INDEX sqlite_autoindex_runs_1 (id=?)"),
        (
            "SELECT count(*) FROM runs WHERE state IN ('queued', 'running') AND session = 'k'",
            "SEARCH runs USING INDEX runs_unfinished (session=?)",
        ),
        ("DELETE FROM runs WHERE ended < 1", "SEARCH runs USING COVERING INDEX runs_by_end (ended<?)"),
        ("SELECT * FROM usage WHERE at >= 1 AND at < 2", "SEARCH usage USING INDEX usage_by_time (at>? AND at<?)"),
    ],
)
def test_what_is_asked_often_is_found_by_an_index(db: sqlite3.Connection, query: str, plan: str) -> None:
    assert [detail for *_, detail in db.execute(f"EXPLAIN QUERY PLAN {query}")][0] == plan
