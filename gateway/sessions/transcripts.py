"""Sessions and their messages. Each function is part of a transaction; `Store` documents it. Times are ms."""

import secrets
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.link.spec import COMPACTION, Message
from gateway.sessions.records import HEAD, SUMMARY, MessageRow, ModelContext, Session, text_of

SESSION = (
    "key, id, agent, created, updated, entry, provider, model, aborted, input, output, total, messages, compactions"
)
encode = msgspec.json.Encoder().encode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode

Connection = sqlite3.Connection


class SessionChanged(Exception):
    """The session does not have the id that was expected."""


class LabelTaken(Exception):
    """Another session of the agent has this label."""


def find_session(key: str, db: Connection) -> Session | None:
    row = db.execute(f"SELECT {SESSION} FROM sessions WHERE key = ?", (key,)).fetchone()
    return None if row is None else session(row)


def session(row: Sequence[Any]) -> Session:
    key, id, agent, created, updated, entry, provider, model, aborted, *counts = row
    return Session(key, id, agent, created, updated, _decode_object(entry), provider, model, bool(aborted), *counts)


def touch(key: str, agent: str, now: int, db: Connection) -> Session:
    """Set the time of the session, and create it if there is none."""
    db.execute(
        "INSERT INTO sessions (key, id, agent, created, updated) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET updated = max(updated, excluded.updated)",
        (key, str(uuid.uuid4()), agent, now, now),
    )
    return _existing(key, db)


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
    session = touch(key, agent, now, db)
    entry = change(session.entry)
    label = entry.get("label")
    if label is not None and label != session.entry.get("label") and label_taken(label, agent, key, db):
        raise LabelTaken(label)
    db.execute("UPDATE sessions SET entry = ? WHERE key = ?", (encode(entry).decode(), key))
    return _existing(key, db)


def label_taken(label: str, agent: str, key: str, db: Connection) -> bool:
    """Whether another session of the agent has the label."""
    others = "SELECT 1 FROM sessions WHERE agent = ? AND key <> ? AND json_extract(entry, '$.label') = ?"
    return db.execute(others, (agent, key, label)).fetchone() is not None


def add(session: Session, db: Connection) -> bool:
    """Add a session. False if the key or the id is taken."""
    row = (
        *(session.key, session.id, session.agent, session.created, session.updated, encode(session.entry).decode()),
        *(session.provider, session.model, session.aborted, session.input, session.output, session.total),
        *(session.messages, session.compactions),
    )
    marks = ", ".join("?" * len(row))
    return bool(db.execute(f"INSERT INTO sessions ({SESSION}) VALUES ({marks}) ON CONFLICT DO NOTHING", row).rowcount)


def reset(key: str, agent: str, now: int, db: Connection) -> Session:
    session = touch(key, agent, now, db)
    db.execute("DELETE FROM messages WHERE session = ?", (session.id,))
    db.execute(
        "UPDATE sessions SET id = ?, aborted = 0, input = 0, output = 0, total = 0, messages = 0, compactions = 0"
        " WHERE key = ?",
        (str(uuid.uuid4()), key),
    )
    return _existing(key, db)


def delete(key: str, transcript: bool, db: Connection) -> Session | None:
    session = find_session(key, db)
    if session is not None:
        db.execute("DELETE FROM sessions WHERE key = ?", (key,))
        if transcript:
            db.execute("DELETE FROM messages WHERE session = ?", (session.id,))
    return session


def _existing(key: str, db: Connection) -> Session:
    session = find_session(key, db)
    assert session is not None
    return session


# -- messages ----------------------------------------------------------------------------------------------------------


def add_message(transcript: str, message: Message, run: str | None, now: int, db: Connection) -> MessageRow | None:
    """Append a message; None if there is no such transcript any more, because its session was deleted or reset."""
    counted = db.execute(
        "UPDATE sessions SET messages = messages + 1, updated = max(updated, ?) WHERE id = ?", (now, transcript)
    )
    if not counted.rowcount:
        return None
    if message.get("role") == COMPACTION:
        db.execute(
            "UPDATE sessions SET compactions = compactions + 1, total = ? WHERE id = ?",
            (message.get("tokensAfter") or 0, transcript),
        )
    return insert(transcript, secrets.token_hex(4), message, run, now, db)


def insert(transcript: str, id: str, message: Message, run: str | None, at: int, db: Connection) -> MessageRow:
    role = message.get("role") or ""
    failed = bool(message.get("isError")) or message.get("stopReason") == "error"
    (position,) = db.execute(
        "INSERT INTO messages (session, id, run, at, role, head, tool, failed, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING position",
        (
            *(transcript, id, run, at, role, text_of(message).strip()[:HEAD]),
            *(message.get("toolName") if role == "toolResult" else None, failed, encode(message).decode()),
        ),
    ).fetchone()
    return MessageRow(position, id, message, run)


def append(key: str, message: Message, now: int, db: Connection) -> MessageRow | None:
    session = find_session(key, db)
    return None if session is None else add_message(session.id, message, None, now, db)


def remove_said(transcript: str, run: str, db: Connection) -> None:
    """Remove a run's messages after its prompt. A summary that it made stays: it is about earlier messages."""
    taken = db.execute(
        "DELETE FROM messages WHERE session = ? AND run = ? AND role NOT IN ('user', 'compaction')", (transcript, run)
    ).rowcount
    db.execute("UPDATE sessions SET messages = messages - ? WHERE id = ?", (taken, transcript))


def model_context(key: str, without: str, most: int, db: Connection) -> ModelContext:
    row = db.execute("SELECT id FROM sessions WHERE key = ?", (key,)).fetchone()
    transcript = row[0] if row else ""
    summary, first_kept, after = _summary(transcript, db)
    found: list[tuple[str, Message]] = []
    prompt: list[str] = []
    query = (
        "SELECT id, run, role, CAST(body AS BLOB) FROM messages WHERE session = ? AND role <> 'compaction'"
        " AND position > ? ORDER BY position DESC"
    )
    for id, run, role, body in db.execute(query, (transcript, after)):
        if run == without:
            prompt = [id] if role == "user" else prompt
        else:
            message = _decode_object(body)
            if len(body) > most:
                message = _without_pictures(message)
                body = encode(message)
            most -= len(body)
            if most < 0:
                break
            found.append((id, message))
        if id == first_kept or (found and found[-1][1].get(SUMMARY)):
            break
    while found and found[-1][1].get("role") == "toolResult":
        found.pop()  # its call is left out, and providers refuse a result without a call
    if summary is not None:
        found.append(summary)
    return ModelContext([message for _, message in found[::-1]], [*(id for id, _ in found[::-1]), *prompt])


def _summary(transcript: str, db: Connection) -> tuple[tuple[str, Message] | None, str | None, int]:
    """The last summary, the id of the first message that it does not stand for, and the position after which messages
    are read."""
    row = db.execute(
        "SELECT id, position, body FROM messages WHERE session = ? AND role = 'compaction'"
        " ORDER BY position DESC LIMIT 1",
        (transcript,),
    ).fetchone()
    if row is None:
        return None, None, -1
    message = _decode_object(row[2])
    first_kept = message.get("firstKeptEntryId")
    return (row[0], message), first_kept, -1 if first_kept else row[1]


LEFT_OUT = "[an old picture, which is left out because there is no room for it]"


def _without_pictures(message: Message) -> Message:
    """The message with its pictures replaced by a text."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    left_out = {"type": "text", "text": LEFT_OUT}
    kept = [left_out if isinstance(each, dict) and "data" in each else each for each in content]
    return {**message, "content": kept}


def rows(key: str, limit: int, before: int | None, db: Connection) -> list[MessageRow]:
    rows = db.execute(
        "SELECT position, id, body, run FROM messages WHERE session = (SELECT id FROM sessions WHERE key = ?)"
        " AND position < ? ORDER BY position DESC LIMIT ?",
        (key, 2**62 if before is None else before, limit),
    )
    return [read_row(row) for row in rows][::-1]


def read_row(row: Sequence[Any]) -> MessageRow:
    position, id, body, run = row
    return MessageRow(position, id, _decode_object(body), run)


def compact(key: str, keep: int, db: Connection) -> int | None:
    session = find_session(key, db)
    if session is None:
        return None
    forgotten = db.execute(
        "DELETE FROM messages WHERE session = ?1 AND position <="
        " (SELECT position FROM messages WHERE session = ?1 ORDER BY position DESC LIMIT 1 OFFSET ?2)",
        (session.id, keep),
    ).rowcount
    db.execute("UPDATE sessions SET messages = messages - ? WHERE key = ?", (forgotten, key))
    return forgotten
