import fcntl
import json
import os
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.sessions.openclaw import imports
from gateway.sessions.openclaw.entry import LEAD
from gateway.sessions.openclaw.imports import HERE, Brought, Import, ImportReport, Naming, Skipped
from gateway.sessions.records import text_of
from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.sqlite import StorageFailed, writable
from gateway.sessions.transcripts import add, delete, find_session, model_context, rows, touch
from tests.sessions.disks import PROJECT, on_a_small_disk
from tests.sessions.openclaw.state import (
    ANSWERED,
    LINES,
    SESSION,
    add_session,
    event,
    snapshot,
    write_files,
    write_tables,
)
from tests.sessions.talk import MAIN, NOW

ENTRY = {"sessionId": SESSION, "updatedAt": ANSWERED, "label": "Trip"}
OTHER = "agent:main:lunch"


NAMING = Naming("main", "per-sender")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_files(tmp_path / "openclaw", {MAIN: ENTRY}, {f"{SESSION}.jsonl": LINES})
    return tmp_path / "openclaw"


def database(tmp_path: Path) -> Path:
    return tmp_path / "here" / "a.sqlite"


def bring(source: Path, tmp_path: Path, *, dry_run: bool = False, naming: Naming = NAMING) -> ImportReport:
    return Import(source, database(tmp_path), naming, dry_run=dry_run).run()


def texts(tmp_path: Path, key: str = MAIN) -> list[str]:
    with closing(sqlite3.connect(database(tmp_path))) as db:
        return [text_of(row.message) for row in rows(key, 10_000, None, db)]


def counts(tmp_path: Path) -> tuple[int, int, int]:
    """Sessions, messages and answers that were paid for."""
    with closing(sqlite3.connect(database(tmp_path))) as db:
        queries = [f"SELECT count(*) FROM {table}" for table in ("sessions", "messages", "usage")]
        first, second, third = (db.execute(query).fetchone()[0] for query in queries)
        return first, second, third


def test_a_session_comes_along_with_all_that_was_said(source: Path, tmp_path: Path) -> None:
    report = bring(source, tmp_path)
    assert report == ImportReport(str(source), False, [Brought(MAIN, 2)])
    with closing(sqlite3.connect(database(tmp_path))) as db:
        session = find_session(MAIN, db)
        assert session is not None
        assert (session.id, session.agent, session.entry) == (SESSION, "main", {"label": "Trip"})
        assert (session.created, session.updated, session.messages) == (1795340414198, ANSWERED, 2)
        found = rows(MAIN, 10, None, db)
        assert [row.message for row in found] == [json.loads(line)["message"] for line in LINES[4:]]
        assert [(row.id, row.run) for row in found] == [("76839b89", None), ("5712f122", None)]
        assert db.execute("SELECT at, session, provider, model, input, output FROM usage").fetchall() == [
            (ANSWERED, MAIN, "mock", "m1", 10, 5)
        ]


def test_half_a_character_is_replaced_as_node_reads_it(tmp_path: Path) -> None:
    lines = [*LINES[:-1], LINES[-1].replace("Hello!", r"\ud83d Hello!")]
    write_files(tmp_path / "openclaw", {MAIN: ENTRY}, {f"{SESSION}.jsonl": lines})
    with closing(write_tables(tmp_path / "openclaw", "ops")) as openclaw:
        add_session(openclaw, "agent:ops:main", "another-one", lines, None)
    assert not bring(tmp_path / "openclaw", tmp_path).left_out
    assert [texts(tmp_path, key)[-1][:8] for key in (MAIN, "agent:ops:main")] == ["\ufffd Hello!"] * 2


def test_doing_it_again_changes_nothing(source: Path, tmp_path: Path) -> None:
    bring(source, tmp_path)
    with closing(sqlite3.connect(database(tmp_path))) as db, db:
        db.execute("UPDATE sessions SET entry = '{}'")
    report = bring(source, tmp_path)
    assert report.sessions == []
    assert report.skipped == [Skipped("main", MAIN, HERE)]
    assert counts(tmp_path) == (1, 2, 1)


def test_nothing_of_openclaws_is_changed(source: Path, tmp_path: Path) -> None:
    before = snapshot(source)
    bring(source, tmp_path)
    assert snapshot(source) == before


def test_a_dry_run_says_the_same_and_does_nothing(source: Path, tmp_path: Path) -> None:
    report = bring(source, tmp_path, dry_run=True)
    assert report == ImportReport(str(source), True, [Brought(MAIN, 2)])
    assert not database(tmp_path).parent.exists()
    bring(source, tmp_path)
    assert bring(source, tmp_path, dry_run=True).skipped == [Skipped("main", MAIN, HERE)]


def test_a_deleted_session_comes_again_and_is_paid_for_once(source: Path, tmp_path: Path) -> None:
    for transcript in (True, False):
        bring(source, tmp_path)
        with closing(sqlite3.connect(database(tmp_path))) as db, db:
            delete(MAIN, transcript, db)
    assert bring(source, tmp_path).sessions == [Brought(MAIN, 2)]
    assert counts(tmp_path) == (1, 2, 1)


def test_both_forms_come_along_the_newer_first(tmp_path: Path) -> None:
    state = tmp_path / "openclaw"
    write_files(state, {MAIN: ENTRY, OTHER: {"sessionId": "older-one"}}, {f"{SESSION}.jsonl": LINES})
    with closing(write_tables(state)) as openclaw:
        add_session(openclaw, MAIN, "newer-one", [event("a", None, "newer")], [0])
    report = bring(state, tmp_path)
    assert report.sessions == [Brought(MAIN, 1), Brought(OTHER, 0)]
    assert report.skipped == [Skipped("main", MAIN, HERE)]
    assert texts(tmp_path) == ["newer"]


def test_keys_become_ours(tmp_path: Path) -> None:
    keys = {
        "main": {"sessionId": "session-1"},
        "Telegram:Group:7": {"sessionId": "session-2"},
        "agent:other:x": {"sessionId": "session-3"},
        "global": {"sessionId": "session-4"},
        "agent:../x:y": {"sessionId": "session-5"},
    }
    write_files(tmp_path / "openclaw", keys, {}, agent="work")
    report = bring(tmp_path / "openclaw", tmp_path, naming=Naming("home", "per-sender"))
    assert [brought.key for brought in report.sessions] == [
        "agent:work:home",
        "agent:work:telegram:group:7",
        "agent:other:x",
        "global",
    ]
    why = "a session key has the form agent:<agent id>:<rest>"
    assert report.skipped == [Skipped("work", "agent:../x:y", why)]
    with closing(sqlite3.connect(database(tmp_path))) as db:
        agents = db.execute("SELECT agent FROM sessions ORDER BY key").fetchall()
    assert agents == [("other",), ("work",), ("work",), ("work",)]


def test_what_cannot_be_read_is_told_and_the_rest_comes(source: Path, tmp_path: Path) -> None:
    write_files(source, {MAIN: {}}, {}, agent="broken")
    write_files(source, {}, {}, agent="torn")
    (source / "agents" / "torn" / "sessions" / "sessions.json").write_text("{")
    (source / "agents" / "No agent").mkdir()
    (source / "agents" / "notes.txt").write_text("mine")
    report = bring(source, tmp_path)
    assert report.sessions == [Brought(MAIN, 2)]
    assert [(skipped.agent, skipped.key) for skipped in report.skipped] == [
        ("No agent", None),
        ("broken", MAIN),
        ("torn", None),
    ]
    assert report.skipped[0].why == "its name is no agent's id"
    assert report.skipped[1].why == "its entry names no transcript"


def test_what_has_no_place_is_counted(tmp_path: Path) -> None:
    lines = [
        *(event("a", None, "before"), '{"type":"reset","id":"r","parentId":"a"}', event("b", "r", "one")),
        *('{"type":"message","id":"c","parentId":"b","message":{"role":"custom","content":""}}', "half", "{}"),
        event("d", "c", "two"),
    ]
    files = {f"{SESSION}.jsonl": lines, "old.jsonl": LINES}
    write_files(tmp_path / "openclaw", {MAIN: ENTRY, OTHER: {**ENTRY, "sessionId": "x"}}, files)
    report = bring(tmp_path / "openclaw", tmp_path)
    assert report.left_out == {
        "lines that cannot be read": 1,
        "messages before a reset": 1,
        "messages of custom": 1,
        "labels that another session has": 1,
    }
    assert report.orphans == 1
    assert texts(tmp_path) == ["one", "two"]


def test_a_model_is_asked_with_the_summary_in_place_of_what_is_before(tmp_path: Path) -> None:
    compaction = {"type": "compaction", "id": "s", "parentId": "b", "firstKeptEntryId": "b", "summary": "They met."}
    lines = [event("a", None, "one"), event("b", "a", "two"), json.dumps(compaction), event("c", "s", "three")]
    write_files(tmp_path / "openclaw", {MAIN: ENTRY}, {f"{SESSION}.jsonl": lines})
    bring(tmp_path / "openclaw", tmp_path)
    assert texts(tmp_path) == ["one", f"{LEAD}They met.", "two", "three"]
    with closing(sqlite3.connect(database(tmp_path))) as db:
        asked = [text_of(message) for message in model_context(MAIN, "r", 2**30, db).messages]
    assert asked == [f"{LEAD}They met.", "two", "three"]


def test_costs_that_are_nonsense_cost_nothing(tmp_path: Path) -> None:
    used: list[Any] = ["x", 7, {"input": "many"}, {"cost": 7}, {"cost": {"total": "much"}}, {"input": 3}]
    lines = [
        json.dumps({"type": "message", "message": {"role": "assistant", "content": [], "usage": each}}) for each in used
    ]
    write_files(tmp_path / "openclaw", {MAIN: ENTRY}, {f"{SESSION}.jsonl": lines})
    assert bring(tmp_path / "openclaw", tmp_path).sessions == [Brought(MAIN, 6)]
    assert counts(tmp_path) == (1, 6, 1)


def test_an_id_that_is_taken_or_none_becomes_another(source: Path, tmp_path: Path) -> None:
    write_files(source, {"agent:two:x": {"sessionId": SESSION}, "agent:two:y": {"sessionId": "short"}}, {}, "two")
    assert len(bring(source, tmp_path).sessions) == 3
    with closing(sqlite3.connect(database(tmp_path))) as db:
        ids = [id for (id,) in db.execute("SELECT id FROM sessions ORDER BY key")]
    assert ids[0] == SESSION and len(set(ids)) == 3 and all(len(id) == 36 for id in ids)


def test_a_session_that_begins_here_meanwhile_stays(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def too_late(session: Any, db: sqlite3.Connection) -> bool:
        touch(MAIN, "main", NOW, db)
        return add(session, db)

    monkeypatch.setattr(imports, "add", too_late)
    assert bring(source, tmp_path).skipped == [Skipped("main", MAIN, HERE)]
    assert counts(tmp_path) == (1, 0, 0)


def test_a_folder_that_is_not_openclaws_says_so(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="is no state folder of OpenClaw's: it has no agents"):
        bring(tmp_path, tmp_path)


def test_two_imports_at_once_are_one_too_many(source: Path, tmp_path: Path) -> None:
    writable(database(tmp_path), MIGRATIONS).close()
    fd = os.open(database(tmp_path).parent, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(GatewayError, match="another import is going on"):
        bring(source, tmp_path)
    os.close(fd)
    bring(source, tmp_path)


def large(source: Path, messages: int) -> None:
    lines = [event(f"{number:08x}", f"{number - 1:08x}" if number else None, "x" * 2000) for number in range(messages)]
    write_files(source, {MAIN: ENTRY}, {f"{SESSION}.jsonl": lines})


@pytest.mark.serial
def test_nobody_waits_for_long_while_a_large_session_comes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is there whole or not at all, and a writer gets its turn all the time."""
    large(source, 2000)
    monkeypatch.setattr(imports, "PIECE", 100_000)
    with closing(writable(database(tmp_path), MIGRATIONS)) as db:
        seen, turns, over = set(), 0, threading.Event()
        thread = threading.Thread(target=lambda: (bring(source, tmp_path), over.set()))
        thread.start()
        while not over.is_set():
            session = find_session(MAIN, db)
            seen.add(0 if session is None else session.messages)
            assert len(rows(MAIN, 10_000, None, db)) in (0, 2000)
            touch(OTHER, "main", NOW + turns, db)
            turns += 1
            time.sleep(0.005)  # as somebody who now and then has something to write
        thread.join()
        assert seen <= {0, 2000} and turns > 20
        assert len(rows(MAIN, 10_000, None, db)) == 2000


IMPORTS = """
import sys
from pathlib import Path
from gateway.sessions.openclaw import imports
imports.PIECE = 10_000
naming = imports.Naming("main", "per-sender")
imports.Import(Path(sys.argv[1]), Path(sys.argv[2]), naming).run(lambda key: print(key, flush=True))
"""


@pytest.mark.process
def test_an_import_that_is_killed_leaves_nothing_that_shows_and_is_done_again(source: Path, tmp_path: Path) -> None:
    large(source, 2000)
    command = [sys.executable, "-c", IMPORTS, source, database(tmp_path)]
    with Popen(command, cwd=PROJECT, stdout=PIPE) as child:
        assert child.stdout is not None and child.stdout.readline()
        while counts(tmp_path)[1] < 50:
            assert child.poll() is None
        child.kill()
    sessions, left, _ = counts(tmp_path)
    assert sessions == 0 and 50 <= left < 2000
    assert bring(source, tmp_path).sessions == [Brought(MAIN, 2000)]
    assert counts(tmp_path) == (1, 2000, 0)


def without_room(folder: Path) -> None:
    large(folder.parent / "openclaw", 1000)
    try:
        bring(folder.parent / "openclaw", folder)
    except StorageFailed as error:
        assert str(error).startswith(f"cannot import into {database(folder)}: database or disk is full; make room")
    else:
        raise AssertionError("there was room")
    assert counts(folder)[0] == 0


@pytest.mark.process
def test_a_full_disk_says_so(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    on_a_small_disk(without_room, tmp_path / "small")


def test_each_session_is_told_before_it_is_read(source: Path, tmp_path: Path) -> None:
    told: list[str] = []
    Import(source, database(tmp_path), NAMING).run(told.append)
    assert told == [MAIN]
