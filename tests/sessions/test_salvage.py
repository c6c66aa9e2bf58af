import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.link.messages import Usage
from gateway.sessions import salvage, transactions
from gateway.sessions.checkup import look
from gateway.sessions.records import Progress, RunRequest
from gateway.sessions.salvage import FOUND, recover
from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.sqlite import StorageFailed, writable
from gateway.sessions.transcripts import append, find_session, rows, touch
from tests.sessions.talk import MAIN, NOW, assistant, user

PAGE = 4096
MESSAGES = 400


def make(folder: Path) -> Path:
    path = folder / "a.sqlite"
    with closing(writable(path, MIGRATIONS)) as db:
        db.execute("BEGIN")
        touch(MAIN, "main", NOW, db)
        for number in range(MESSAGES):
            append(MAIN, user(f"{number} " + "x" * (20_000 if number == 200 else 500)), NOW + number, db)
        for number in range(20):
            id = f"r{number}"
            transactions.accept(id, MAIN, "main", RunRequest(user("?"), keeps=False), NOW, None, db)
            transactions.begin(id, NOW, db)
            transactions.end(Progress(id, 1, "", {1: assistant("!")}), None, "done", NOW, None, None, Usage(), db)
        db.execute("COMMIT")
    return path


def pages(path: Path, table: str, kind: str) -> list[int]:
    """The `leaf`, `internal` or `overflow` pages of a table."""
    with closing(sqlite3.connect(path)) as db:
        try:
            query = "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ? ORDER BY pageno"
            return [page for (page,) in db.execute(query, (table, kind))]
        except sqlite3.OperationalError as error:
            pytest.skip(f"this SQLite tells nothing of its pages: {error}")


def damage(path: Path, *numbers: int) -> None:
    with path.open("r+b") as file:
        for number in numbers:
            file.seek((number - 1) * PAGE)
            file.write(b"\xff" * PAGE)


def there(path: Path) -> list[int]:
    """The numbers of the messages, in order."""
    with closing(sqlite3.connect(path)) as db:
        return [int(row.message["content"][0]["text"].split()[0]) for row in rows(MAIN, 10_000, None, db)]


def test_a_good_database_is_whole_afterwards(tmp_path: Path) -> None:
    path = make(tmp_path)
    done = recover(path, NOW)
    assert done.rows == {"sessions": 1, "messages": MESSAGES, "runs": 20, "requests": 20, "usage": 20}
    assert done.found == 0
    assert there(path) == list(range(MESSAGES))
    assert sorted(os.listdir(tmp_path)) == ["a.sqlite", Path(done.aside).name]
    with closing(writable(path, MIGRATIONS)) as db:
        (run, fresh) = transactions.accept("r7", MAIN, "main", RunRequest(user("?")), NOW, None, db)
        assert (run.state, run.answer, fresh) == ("done", "!", False)
        row = append(MAIN, user("400 goes on"), NOW, db)
        assert row is not None and row.position == MESSAGES + 1


@pytest.mark.parametrize(
    ("kind", "which", "least"),
    [
        ("leaf", lambda found: found[5:8], MESSAGES - 30),
        ("leaf", lambda found: found[:1], MESSAGES - 10),
        ("leaf", lambda found: found[-1:], MESSAGES - 10),
        ("leaf", lambda found: found[::5], MESSAGES // 2),
        ("overflow", lambda found: found[2:3], MESSAGES - 1),
    ],
)
def test_what_lies_on_damaged_pages_is_lost_and_nothing_else(
    tmp_path: Path, kind: str, which: Callable[[list[int]], list[int]], least: int
) -> None:
    path = make(tmp_path)
    damage(path, *which(pages(path, "messages", kind)))
    found = look(path)
    assert found is not None and found.damages
    done = recover(path, NOW)
    numbers = there(path)
    assert len(numbers) == done.rows["messages"] and least <= len(numbers) < MESSAGES
    assert numbers == sorted(set(numbers))
    after = look(path, deep=True)
    assert after is not None and (after.damages, after.messages) == ((), len(numbers))
    assert done.rows["usage"] == 20


def test_messages_whose_session_is_lost_get_one(tmp_path: Path) -> None:
    path = make(tmp_path)
    damage(path, *pages(path, "sessions", "leaf"))
    done = recover(path, NOW)
    assert (done.rows["sessions"], done.rows["messages"], done.found) == (0, MESSAGES, 1)
    with closing(sqlite3.connect(path)) as db:
        (key,) = db.execute("SELECT key FROM sessions").fetchone()
        session = find_session(key, db)
        assert session is not None
        assert key == f"{FOUND}{session.id}"
        assert (session.agent, session.messages, session.created, session.updated) == (
            *("main", MESSAGES),
            *(NOW, NOW + MESSAGES - 1),
        )


def test_a_run_without_its_request_is_none(tmp_path: Path) -> None:
    path = make(tmp_path)
    damage(path, *pages(path, "requests", "leaf"))
    assert recover(path, NOW).rows["requests"] == 0
    with closing(writable(path, MIGRATIONS)) as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (0,)
        assert transactions.accept("r7", MAIN, "main", RunRequest(user("?")), NOW, None, db)[1]


def test_a_file_of_an_older_form_stays_one_until_the_gateway_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, newer = make(tmp_path), (*MIGRATIONS, "ALTER TABLE messages ADD COLUMN later TEXT NOT NULL DEFAULT 'x';")
    monkeypatch.setattr(salvage, "MIGRATIONS", newer)
    assert recover(path, NOW).rows["messages"] == MESSAGES
    with closing(writable(path, newer)) as db:
        assert db.execute("SELECT count(*) FROM messages WHERE later = 'x'").fetchone() == (MESSAGES,)


def test_a_file_that_lacks_what_its_form_has_is_left_alone(tmp_path: Path) -> None:
    path = make(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE messages DROP COLUMN tool")
    with pytest.raises(StorageFailed, match="no such column: tool"):
        recover(path, NOW)
    assert os.listdir(tmp_path) == ["a.sqlite"]


def test_the_damaged_file_is_kept(tmp_path: Path) -> None:
    path = make(tmp_path)
    damage(path, pages(path, "messages", "leaf")[3])
    before = path.read_bytes()
    assert Path(recover(path, NOW).aside).read_bytes() == before


def test_what_cannot_be_opened_at_all_stays_where_it_is(tmp_path: Path) -> None:
    path = make(tmp_path)
    damage(path, 1)
    before = path.read_bytes()
    with pytest.raises(StorageFailed, match=rf"cannot recover {path}: file is not a database"):
        recover(path, NOW)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.sqlite"]


def test_an_attempt_that_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    path = make(tmp_path)
    writable(tmp_path / "a.sqlite.recovering", ("CREATE TABLE half (x);",)).close()
    assert recover(path, NOW).rows["messages"] == MESSAGES
