"""Import the sessions of OpenClaw's state folder. It can be repeated at any time, also while the gateway runs.

A session that exists already is not changed, and neither are OpenClaw's files. A session appears complete or not at
all: its messages are written in several transactions, so that other writers need not wait for long, and belong to no
session until the last one adds it.
"""

import fcntl
import os
import re
import secrets
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gateway.errors import GatewayError
from gateway.link.spec import Message
from gateway.sessions import keys
from gateway.sessions.openclaw import entry as reading
from gateway.sessions.openclaw import files, tables
from gateway.sessions.openclaw.chain import MESSAGE, UNREADABLE, steps
from gateway.sessions.openclaw.transcript import Candidate, Transcript, UnlistedAgent, UnreadableSession
from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.spending import Answer, note_once, spent_on
from gateway.sessions.sqlite import StorageFailed, command_reader, explain, schema_version, writable
from gateway.sessions.transcripts import add, insert, label_taken

PIECE = 4 * 1024 * 1024
"""Bytes of messages in one transaction."""
LEAST_PAUSE_S = 0.01
"""The least pause after a transaction, in which others may write; after a longer one it is as long as that."""
PATIENCE_MS = 60_000
"""The longest wait for a gateway that writes without a pause."""
HERE = "it is here already"
_ID = re.compile(r"[\w-]{8,64}", re.ASCII)
_MESSAGE_ID = re.compile(r"[0-9a-f]{8}")


class Skipped(Struct, frozen=True):
    agent: str
    key: str | None
    """None: all sessions of the agent."""
    why: str


class Brought(Struct, frozen=True):
    key: str
    messages: int


class ImportReport(Struct):
    source: str
    dry_run: bool
    sessions: list[Brought] = []
    skipped: list[Skipped] = []
    left_out: dict[str, int] = {}
    """Counts of what was dropped of the imported sessions, by name."""
    orphans: int = 0
    """Transcripts that no session refers to."""


class Naming(Struct, frozen=True):
    """The part of the config that session keys depend on."""

    main_key: str
    scope: str


class Import:
    def __init__(self, source: Path, database: Path, naming: Naming, *, dry_run: bool = False) -> None:
        """`source`: OpenClaw's state folder."""
        self.report = ImportReport(str(source), dry_run)
        self._source = source
        self._path = database
        self._naming = naming
        self._left_out = Counter[str]()

    def run(self, told: Callable[[str], None] = lambda key: None) -> ImportReport:
        """Import all sessions. `told` is called with the key of each before it is read.

        Raises StorageFailed, and GatewayError without a source or while another import runs.
        """
        if not (self._source / "agents").is_dir():
            raise GatewayError(f"{self._source} is no state folder of OpenClaw's: it has no agents")
        try:
            with self._database() as database:
                for found in self._candidates():
                    if isinstance(found, UnlistedAgent):
                        self._skip(found.agent, None, found.why)
                    else:
                        told(found.key)
                        self._take(found, database)
        except (sqlite3.Error, OSError) as error:
            raise StorageFailed(f"cannot import into {self._path}: {explain(error)}; what is there stays") from error
        self.report.left_out = {what: count for what, count in self._left_out.items() if count}
        return self.report

    # -- one session -------------------------------------------------------------------------------------------------

    def _take(self, found: Candidate, database: sqlite3.Connection | None) -> None:
        try:
            key = keys.canonical(found.key, found.agent, self._naming.main_key, self._naming.scope)
            if self._is_here(key, database):
                raise UnreadableSession(HERE)
            with found.read() as transcript:
                self._bring(key, found, transcript, database)
        except (keys.BadKey, UnreadableSession) as error:
            self._skip(found.agent, found.key, str(error))

    def _bring(self, key: str, found: Candidate, transcript: Transcript, database: sqlite3.Connection | None) -> None:
        agent, left_out = keys.owner(key, found.agent), Counter(transcript.left_out)
        messages = _messages(transcript, left_out)
        if database is None or self.report.dry_run:
            count = sum(1 for _ in messages)
        else:
            writing = _Writing(database, key, agent, _free_id(found.entry, database))
            try:
                for id, message, size in messages:
                    writing.add(id, message, size)
                count = writing.finish(found.entry, transcript.began, left_out)
            except UnreadableSession:
                writing.forget()
                raise
        self.report.sessions.append(Brought(key, count))
        self._left_out += left_out

    def _is_here(self, key: str, database: sqlite3.Connection | None) -> bool:
        if any(brought.key == key for brought in self.report.sessions):
            return True
        here = "SELECT 1 FROM sessions WHERE key = ?"
        return database is not None and database.execute(here, (key,)).fetchone() is not None

    def _skip(self, agent: str, key: str | None, why: str) -> None:
        self.report.skipped.append(Skipped(agent, key, why))

    # -- from and into what --------------------------------------------------------------------------------------------

    def _candidates(self) -> Iterator[Candidate | UnlistedAgent]:
        """The sessions of all agents. Those of 2026.9.6 come first, because they are newer."""
        for folder in sorted((self._source / "agents").iterdir()):
            if not folder.is_dir():
                continue
            if not keys.AGENT_ID.fullmatch(folder.name):
                yield UnlistedAgent(folder.name, "its name is no agent's id")
                continue
            yield from tables.candidates(folder.name, folder)
            known: list[str | None] = []
            for found in files.candidates(folder.name, folder):
                known.append(files.name(found.entry) if isinstance(found, Candidate) else None)
                yield found
            self.report.orphans += files.orphans(folder, known)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection | None]:
        if self.report.dry_run:
            if not self._path.exists():
                yield None
                return
            with closing(command_reader(self._path)) as database:
                yield database if schema_version(database, self._path, len(MIGRATIONS)) else None
            return
        with closing(writable(self._path, MIGRATIONS)) as database, _alone(self._path.parent):
            database.execute(f"PRAGMA busy_timeout={PATIENCE_MS}")
            yield database


class _Writing:
    """One session that is written in several transactions."""

    def __init__(self, database: sqlite3.Connection, key: str, agent: str, id: str) -> None:
        self._database = database
        self._key, self._agent, self._id = key, agent, id
        self._piece: list[tuple[str, Message]] = []
        self._size = 0
        self._count = 0
        self._first = self._last = 0
        self._spent: list[Answer] = []
        self.forget()  # messages that an interrupted import left

    def add(self, id: str, message: Message, size: int) -> None:
        self._piece.append((id, message))
        self._size += size
        self._first = self._first or message["timestamp"]
        self._last = max(self._last, message["timestamp"])
        if message["role"] == "assistant":
            with suppress(TypeError, ValueError, AttributeError):  # OpenClaw's costs may be malformed
                self._spent.append(spent_on(self._key, self._agent, message))
        if self._size >= PIECE:
            with _transaction(self._database):
                self._write()

    def finish(self, entry: dict[str, Any], began: int, left_out: Counter[str]) -> int:
        """Add the session. Returns the number of its messages. Raises UnreadableSession if it exists meanwhile."""
        with _transaction(self._database):
            self._write()
            began = began or self._first
            session = reading.session(self._key, self._id, self._agent, entry, began, self._last, self._count)
            if label_taken(session.entry.get("label", ""), self._agent, self._key, self._database):
                del session.entry["label"]
                left_out["labels that another session has"] += 1
            added = add(session, self._database)
            if added:
                note_once(self._spent, self._database)
        if not added:
            raise UnreadableSession(HERE)
        return self._count

    def forget(self) -> None:
        gone = "DELETE FROM messages WHERE position IN (SELECT position FROM messages WHERE session = ? LIMIT 1000)"
        while True:
            with _transaction(self._database):
                if not self._database.execute(gone, (self._id,)).rowcount:
                    return

    def _write(self) -> None:
        for id, message in self._piece:
            insert(self._id, id, message, None, message["timestamp"], self._database)
        self._count += len(self._piece)
        self._piece, self._size = [], 0


def _messages(transcript: Transcript, left_out: Counter[str]) -> Iterator[tuple[str, Message, int]]:
    """The messages to keep of a transcript: id, message, and size in bytes. Raises UnreadableSession."""
    before, chosen = transcript.began, steps(transcript.branch)
    on_branch = sum(place.kind == MESSAGE for place in transcript.branch)
    left_out["messages before a reset"] += on_branch - sum(not step.summary for step in chosen)
    for step in chosen:
        text = transcript.text(step.place)
        try:
            found = (reading.summary if step.summary else reading.message)(msgspec.json.decode(text), before)
        except UNREADABLE:
            found = "messages that cannot be read"
        if isinstance(found, str):
            left_out[found] += 1
            continue
        before = found["timestamp"]
        id = step.place.id or ""
        yield id if _MESSAGE_ID.fullmatch(id) else secrets.token_hex(4), found, len(text)


def _free_id(entry: dict[str, Any], database: sqlite3.Connection) -> str:
    """The id of the session: OpenClaw's, because clients may know it, unless it is unusable or taken."""
    id = entry.get("sessionId")
    taken = "SELECT 1 FROM sessions WHERE id = ?"
    if isinstance(id, str) and _ID.fullmatch(id) and database.execute(taken, (id,)).fetchone() is None:
        return id
    return str(uuid.uuid4())


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    """A transaction and a pause. Without a pause the gateway, which polls for the lock, would hardly get it."""
    began = time.monotonic()
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")
    time.sleep(max(LEAST_PAUSE_S, time.monotonic() - began))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of imports: two would write into the same transcripts. Raises GatewayError if it is taken."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GatewayError("another import is going on") from None
        yield
    finally:
        os.close(fd)
