"""Runs against a model of them, in any order; and what the model does not say."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.link.messages import Failure, Usage
from gateway.link.spec import Message
from gateway.sessions import transactions, transcripts
from gateway.sessions.queries import spent
from gateway.sessions.records import UNFINISHED, Progress, Run, RunRequest, RunState, text_of
from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.sqlite import writable
from gateway.sessions.transactions import KEPT_MS, MAX_DEFERRED, MAX_QUEUED, MAX_WAITING, QueueFull
from tests.effort import examples
from tests.sessions.talk import MAIN, NOW, assistant, tool_result, user

SESSIONS = [MAIN, "agent:work:lunch"]


@dataclass
class KnownRun:
    """A run as whoever uses the store knows it."""

    session: str
    keeps: bool
    state: str = "queued"
    seq: int = 0
    text: str = ""
    attempts: int = 0
    transcript: int | None = None
    """Which of its session's transcripts it speaks in."""
    sent: list[Progress] = field(default_factory=list)


class Runs(RuleBasedStateMachine):
    """Each message once and in order; nothing runs that has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.db = writable(Path(self.folder.name) / "a.sqlite", MIGRATIONS)
        self.db.execute("PRAGMA synchronous=OFF")  # nobody pulls the plug here
        self.runs: dict[str, KnownRun] = {}
        self.transcripts: dict[str, list[tuple[str, str]]] = {}
        """Session -> (run, text) of each message."""
        self.generation: dict[str, int] = {}
        """How often a session began anew, or was deleted."""
        self.numbers = count()
        self.tokens = 0

    def teardown(self) -> None:
        self.db.close()
        self.folder.cleanup()

    def pick(self, data: st.DataObject, likely: str) -> tuple[str, KnownRun]:
        """Most often one in the state in which it makes a difference."""
        fitting = [id for id, run in self.runs.items() if run.state == likely]
        ids = fitting if fitting and data.draw(st.integers(0, 5)) else list(self.runs)
        id = data.draw(st.sampled_from(ids))
        return id, self.runs[id]

    def add_message(self, id: str, run: KnownRun, text: str) -> None:
        if run.transcript is not None and run.transcript == self.generation.get(run.session, 0):
            self.transcripts[run.session].append((id, text))

    @rule(session=st.sampled_from(SESSIONS), keeps=st.sampled_from([True, True, False]), data=st.data())
    def accept(self, session: str, keeps: bool, data: st.DataObject) -> None:
        known = self.runs and not data.draw(st.integers(0, 5))
        id = self.pick(data, "done")[0] if known else f"r{next(self.numbers)}"
        request = RunRequest(user(f"? {id}"), keeps=keeps)
        waiting = [run for run in self.runs.values() if run.session == session and run.state in UNFINISHED]
        if id not in self.runs and len(waiting) > MAX_QUEUED:
            with pytest.raises(QueueFull):
                transactions.accept(id, session, "main", request, NOW, None, self.db)
            return
        begins = data.draw(st.booleans())
        accept = transactions.accept_and_begin if begins else transactions.accept
        run, fresh = accept(id, session, "main", request, NOW, None, self.db)
        assert fresh == (id not in self.runs)
        if fresh:
            self.runs[id] = KnownRun(session, keeps)
            if keeps:
                self.transcripts.setdefault(session, [])
            if begins:
                self.begun(id, self.runs[id])
        assert (run.id, run.state) == (id, self.runs[id].state)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        id, run = self.pick(data, "queued")
        begun = transactions.begin(id, NOW, self.db)
        assert (begun is not None) == (run.state in UNFINISHED)
        if begun is not None:
            assert begun.request.prompt == user(f"? {id}")
        if run.state == "queued":
            self.begun(id, run)

    def begun(self, id: str, run: KnownRun) -> None:
        run.state, run.attempts = "running", 1
        if run.keeps:
            run.transcript = self.generation.get(run.session, 0)
            self.transcripts.setdefault(run.session, []).append((id, f"? {id}"))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), said=st.integers(0, 2), events=st.integers(0, 2), again=st.booleans())
    def progress(self, data: st.DataObject, said: int, events: int, again: bool) -> None:
        id, run = self.pick(data, "running")
        seq = run.seq + said + events
        messages = {run.seq + 1 + number: assistant(f"{id} {next(self.numbers)}") for number in range(said)}
        if again and run.sent and run.sent[-1].attempt == run.attempts:
            messages |= run.sent[-1].said  # as if nobody had heard that they are stored
        news = Progress(id, seq, f"writing {seq}", messages, attempt=run.attempts)
        run.sent.append(news)
        self.take(id, run, news)
        assert transactions.progress(news, self.db) == (run.state == "running")

    def take(self, id: str, run: KnownRun, news: Progress) -> None:
        if run.state == "running" and news.seq > run.seq:
            for _, message in sorted((seq, said) for seq, said in news.said.items() if seq > run.seq):
                self.tokens += 10
                self.add_message(id, run, text_of(message))
            run.seq, run.text = news.seq, news.text

    @precondition(lambda self: any(run.sent for run in self.runs.values()))
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        """What is sent again changes nothing, also when the run has begun anew meanwhile."""
        id, run = self.pick(data, "running")
        for old in run.sent:
            taken = transactions.progress(old, self.db)
            current = old.attempt == run.attempts and old.seq == run.seq
            assert taken == (run.state == "running" and current)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def again(self, data: st.DataObject) -> None:
        id, run = self.pick(data, "running")
        found = transactions.again(id, self.db)
        assert (found is not None) == (run.state == "running")
        if found is not None:
            run.seq, run.text, run.attempts = 0, "", run.attempts + 1
            said = self.transcripts.get(run.session)
            if said is not None and run.transcript == self.generation.get(run.session, 0):
                said[:] = [each for each in said if each[0] != id or each[1] == f"? {id}"]
            assert (found.attempts, found.seq, found.answer) == (run.attempts, 0, "")

    @precondition(lambda self: self.runs)
    @rule(
        data=st.data(),
        state=st.sampled_from(sorted(set(get_args(RunState)) - {*UNFINISHED})),
        said=st.integers(0, 2),
        rest=st.booleans(),
        behind=st.sampled_from([0, 0, 1]),
    )
    def end(self, data: st.DataObject, state: RunState, said: int, rest: bool, behind: int) -> None:
        id, run = self.pick(data, "running")
        messages = {run.seq + 1 + number: assistant(f"{id} {next(self.numbers)}") for number in range(said)}
        last = Progress(id, run.seq + said - behind, "", messages, attempt=run.attempts)
        left = assistant(f"{id} {next(self.numbers)}") if rest else None
        ended = transactions.end(last, left, state, NOW, "stop", None, Usage(), self.db)
        if run.state in UNFINISHED:
            knows_all = last.seq >= run.seq
            self.take(id, run, last)
            if left is not None and knows_all and run.state == "running":
                self.add_message(id, run, text_of(left))
            run.state, run.text = state, ""
        assert ended.state == run.state
        assert ended.request.prompt == {}

    @rule(session=st.sampled_from(SESSIONS), how=st.sampled_from(["reset", "delete", "compact"]))
    def begin_anew(self, session: str, how: str) -> None:
        if how == "compact":
            kept = transcripts.compact(session, 2, self.db)
            if kept is not None:
                del self.transcripts[session][:-2]
            return
        if how == "reset":
            transcripts.reset(session, "main", NOW, self.db)
            self.transcripts[session] = []
        else:
            transcripts.delete(session, True, self.db)
            self.transcripts.pop(session, None)
        self.generation[session] = self.generation.get(session, 0) + 1

    @invariant()
    def each_message_is_there_once_and_in_order(self) -> None:
        for session in SESSIONS:
            found = transcripts.find_session(session, self.db)
            assert (found is None) == (session not in self.transcripts)
            rows = transcripts.rows(session, 10_000, None, self.db)
            assert [(row.run, text_of(row.message)) for row in rows] == self.transcripts.get(session, [])
            assert found is None or found.messages == len(rows)
        (all_,) = self.db.execute("SELECT count(*) FROM messages").fetchone()
        assert all_ == sum(map(len, self.transcripts.values()))

    @invariant()
    def runs_are_as_they_are_known(self) -> None:
        waiting = [run.id for run in transactions.unfinished(self.db)]
        assert waiting == [id for id, run in self.runs.items() if run.state in UNFINISHED]
        for id, run in self.runs.items():
            found = transactions.find_run(id, self.db)
            assert found is not None
            assert (found.state, found.seq, found.text) == (run.state, run.seq, run.text)
            assert (found.ended is None) == (run.state in UNFINISHED)

    @invariant()
    def what_an_answer_cost_is_counted_once(self) -> None:
        assert sum(row.input for row in spent(NOW, NOW + 1, (), 0, None, None, self.db)) == self.tokens


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=examples(50), stateful_step_count=40, deadline=None)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = writable(tmp_path / "a.sqlite", MIGRATIONS)
    yield connection
    connection.close()


def accept(db: sqlite3.Connection, id: str, session: str = MAIN, now: int = NOW, **request: object) -> Run:
    run, fresh = transactions.accept(id, session, "main", RunRequest(user("?"), **request), now, None, db)  # type: ignore[arg-type]
    assert fresh
    return run


def end(db: sqlite3.Connection, id: str, state: RunState = "done", now: int = NOW, *said: Message) -> Run:
    return transactions.end(
        Progress(id, len(said), "", dict(enumerate(said, 1))), None, state, now, None, None, Usage(), db
    )


def test_a_session_has_a_bound_on_what_waits(db: sqlite3.Connection) -> None:
    for number in range(1 + MAX_QUEUED):
        accept(db, f"r{number}")
    with pytest.raises(QueueFull, match=f"^{MAX_QUEUED} messages wait in this session$"):
        accept(db, "more")
    assert transactions.accept("r0", MAIN, "main", RunRequest(user("?")), NOW, None, db)[1] is False
    accept(db, "other", "agent:main:other")
    end(db, "r0")
    accept(db, "more")


def test_all_sessions_have_a_bound_on_what_waits(db: sqlite3.Connection) -> None:
    db.execute("BEGIN")
    for number in range(MAX_WAITING):
        accept(db, f"r{number}", f"agent:main:{number}")
    with pytest.raises(QueueFull, match=f"^{MAX_WAITING} messages wait in all sessions$"):
        accept(db, "more", "agent:main:more")
    end(db, "r7")
    accept(db, "more", "agent:main:more")
    db.execute("COMMIT")


def test_a_run_is_known_for_a_while_after_its_end(db: sqlite3.Connection) -> None:
    accept(db, "old")
    end(db, "old")
    accept(db, "unfinished")
    accept(db, "new", now=NOW + KEPT_MS)
    assert transactions.find_run("old", db) is not None
    accept(db, "newer", now=NOW + KEPT_MS + 1)
    assert transactions.find_run("old", db) is None
    assert transactions.find_run("unfinished", db) is not None
    assert db.execute("SELECT count(*) FROM requests").fetchone() == (3,)


def test_a_run_keeps_its_order_after_others_are_forgotten(db: sqlite3.Connection) -> None:
    accept(db, "first")
    accept(db, "second")
    end(db, "second")
    transactions.forget(NOW + KEPT_MS + 1, db)
    accept(db, "third", now=NOW + KEPT_MS + 1)
    assert [run.id for run in transactions.unfinished(db)] == ["first", "third"]


def test_what_is_large_of_a_request_goes_with_the_end(db: sqlite3.Connection) -> None:
    accept(db, "r", context=[user("before")], system="be kind", model="mock/m1", lane="http", keeps=False)
    assert end(db, "r").request == RunRequest({}, model="mock/m1", lane="http", keeps=False)


def test_a_request_is_not_written_again_with_each_word(db: sqlite3.Connection, tmp_path: Path) -> None:
    accept(db, "r", system="x" * 2_000_000)
    transactions.begin("r", NOW, db)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for seq in range(1, 20):
        transactions.progress(Progress("r", seq, "word " * seq), db)
    assert (tmp_path / "a.sqlite-wal").stat().st_size < 1_000_000


def test_a_run_that_keeps_nothing_makes_no_session_and_counts_what_it_cost(db: sqlite3.Connection) -> None:
    transcripts.touch(MAIN, "main", NOW, db)
    accept(db, "r", keeps=False)
    transactions.begin("r", NOW, db)
    run = end(db, "r", "aborted", NOW + 5, assistant("one"))
    assert (run.answer, run.state, run.ended) == ("one", "aborted", NOW + 5)
    session = transcripts.find_session(MAIN, db)
    assert session is not None
    assert (session.messages, session.input, session.aborted, session.updated) == (0, 0, False, NOW)
    accept(db, "s", "agent:main:other", keeps=False)
    assert transcripts.find_session("agent:main:other", db) is None
    assert spent(NOW, NOW + 1, (), 0, None, None, db)[0].input == 10


def test_an_end_says_what_came_of_it(db: sqlite3.Connection) -> None:
    accept(db, "r")
    transactions.begin("r", NOW + 1, db)
    tool = tool_result("clock", "12:00", NOW + 2)
    transactions.progress(Progress("r", 3, "It", {2: tool}, acted=True, provider="mock", model="m1"), db)
    failure, usage = Failure("network", "gone", retryable=True), Usage(input=7)
    rest = assistant("It is", NOW + 3)
    run = transactions.end(Progress("r", 4, ""), rest, "interrupted", NOW + 4, "interrupted", failure, usage, db)
    assert (run.started, run.ended, run.seq, run.text, run.answer) == (NOW + 1, NOW + 4, 4, "", "It is")
    assert (run.acted, run.provider, run.model) == (True, "mock", "m1")
    assert (run.stop_reason, run.failure, run.usage) == ("interrupted", failure, usage)
    said = [row.message for row in transcripts.rows(MAIN, 10, None, db)]
    assert said == [user("?"), tool, {**rest, "errorMessage": "gone"}]
    session = transcripts.find_session(MAIN, db)
    assert session is not None
    assert (session.provider, session.model, session.aborted, session.updated) == ("mock", "m1", False, NOW + 4)


def test_a_run_that_failed_before_it_said_anything_says_why(db: sqlite3.Connection) -> None:
    accept(db, "r")
    transactions.begin("r", NOW, db)
    failure = Failure("auth", "no key")
    transactions.end(Progress("r", 0, ""), None, "failed", NOW + 1, "error", failure, Usage(), db)
    last = transcripts.rows(MAIN, 1, None, db)[-1].message
    assert last == {
        "role": "assistant",
        "content": [],
        "stopReason": "error",
        "timestamp": NOW + 1,
        "errorMessage": "no key",
    }


def test_why_a_run_failed_is_said_once(db: sqlite3.Connection) -> None:
    """The agent says it with what it had of the answer."""
    accept(db, "r")
    transactions.begin("r", NOW, db)
    partial = {**assistant("It", NOW + 1), "stopReason": "error", "errorMessage": "gone"}
    last = Progress("r", 1, "", {1: partial}, provider="mock", model="m1")
    transactions.end(last, None, "failed", NOW + 2, "error", Failure("network", "gone"), Usage(), db)
    assert [row.message for row in transcripts.rows(MAIN, 10, None, db)] == [user("?"), partial]


def test_a_second_end_changes_nothing(db: sqlite3.Connection) -> None:
    accept(db, "r")
    transactions.begin("r", NOW, db)
    first = end(db, "r", "aborted")
    accept(db, "s")
    transactions.begin("s", NOW + 1, db)
    assert end(db, "r", "done", NOW + 9, assistant("late")) == first
    session = transcripts.find_session(MAIN, db)
    assert session is not None
    assert (session.aborted, session.messages, session.updated) == (False, 2, NOW + 1)


def test_a_run_that_had_not_begun_says_nothing_at_its_end(db: sqlite3.Connection) -> None:
    accept(db, "r")
    run = transactions.end(Progress("r", 0, ""), assistant("?"), "aborted", NOW, "aborted", None, Usage(), db)
    assert (run.state, run.started, run.answer) == ("aborted", None, "")
    assert transcripts.rows(MAIN, 10, None, db) == []


def owe(db: sqlite3.Connection, request: str) -> Run:
    run, _ = transactions.accept("r", MAIN, "main", RunRequest(user("?")), NOW, ("c1", request), db)
    return run


def test_who_is_owed_an_answer_is_kept_up_to_a_bound(db: sqlite3.Connection) -> None:
    for number in range(MAX_DEFERRED):
        for _ in range(2):  # the same request twice is one answer
            run = owe(db, f"q{number}")
    assert run.waiting == [("c1", f"q{number}") for number in range(MAX_DEFERRED)]
    assert transactions.find_run("r", db) == run
    with pytest.raises(QueueFull, match=f"^{MAX_DEFERRED} requests wait for this message$"):
        owe(db, "more")
    assert owe(db, "q0") == run
    ended = end(db, "r")
    assert owe(db, "late") == ended


def test_what_the_gateway_answers_itself_is_over_at_once(db: sqlite3.Connection) -> None:
    run, fresh = transactions.answer("r", MAIN, "main", RunRequest(user("/help")), assistant("Help."), NOW, db)
    assert (fresh, run.state, run.answer) == (True, "done", "Help.")
    again, fresh = transactions.answer("r", MAIN, "main", RunRequest(user("/help")), assistant("Help."), NOW, db)
    assert (fresh, again) == (False, run)
    said = [row.message for row in transcripts.rows(MAIN, 10, None, db)]
    assert said == [user("/help"), assistant("Help.")]
    assert transactions.unfinished(db) == []


def test_a_session_is_aborted_until_its_next_run(db: sqlite3.Connection) -> None:
    accept(db, "r")
    transactions.begin("r", NOW, db)
    end(db, "r", "aborted")
    assert (session := transcripts.find_session(MAIN, db)) is not None and session.aborted
    accept(db, "s")
    transactions.begin("s", NOW, db)
    assert (session := transcripts.find_session(MAIN, db)) is not None and not session.aborted
