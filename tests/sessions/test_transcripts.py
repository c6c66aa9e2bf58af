import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.link.spec import Message
from gateway.sessions import transcripts
from gateway.sessions.records import HEAD, SUMMARY
from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.sqlite import writable
from gateway.sessions.transcripts import LEFT_OUT, LabelTaken, SessionChanged, encode
from tests.sessions.talk import MAIN, NOW, assistant, tool_result, user

ALL = 2**40


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = writable(tmp_path / "a.sqlite", MIGRATIONS)
    transcripts.touch(MAIN, "main", NOW, connection)
    yield connection
    connection.close()


def append(db: sqlite3.Connection, *texts: str) -> None:
    for text in texts:
        assert transcripts.append(MAIN, user(text), NOW, db) is not None


def test_a_history_has_the_newest_messages_that_fit_oldest_first(db: sqlite3.Connection) -> None:
    append(db, "one", "zwölf", "three")
    newest = [user("zwölf"), user("three")]
    size = sum(len(encode(message)) for message in newest)
    assert transcripts.model_context(MAIN, "r", size, db).messages == newest
    assert transcripts.model_context(MAIN, "r", size - 1, db).messages == newest[1:]
    assert transcripts.model_context(MAIN, "r", ALL, db).messages == [user("one"), *newest]
    assert transcripts.model_context("agent:main:none", "r", ALL, db).messages == []


def test_a_history_leaves_out_one_run_and_no_other(db: sqlite3.Connection) -> None:
    session = transcripts.find_session(MAIN, db)
    assert session is not None
    append(db, "one")
    for run in ("r1", "r2"):
        transcripts.add_message(session.id, user(run), run, NOW, db)
    assert transcripts.model_context(MAIN, "r2", ALL, db).messages == [user("one"), user("r1")]


def test_a_history_does_not_begin_with_the_result_of_a_call_that_is_cut_off(db: sqlite3.Connection) -> None:
    said = [user("?"), assistant(""), tool_result("clock", "12"), tool_result("dice", "6"), assistant("Noon.")]
    for message in said:
        transcripts.append(MAIN, message, NOW, db)
    size = sum(len(encode(message)) for message in said)
    assert transcripts.model_context(MAIN, "r", size - 1, db).messages == said[1:]
    assert transcripts.model_context(MAIN, "r", size - len(encode(said[0])) - 1, db).messages == said[4:]


def test_a_history_begins_with_a_summary_of_what_is_before(db: sqlite3.Connection) -> None:
    said = [user("one"), {**user("They met."), SUMMARY: True}, user("two")]
    for message in said:
        transcripts.append(MAIN, message, NOW, db)
    assert transcripts.model_context(MAIN, "r", ALL, db).messages == said[1:]
    assert len(transcripts.rows(MAIN, 10, None, db)) == 3


def test_rows_go_back_page_by_page(db: sqlite3.Connection) -> None:
    append(db, *"abcde")
    last = transcripts.rows(MAIN, 2, None, db)
    before = transcripts.rows(MAIN, 2, last[0].position, db)
    first = transcripts.rows(MAIN, 2, before[0].position, db)
    assert [row.message for page in (first, before, last) for row in page] == [user(text) for text in "abcde"]
    assert all(len(row.id) == 8 and int(row.id, 16) >= 0 and row.run is None for row in last)


def test_a_message_is_kept_as_it_is(db: sqlite3.Connection) -> None:
    message = {"role": "user", "content": "\x00 \U0001f600", "timestamp": 1.5, "deep": [{"a": None}]}
    transcripts.append(MAIN, message, NOW, db)
    assert transcripts.rows(MAIN, 1, None, db)[0].message == message


@pytest.mark.parametrize(("length", "kept"), [(HEAD, HEAD), (HEAD + 1, HEAD)])
def test_its_beginning_is_kept_beside_it(db: sqlite3.Connection, length: int, kept: int) -> None:
    append(db, " " + "ü" * length)
    assert db.execute("SELECT head FROM messages").fetchone() == ("ü" * kept,)


def test_nothing_is_said_in_a_transcript_that_is_gone(db: sqlite3.Connection) -> None:
    session = transcripts.find_session(MAIN, db)
    assert session is not None
    transcripts.reset(MAIN, "main", NOW, db)
    assert transcripts.add_message(session.id, user("late"), "r", NOW, db) is None
    assert transcripts.append("agent:main:none", user("?"), NOW, db) is None
    assert db.execute("SELECT count(*) FROM messages").fetchone() == (0,)


def test_a_session_that_begins_anew_keeps_key_and_settings(db: sqlite3.Connection) -> None:
    transcripts.patch(MAIN, "main", lambda _: {"label": "x"}, NOW, None, db)
    append(db, "one")
    db.execute("UPDATE sessions SET aborted = 1, input = 5, output = 6, total = 7, provider = 'p', model = 'm'")
    before = transcripts.find_session(MAIN, db)
    assert before is not None
    after = transcripts.reset(MAIN, "main", NOW + 5, db)
    assert after.id != before.id
    assert (after.entry, after.created, after.updated) == ({"label": "x"}, NOW, NOW + 5)
    assert (after.aborted, after.input, after.output, after.total, after.messages) == (False, 0, 0, 0, 0)
    assert transcripts.rows(MAIN, 10, None, db) == []
    assert transcripts.reset("agent:work:new", "work", NOW, db).agent == "work"


def test_a_patch_that_raises_leaves_everything_as_it_is(db: sqlite3.Connection) -> None:
    before = transcripts.patch(MAIN, "main", lambda _: {"label": "x"}, NOW, None, db)

    def refuse(entry: dict[str, object]) -> dict[str, object]:
        entry["label"] = "y"
        raise ValueError("label in use")

    with pytest.raises(ValueError, match="label in use"):
        transcripts.patch(MAIN, "main", refuse, NOW, None, db)
    assert transcripts.find_session(MAIN, db) == before


def test_a_label_is_one_sessions_alone_within_its_agent(db: sqlite3.Connection) -> None:
    transcripts.patch(MAIN, "main", lambda _: {"label": "x"}, NOW, None, db)
    transcripts.patch(MAIN, "main", lambda _: {"label": "x"}, NOW, None, db)
    transcripts.patch("agent:work:a", "work", lambda _: {"label": "x"}, NOW, None, db)
    with pytest.raises(LabelTaken):
        transcripts.patch("agent:main:a", "main", lambda _: {"label": "x"}, NOW, None, db)


def test_a_patch_can_be_for_one_transcript_only(db: sqlite3.Connection) -> None:
    session = transcripts.reset(MAIN, "main", NOW, db)
    assert transcripts.patch(MAIN, "main", lambda _: {"label": "x"}, NOW, session.id, db).entry == {"label": "x"}
    transcripts.reset(MAIN, "main", NOW, db)
    for key in (MAIN, "agent:main:none"):
        with pytest.raises(SessionChanged):
            transcripts.patch(key, "main", lambda _: {}, NOW, session.id, db)
    assert transcripts.find_session("agent:main:none", db) is None


def test_the_time_of_a_session_only_rises(db: sqlite3.Connection) -> None:
    session = transcripts.touch(MAIN, "main", NOW - 5, db)
    assert session.updated == NOW
    transcripts.append(MAIN, user("?"), NOW - 5, db)
    session = transcripts.touch(MAIN, "main", NOW - 5, db)
    assert (session.created, session.updated) == (NOW, NOW)
    assert transcripts.touch(MAIN, "main", NOW + 5, db).updated == NOW + 5


def test_a_deleted_session_takes_its_transcript_along_unless_it_is_to_stay(db: sqlite3.Connection) -> None:
    append(db, "one")
    deleted = transcripts.delete(MAIN, False, db)
    assert deleted is not None and deleted.messages == 1
    assert db.execute("SELECT count(*) FROM messages WHERE session = ?", (deleted.id,)).fetchone() == (1,)
    transcripts.touch(MAIN, "main", NOW, db)
    append(db, "two")
    transcripts.delete(MAIN, True, db)
    assert transcripts.find_session(MAIN, db) is None
    assert db.execute("SELECT count(*) FROM messages").fetchone() == (1,)
    assert transcripts.delete(MAIN, True, db) is None


@pytest.mark.parametrize(("keep", "left"), [(2, "de"), (5, "abcde"), (9, "abcde"), (0, "")])
def test_compacting_forgets_all_but_the_last(db: sqlite3.Connection, keep: int, left: str) -> None:
    append(db, *"abcde")
    transcripts.touch("agent:main:other", "main", NOW, db)
    transcripts.append("agent:main:other", user("mine"), NOW, db)
    assert transcripts.compact(MAIN, keep, db) == 5 - len(left)
    assert [row.message for row in transcripts.rows(MAIN, 10, None, db)] == [user(text) for text in left]
    session = transcripts.find_session(MAIN, db)
    assert session is not None and session.messages == len(left)
    assert len(transcripts.rows("agent:main:other", 10, None, db)) == 1
    assert transcripts.compact("agent:main:none", keep, db) is None


def entry(summary: str, first_kept: str | None) -> Message:
    return {
        "role": "compaction",
        "summary": summary,
        "firstKeptEntryId": first_kept,
        "tokensAfter": 7,
        "timestamp": NOW,
    }


def test_a_history_is_the_last_summary_and_what_it_does_not_stand_for(db: sqlite3.Connection) -> None:
    append(db, "one", "two", "three")
    ids = [row.id for row in transcripts.rows(MAIN, 10, None, db)]
    for summary, first_kept in (("They met.", ids[1]), ("They met again.", ids[2])):
        transcripts.append(MAIN, entry(summary, first_kept), NOW, db)
    append(db, "four")
    past = transcripts.model_context(MAIN, "r", ALL, db)
    assert past.messages == [entry("They met again.", ids[2]), user("three"), user("four")]
    assert past.ids[1] == ids[2] and len(past.ids) == 3
    session = transcripts.find_session(MAIN, db)
    assert session is not None and (session.compactions, session.total, session.messages) == (2, 7, 6)
    assert len(transcripts.rows(MAIN, 10, None, db)) == 6, "everything is there"
    # The bytes that a run gets leave out what is older, and never the summary.
    assert transcripts.model_context(MAIN, "r", 1, db).messages == [entry("They met again.", ids[2])]


def test_a_summary_of_everything_is_followed_by_what_came_after_it(db: sqlite3.Connection) -> None:
    append(db, "one", "two")
    transcripts.append(MAIN, entry("They met.", None), NOW, db)
    assert transcripts.model_context(MAIN, "r", ALL, db).messages == [entry("They met.", None)]
    append(db, "three")
    assert transcripts.model_context(MAIN, "r", ALL, db).messages == [entry("They met.", None), user("three")]


def test_a_run_that_begins_anew_keeps_the_summary_that_it_has_made_and_its_prompt_has_an_id(
    db: sqlite3.Connection,
) -> None:
    append(db, "one")
    session = transcripts.find_session(MAIN, db)
    assert session is not None
    prompt = transcripts.add_message(session.id, user("two"), "r", NOW, db)
    assert prompt is not None
    transcripts.add_message(session.id, entry("They met.", prompt.id), "r", NOW, db)
    transcripts.add_message(session.id, assistant("half"), "r", NOW, db)
    transcripts.remove_said(session.id, "r", db)
    past = transcripts.model_context(MAIN, "r", ALL, db)
    assert past.messages == [entry("They met.", prompt.id)] and past.ids[1:] == [prompt.id]
    assert transcripts.model_context(MAIN, "next", ALL, db).messages == [entry("They met.", prompt.id), user("two")]


def test_a_picture_that_is_too_large_is_left_out_and_what_is_before_it_is_not(db: sqlite3.Connection) -> None:
    append(db, "one")
    picture = {"type": "image", "data": "A" * 1000, "mimeType": "image/png"}
    content = [{"type": "text", "text": "see"}, picture]
    transcripts.append(MAIN, {"role": "user", "content": content}, NOW, db)
    whole = transcripts.model_context(MAIN, "r", 2000, db).messages
    assert whole[1]["content"] == content
    cut = transcripts.model_context(MAIN, "r", 1000, db).messages
    assert cut[0] == whole[0] and [block["type"] for block in cut[1]["content"]] == ["text", "text"]
    assert cut[1]["content"][1]["text"] == LEFT_OUT
