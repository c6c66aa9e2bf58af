"""Bring along the sessions of OpenClaw's state folder. It can be done again at any time, also while the gateway runs.

A session that is here already stays as it is, and of OpenClaw's files nothing is changed. A session appears whole or
not at all: its messages are written in pieces, so that nobody waits for long, and are nobody's until the last piece
brings the session itself.
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
"""Between two transactions, in which others may write; it is as long as the one before, if that took longer."""
PATIENCE_MS = 60_000
"""For a gateway that writes and writes."""
HERE = "it is here already"
_ID = re.compile(r"[\w-]{8,64}", re.ASCII)
_MESSAGE_ID = re.compile(r"[0-9a-f]{8}")


class Skipped(Struct, frozen=True):
    agent: str
    key: str | None
    """None for all of an agent."""
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
    """What of the sessions that were brought has no place here, counted."""
    orphans: int = 0
    """Transcripts that no session refers to."""


class Naming(Struct, frozen=True):
    """What a session's key needs of the config."""

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
        """`told` hears each session's key before it is read. Raises StorageFailed; GatewayError without a source."""
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
        """Of each agent the newer form first: where both are there, the older is what was before."""
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
    """A session that comes piece by piece."""

    def __init__(self, database: sqlite3.Connection, key: str, agent: str, id: str) -> None:
        self._database = database
        self._key, self._agent, self._id = key, agent, id
        self._piece: list[tuple[str, Message]] = []
        self._size = 0
        self._count = 0
        self._first = self._last = 0
        self._spent: list[Answer] = []
        self.forget()  # what an import that was killed has left

    def add(self, id: str, message: Message, size: int) -> None:
        self._piece.append((id, message))
        self._size += size
        self._first = self._first or message["timestamp"]
        self._last = max(self._last, message["timestamp"])
        if message["role"] == "assistant":
            with suppress(TypeError, ValueError, AttributeError):  # what it cost is none of ours, and may be nonsense
                self._spent.append(spent_on(self._key, self._agent, message))
        if self._size >= PIECE:
            with _transaction(self._database):
                self._write()

    def finish(self, entry: dict[str, Any], began: int, left_out: Counter[str]) -> int:
        """The session is there; how many messages it has. Raises Unreadable if it began here meanwhile."""
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
    """What is kept of a transcript: id, message, and bytes. Raises Unreadable."""
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
    """OpenClaw's own, by which clients may know the session, unless it has none that could be one here."""
    id = entry.get("sessionId")
    taken = "SELECT 1 FROM sessions WHERE id = ?"
    if isinstance(id, str) and _ID.fullmatch(id) and database.execute(taken, (id,)).fetchone() is None:
        return id
    return str(uuid.uuid4())


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    """One after the other would leave no gap for the gateway, which looks only now and then whether there is one."""
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
    """Two imports at once would write into the same transcripts. Raises GatewayError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GatewayError("another import is going on") from None
        yield
    finally:
        os.close(fd)
