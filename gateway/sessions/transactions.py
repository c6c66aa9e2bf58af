"""Runs from acceptance to end. Each function is part of a transaction; `Store` documents it. Times are ms."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from gateway.link.messages import Failure, Usage
from gateway.link.spec import COMPACTION, Message
from gateway.sessions.records import Progress, Run, RunRequest, RunState
from gateway.sessions.records import text_of as text_of
from gateway.sessions.spending import note, spent_on
from gateway.sessions.transcripts import add_message, encode, remove_said, touch

MAX_QUEUED = 20
"""Most queued runs of one session."""
MAX_WAITING = 2000
"""Most queued and running runs of all sessions."""
MAX_DEFERRED = 32
"""Most requests that get a second answer at the end of one run."""
KEPT_MS = 30 * 24 * 3600 * 1000
"""The time after its end for which a run is known by its idempotency key."""

RUN = (
    "id, session, agent, state, body, accepted, started, ended, seq, text, answer, complete, acted, attempts, "
    "provider, model, stop_reason, failure, usage, waiting, transcript"
)
RUNS = f"SELECT {RUN} FROM runs JOIN requests USING (number)"
_decode_request = msgspec.json.Decoder(RunRequest).decode
_decode_failure = msgspec.json.Decoder(Failure).decode
_decode_usage = msgspec.json.Decoder(Usage).decode
_decode_waiting = msgspec.json.Decoder(list[tuple[str, str]]).decode

Connection = sqlite3.Connection


class SendDenied(Exception):
    """The session's send policy allows no message."""

    def __init__(self) -> None:
        super().__init__("send blocked by session policy")


class QueueFull(Exception):
    """Too many runs or requests wait; `str()` names the bound."""


class _Going(msgspec.Struct):
    """The part of a running run that its events change: its request may be megabytes of pictures."""

    session: str
    agent: str
    transcript: str | None
    seq: int
    answer: str
    provider: str | None
    model: str | None


def accept(
    id: str, session: str, agent: str, request: RunRequest, now: int, owed: tuple[str, str] | None, db: Connection
) -> tuple[Run, bool]:
    if request.compact is None and _denies(session, db):
        raise SendDenied
    forget(now, db)
    if (known := find_run(id, db)) is not None:
        return (known if owed is None or not known.unfinished else _add_waiting(known, owed, db)), False
    unfinished = "SELECT count(*) FROM runs WHERE state IN ('queued', 'running')"
    (waiting,) = db.execute(f"{unfinished} AND session = ?", (session,)).fetchone()
    if waiting > MAX_QUEUED:  # one of them is running
        raise QueueFull(f"{MAX_QUEUED} messages wait in this session")
    (waiting,) = db.execute(unfinished).fetchone()
    if waiting >= MAX_WAITING:
        raise QueueFull(f"{MAX_WAITING} messages wait in all sessions")
    if request.keeps:
        touch(session, agent, now, db)
    number = db.execute(
        "INSERT INTO runs (id, session, agent, state, accepted) VALUES (?, ?, ?, 'queued', ?)",
        (id, session, agent, now),
    ).lastrowid
    db.execute("INSERT INTO requests VALUES (?, ?)", (number, encode(request).decode()))
    run = Run(id, session, agent, "queued", request, now)
    return run if owed is None else _add_waiting(run, owed, db), True


def accept_and_begin(
    id: str, session: str, agent: str, request: RunRequest, now: int, owed: tuple[str, str] | None, db: Connection
) -> tuple[Run, bool]:
    run, fresh = accept(id, session, agent, request, now, owed, db)
    return (begin(id, now, db) or run) if fresh else run, fresh


def answer(
    id: str, session: str, agent: str, request: RunRequest, message: Message, now: int, db: Connection
) -> tuple[Run, bool]:
    run, fresh = accept(id, session, agent, request, now, None, db)
    if fresh:
        begin(id, now, db)
        run = end(Progress(id, 0, ""), message, "done", now, "stop", None, Usage(), db)
    return run, fresh


def forget(now: int, db: Connection) -> None:
    db.execute("DELETE FROM runs WHERE ended < ?", (now - KEPT_MS,))


def begin(id: str, now: int, db: Connection) -> Run | None:
    run = find_run(id, db)
    if run is None or not run.unfinished:
        return None
    if run.state == "running":
        return run  # by a commit that had been said to fail
    transcript = None
    if run.request.keeps:
        transcript = touch(run.session, run.agent, now, db).id
        if run.request.prompt:
            add_message(transcript, run.request.prompt, id, now, db)
        db.execute("UPDATE sessions SET aborted = 0 WHERE id = ?", (transcript,))
    db.execute(
        "UPDATE runs SET state = 'running', started = ?, attempts = 1, transcript = ? WHERE id = ?",
        (now, transcript, id),
    )
    return find_run(id, db)


def again(id: str, db: Connection) -> Run | None:
    found = db.execute(
        "UPDATE runs SET attempts = attempts + 1, seq = 0, text = '', answer = '', complete = 0"
        " WHERE id = ? AND state = 'running' RETURNING transcript",
        (id,),
    ).fetchone()
    if found is None:
        return None
    if found[0] is not None:
        remove_said(found[0], id, db)
    return find_run(id, db)


def progress(news: Progress, db: Connection) -> bool:
    """Store the events of one run. False if it has ended, was started again, or has later events already."""
    fields = ", ".join(_Going.__struct_fields__)
    query = f"SELECT {fields} FROM runs WHERE id = ? AND state = 'running' AND attempts = ?"
    row = db.execute(query, (news.run, news.attempt)).fetchone()
    if row is None or news.seq < (run := _Going(*row)).seq:
        return False
    if news.seq > run.seq:
        answer = run.answer
        for message in (said for seq, said in sorted(news.said.items()) if seq > run.seq):
            if message.get("role") == "assistant":
                answer = text_of(message) or answer
                _count(run, message, db)
            elif message.get("role") == COMPACTION:
                note(spent_on(run.session, run.agent, message), db)
            if run.transcript is not None:
                add_message(run.transcript, message, news.run, int(message["timestamp"]), db)
        db.execute(
            "UPDATE runs SET seq = ?, text = ?, answer = ?, complete = ?, acted = acted OR ?, provider = ?, model = ?"
            " WHERE id = ?",
            (
                *(news.seq, news.text, answer, news.complete, news.acted),
                *(run.provider if news.provider is UNSET else news.provider,),
                *(run.model if news.model is UNSET else news.model, news.run),
            ),
        )
    return True


def end(
    last: Progress,
    rest: Message | None,
    state: RunState,
    now: int,
    stop_reason: str | None,
    failure: Failure | None,
    usage: Usage,
    db: Connection,
) -> Run:
    current = progress(last, db)
    run = find_run(last.run, db)
    assert run is not None, "a run that ends was accepted"
    if not run.unfinished:
        return run
    (number, transcript) = db.execute(
        "UPDATE runs SET state = ?, ended = ?, text = '', stop_reason = ?, failure = ?, usage = ? WHERE id = ?"
        " RETURNING number, transcript",
        (state, now, stop_reason, encode(failure).decode() if failure else None, encode(usage).decode(), run.id),
    ).fetchone()
    if not current:
        rest = None
    if rest is not None:
        db.execute("UPDATE runs SET answer = ? WHERE id = ?", (text_of(rest), run.id))
    over = replace(run, stop_reason=stop_reason, failure=failure)
    if transcript is not None and (word := _last_word(over, rest, now, db)) is not None:
        add_message(transcript, word, run.id, now, db)
    kept = replace(run.request, prompt={}, context=[], system="")
    db.execute("UPDATE requests SET body = ? WHERE number = ?", (encode(kept).decode(), number))
    db.execute(
        "UPDATE sessions SET updated = max(updated, ?), aborted = ?,"
        " provider = coalesce(?, provider), model = coalesce(?, model) WHERE id = ?",
        (now, state == "aborted", run.provider, run.model, transcript),
    )
    return _existing(run.id, db)


def _last_word(run: Run, rest: Message | None, now: int, db: Connection) -> Message | None:
    """The last message of a run for the transcript. It says why the run failed, as in OpenClaw's transcripts."""
    if run.failure is None or (run.request.compact is not None and not run.request.prompt):
        return rest
    if rest is None:
        said = (
            "SELECT 1 FROM messages WHERE session = ? AND run = ? AND json_extract(body, '$.errorMessage') IS NOT NULL"
        )
        if db.execute(said, (run.transcript, run.id)).fetchone():
            return None  # the agent's last message has it
        model = {"provider": run.provider, "model": run.model} if run.model else {}
        rest = {"role": "assistant", "content": [], **model, "stopReason": run.stop_reason, "timestamp": now}
    return {**rest, "errorMessage": run.failure.message}


def _add_waiting(run: Run, owed: tuple[str, str], db: Connection) -> Run:
    if owed in run.waiting:
        return run
    if len(run.waiting) >= MAX_DEFERRED:
        raise QueueFull(f"{MAX_DEFERRED} requests wait for this message")
    waiting = [*run.waiting, owed]
    db.execute("UPDATE runs SET waiting = ? WHERE id = ?", (encode(waiting).decode(), run.id))
    return replace(run, waiting=waiting)


def unfinished(db: Connection) -> list[Run]:
    return [_run(row) for row in db.execute(f"{RUNS} WHERE state IN ('queued', 'running') ORDER BY number")]


def _denies(session: str, db: Connection) -> bool:
    """Whether a session takes no messages."""
    row = db.execute("SELECT json_extract(entry, '$.sendPolicy') FROM sessions WHERE key = ?", (session,)).fetchone()
    return row is not None and row[0] == "deny"


def find_run(id: str, db: Connection) -> Run | None:
    row = db.execute(f"{RUNS} WHERE id = ?", (id,)).fetchone()
    return None if row is None else _run(row)


def _run(row: Sequence[Any]) -> Run:
    fields = dict(zip(Run.__struct_fields__, row, strict=True))
    fields["request"] = _decode_request(fields["request"])
    fields["failure"] = _decode_failure(fields["failure"]) if fields["failure"] else None
    fields["usage"] = _decode_usage(fields["usage"])
    fields["waiting"] = _decode_waiting(fields["waiting"])
    fields["complete"] = bool(fields["complete"])
    fields["acted"] = bool(fields["acted"])
    return Run(**fields)


def _existing(id: str, db: Connection) -> Run:
    run = find_run(id, db)
    assert run is not None
    return run


def _count(run: _Going, message: Message, db: Connection) -> None:
    """Add tokens and costs of one answer of a model."""
    answer = spent_on(run.session, run.agent, message)
    note(answer, db)
    input, output, read, write = answer[5:9]
    db.execute(
        "UPDATE sessions SET input = input + ?, output = output + ?, total = ? WHERE id = ?",
        (input, output, input + output + read + write, run.transcript),
    )
