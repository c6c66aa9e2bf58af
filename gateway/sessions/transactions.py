"""What the store does, each function a piece of one transaction; `store` says what it is for."""

import secrets
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from gateway.link.messages import Failure, Message, Usage
from gateway.sessions.records import HEAD, Progress, Request, Row, Run, RunState, Session

MAX_QUEUED = 20
"""Runs that wait in one session."""
MAX_WAITING = 2000
"""Runs that wait, or go on, in all sessions."""

SESSION = "key, id, agent, created, updated, entry, provider, model, aborted, input, output, total, messages"
RUN = (
    "id, session, agent, state, request, accepted, started, ended, seq, text, answer, acted, attempts, provider, "
    "model, stop_reason, failure, usage, waiting"
)
_encode = msgspec.json.Encoder().encode
_decode_request = msgspec.json.Decoder(Request).decode
_decode_failure = msgspec.json.Decoder(Failure).decode
_decode_usage = msgspec.json.Decoder(Usage).decode
_decode_waiting = msgspec.json.Decoder(list[tuple[str, str]]).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode

Connection = sqlite3.Connection


class QueueFull(Exception):
    """So many runs wait that another one is not accepted; `str()` says which bound it was."""


class SessionChanged(Exception):
    """The session is not any more the one that was meant."""


class LabelTaken(Exception):
    """Another session of the agent has this label."""


def accept(
    id: str, session: str, agent: str, request: Request, now: int, owed: tuple[str, str] | None, db: Connection
) -> tuple[Run, bool]:
    if (known := find_run(id, db)) is not None:
        return (known if owed is None or not known.unfinished else _owe(known, owed, db)), False
    unfinished = "SELECT count(*) FROM runs WHERE state IN ('queued', 'running')"
    (waiting,) = db.execute(f"{unfinished} AND session = ?", (session,)).fetchone()
    if waiting > MAX_QUEUED:  # one of them is running
        raise QueueFull(f"{MAX_QUEUED} messages wait in this session")
    (waiting,) = db.execute(unfinished).fetchone()
    if waiting >= MAX_WAITING:
        raise QueueFull(f"{MAX_WAITING} messages wait in all sessions")
    if request.keeps:
        _touch(session, agent, now, db)
    (number,) = db.execute("SELECT coalesce(max(number), 0) + 1 FROM runs").fetchone()
    db.execute(
        "INSERT INTO runs (id, session, agent, state, request, accepted, number) VALUES (?, ?, ?, 'queued', ?, ?, ?)",
        (id, session, agent, _encode(request).decode(), now, number),
    )
    run = Run(id, session, agent, "queued", request, now)
    return run if owed is None else _owe(run, owed, db), True


def answer(
    id: str, session: str, agent: str, request: Request, message: Message, now: int, db: Connection
) -> tuple[Run, bool]:
    run, fresh = accept(id, session, agent, request, now, None, db)
    if fresh:
        begin(id, now, db)
        run = end(Progress(id, 0, ""), message, "done", now, "stop", None, Usage(), db)
    return run, fresh


def begin(id: str, now: int, db: Connection) -> Run | None:
    run = find_run(id, db)
    if run is None or run.state != "queued":
        return None
    db.execute("UPDATE runs SET state = 'running', started = ?, attempts = 1 WHERE id = ?", (now, id))
    if run.request.keeps:
        session = _touch(run.session, run.agent, now, db)
        _say(session, run.request.prompt, id, now, db)
        db.execute("UPDATE sessions SET aborted = 0 WHERE key = ?", (session.key,))
    return find_run(id, db)


def again(id: str, db: Connection) -> Run | None:
    db.execute(
        "UPDATE runs SET attempts = attempts + 1, seq = 0, text = '' WHERE id = ? AND state = 'running'",
        (id,),
    )
    run = find_run(id, db)
    return run if run is not None and run.state == "running" else None


def progress(news: Progress, db: Connection) -> Run | None:
    """None if the run has ended, or these events are stored already."""
    run = find_run(news.run, db)
    if run is None or run.state != "running" or news.seq < run.seq:
        return None
    if news.seq > run.seq:
        session = find_session(run.session, db) if run.request.keeps else None
        answer = run.answer
        for message in news.said:
            if message.get("role") == "assistant":
                answer = text_of(message) or answer
                _count(run, message, db)
            if session is not None:
                _say(session, message, run.id, int(message["timestamp"]), db)
        db.execute(
            "UPDATE runs SET seq = ?, text = ?, answer = ?, acted = acted OR ?, provider = ?, model = ? WHERE id = ?",
            (
                *(news.seq, news.text, answer, news.acted),
                *(run.provider if news.provider is UNSET else news.provider,),
                *(run.model if news.model is UNSET else news.model, news.run),
            ),
        )
    return run


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
    before = progress(last, db)
    if rest is not None and before is not None:
        if before.request.keeps and (found := find_session(before.session, db)) is not None:
            _say(found, rest, last.run, now, db)
        db.execute("UPDATE runs SET answer = ? WHERE id = ?", (text_of(rest), last.run))
    db.execute(
        "UPDATE runs SET state = ?, ended = ?, stop_reason = ?, failure = ?, usage = ?"
        " WHERE id = ? AND state IN ('queued', 'running')",
        (state, now, stop_reason, _encode(failure).decode() if failure else None, _encode(usage).decode(), last.run),
    )
    run = find_run(last.run, db)
    assert run is not None, "a run that ends was accepted"
    db.execute(
        "UPDATE sessions SET updated = max(updated, ?), aborted = ?,"
        " provider = coalesce(?, provider), model = coalesce(?, model) WHERE key = ?",
        (now, run.state == "aborted", run.provider, run.model, run.session),
    )
    return run


def _owe(run: Run, owed: tuple[str, str], db: Connection) -> Run:
    waiting = [*run.waiting, owed]
    db.execute("UPDATE runs SET waiting = ? WHERE id = ?", (_encode(waiting).decode(), run.id))
    return msgspec.structs.replace(run, waiting=waiting)


def _count(run: Run, message: Message, db: Connection) -> None:
    """What one answer of a model has cost."""
    used = message.get("usage") or {}
    input, output, read, write = (int(used.get(name) or 0) for name in ("input", "output", "cacheRead", "cacheWrite"))
    cost = used.get("cost") or {}
    db.execute(
        "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(int(message["timestamp"]), run.session, run.agent),
            *(message.get("provider") or "", message.get("model") or ""),
            *(input, output, read, write, cost.get("total")),
            *(float(cost.get(name) or 0) for name in ("input", "output", "cacheRead", "cacheWrite")),
        ),
    )
    db.execute(
        "UPDATE sessions SET input = input + ?, output = output + ?, total = ? WHERE key = ?",
        (input, output, input + output + read + write, run.session),
    )


def _say(session: Session, message: Message, run: str | None, now: int, db: Connection) -> Row:
    id = secrets.token_hex(4)
    role = message.get("role") or ""
    failed = bool(message.get("isError")) or message.get("stopReason") == "error"
    position = db.execute(
        "INSERT INTO messages (session, id, run, at, role, head, tool, failed, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING position",
        (
            *(session.id, id, run, now, role, text_of(message).strip()[:HEAD]),
            *(message.get("toolName") if role == "toolResult" else None, failed, _encode(message).decode()),
        ),
    ).fetchone()[0]
    db.execute(
        "UPDATE sessions SET messages = messages + 1, updated = max(updated, ?) WHERE key = ?", (now, session.key)
    )
    return Row(position, id, message, run)


def append(key: str, message: Message, now: int, db: Connection) -> Row | None:
    session = find_session(key, db)
    return None if session is None else _say(session, message, None, now, db)


def history(key: str, without: str, most: int, db: Connection) -> list[Message]:
    found: list[Message] = []
    query = (
        "SELECT body FROM messages WHERE session = (SELECT id FROM sessions WHERE key = ?) AND run IS NOT ?"
        " ORDER BY position DESC"
    )
    for (body,) in db.execute(query, (key, without)):
        most -= len(body)
        if most < 0:
            break
        found.append(_decode_object(body))
    return found[::-1]


def rows(key: str, limit: int, before: int | None, db: Connection) -> list[Row]:
    rows = db.execute(
        "SELECT position, id, body, run FROM messages WHERE session = (SELECT id FROM sessions WHERE key = ?)"
        " AND position < ? ORDER BY position DESC LIMIT ?",
        (key, 2**62 if before is None else before, limit),
    )
    return [read_row(row) for row in rows][::-1]


def patch(
    key: str,
    agent: str,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    now: int,
    expected: str | None,
    db: Connection,
) -> Session:
    before = find_session(key, db)
    if expected is not None and (before is None or before.id != expected):
        raise SessionChanged(key)
    session = _touch(key, agent, now, db)
    entry = change(session.entry)
    label = entry.get("label")
    if label is not None and label != session.entry.get("label"):
        taken = "SELECT 1 FROM sessions WHERE agent = ? AND key <> ? AND json_extract(entry, '$.label') = ?"
        if db.execute(taken, (agent, key, label)).fetchone() is not None:
            raise LabelTaken(label)
    db.execute("UPDATE sessions SET entry = ? WHERE key = ?", (_encode(entry).decode(), key))
    return _there(key, db)


def reset(key: str, agent: str, now: int, db: Connection) -> Session:
    session = _touch(key, agent, now, db)
    db.execute("DELETE FROM messages WHERE session = ?", (session.id,))
    db.execute(
        "UPDATE sessions SET id = ?, aborted = 0, input = 0, output = 0, total = 0, messages = 0 WHERE key = ?",
        (str(uuid.uuid4()), key),
    )
    return _there(key, db)


def delete(key: str, transcript: bool, db: Connection) -> Session | None:
    session = find_session(key, db)
    if session is not None:
        db.execute("DELETE FROM sessions WHERE key = ?", (key,))
        if transcript:
            db.execute("DELETE FROM messages WHERE session = ?", (session.id,))
    return session


def compact(key: str, keep: int, db: Connection) -> int | None:
    session = find_session(key, db)
    if session is None:
        return None
    forgotten = db.execute(
        "DELETE FROM messages WHERE session = ?1 AND position NOT IN"
        " (SELECT position FROM messages WHERE session = ?1 ORDER BY position DESC LIMIT ?2)",
        (session.id, keep),
    ).rowcount
    db.execute("UPDATE sessions SET messages = messages - ? WHERE key = ?", (forgotten, key))
    return forgotten


def _touch(key: str, agent: str, now: int, db: Connection) -> Session:
    """The session, made if there was none."""
    db.execute(
        "INSERT INTO sessions (key, id, agent, created, updated) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET updated = max(updated, excluded.updated)",
        (key, str(uuid.uuid4()), agent, now, now),
    )
    return _there(key, db)


def _there(key: str, db: Connection) -> Session:
    session = find_session(key, db)
    assert session is not None
    return session


def find_session(key: str, db: Connection) -> Session | None:
    row = db.execute(f"SELECT {SESSION} FROM sessions WHERE key = ?", (key,)).fetchone()
    return None if row is None else session(row)


def session(row: Sequence[Any]) -> Session:
    key, id, agent, created, updated, entry, provider, model, aborted, *counts = row
    return Session(key, id, agent, created, updated, _decode_object(entry), provider, model, bool(aborted), *counts)


def read_row(row: Sequence[Any]) -> Row:
    position, id, body, run = row
    return Row(position, id, _decode_object(body), run)


def find_run(id: str, db: Connection) -> Run | None:
    row = db.execute(f"SELECT {RUN} FROM runs WHERE id = ?", (id,)).fetchone()
    return None if row is None else run(row)


def run(row: Sequence[Any]) -> Run:
    fields = dict(zip(RUN.split(", "), row, strict=True))
    fields["request"] = _decode_request(fields["request"])
    fields["failure"] = _decode_failure(fields["failure"]) if fields["failure"] else None
    fields["usage"] = _decode_usage(fields["usage"])
    fields["waiting"] = _decode_waiting(fields["waiting"])
    fields["acted"] = bool(fields["acted"])
    return Run(**fields)


def text_of(message: Message) -> str:
    """What a message says in words."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in _blocks(content) if block.get("type") == "text")


def _blocks(content: Any) -> Iterable[dict[str, Any]]:
    return [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
