"""Sessions of OpenClaw 2026.9.6: `agents/<id>/agent/openclaw-agent.sqlite`.

One snapshot is read, also while OpenClaw writes to the database.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from gateway.sessions.openclaw.chain import HEADER, UNREADABLE, EventPlace, Tree, decode_head
from gateway.sessions.openclaw.entry import time_ms
from gateway.sessions.openclaw.transcript import Candidate, Transcript, UnlistedAgent, UnreadableSession
from gateway.sessions.openclaw.zstd import NoZstd, decompress
from gateway.sessions.sqlite import explain, snapshot_reader
from gateway.text.unicode import well_formed_json

FILE = "openclaw-agent.sqlite"
MAX_EVENT = 4 * 1024 * 1024
"""Most bytes of an event that OpenClaw compresses."""

_EVENT = "SELECT event_json, event_zstd, event_utf8_bytes FROM transcript_events WHERE session_id = ? AND seq = ?"
_ALL = "SELECT seq FROM transcript_events WHERE session_id = ? ORDER BY seq"
_ACTIVE = "SELECT event_seq FROM session_transcript_active_events WHERE session_id = ? ORDER BY active_position"
_INDEXED = "SELECT 1 FROM session_transcript_index_state WHERE session_id = ? AND needs_rebuild = 0"
_COLD = "SELECT 1 FROM session_transcript_cold_archives WHERE session_id = ?"


def candidates(agent: str, folder: Path) -> Iterator[Candidate | UnlistedAgent]:
    """The sessions of one agent. `folder`: its folder. Read each before you ask for the next."""
    path = folder / "agent" / FILE
    if not path.exists():
        return
    try:
        with closing(snapshot_reader(path)) as database:
            database.execute("BEGIN")
            nodes = database.execute("SELECT session_key, current_session_id, entry_json FROM session_nodes").fetchall()
            for key, id, text in nodes:
                entry = _object(text) | {"sessionId": id}
                yield Candidate(agent, key, entry, partial(_read, database, id))
    except sqlite3.Error as error:
        yield UnlistedAgent(agent, f"{path}: {explain(error)}")


def _object(text: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(well_formed_json(text.encode()))
    except UNREADABLE:
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _read(database: sqlite3.Connection, id: str) -> Iterator[Transcript]:
    yield _Events(database, id)


class _Events:
    def __init__(self, database: sqlite3.Connection, id: str) -> None:
        self.began = 0
        self.left_out: dict[str, int] = {}
        self._database = database
        self._id = id
        try:
            if database.execute(_COLD, (id,)).fetchone() is not None:
                raise UnreadableSession("its transcript is in OpenClaw's cold archive; open it there once")
            self.branch = self._branch()
        except sqlite3.Error as error:
            raise UnreadableSession(explain(error)) from error

    def _branch(self) -> Sequence[EventPlace]:
        """The active branch from OpenClaw's index, or found here if there is no index."""
        indexed = self._database.execute(_INDEXED, (self._id,)).fetchone() is not None
        tree = Tree()
        for (seq,) in self._database.execute(_ACTIVE if indexed else _ALL, (self._id,)).fetchall():
            try:
                head = decode_head(self._text(seq))
            except UNREADABLE:
                self.left_out["events that cannot be read"] = self.left_out.get("events that cannot be read", 0) + 1
                continue
            if head.type == HEADER:
                self.began = time_ms(head.timestamp)
            else:
                tree.add(head, seq, 0)
        return tree.places if indexed else tree.branch()

    def text(self, place: EventPlace) -> bytes:
        try:
            return self._text(place.at)
        except sqlite3.Error as error:
            raise UnreadableSession(explain(error)) from error

    def _text(self, seq: int) -> bytes:
        text, compressed, size = self._database.execute(_EVENT, (self._id, seq)).fetchone()
        if compressed is None:
            return well_formed_json(str(text).encode())
        try:
            return well_formed_json(decompress(compressed, min(int(size), MAX_EVENT)))
        except (NoZstd, ValueError) as error:
            raise UnreadableSession(f"a message of it is {error}") from error
