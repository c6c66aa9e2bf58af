"""OpenClaw's state folder, as the real ones write it: lines captured from 2026.2.1, tables from 2026.9.6."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SESSION = "432ae18c-69b8-42e6-9c54-4bdc697bf66f"
LINES = (
    '{"type":"session","version":3,"id":"432ae18c-69b8-42e6-9c54-4bdc697bf66f","timestamp":"2026-11-22T09:40:14.198Z",'
    '"cwd":"/home/u/ws"}',
    '{"type":"model_change","id":"5514da5f","parentId":null,"timestamp":"2026-11-22T09:40:14.199Z","provider":"mock",'
    '"modelId":"m1"}',
    '{"type":"thinking_level_change","id":"c076ecd6","parentId":"5514da5f","timestamp":"2026-11-22T09:40:14.199Z",'
    '"thinkingLevel":"off"}',
    '{"type":"custom","customType":"model-snapshot","data":{"timestamp":1795340414199,"provider":"mock","modelApi":'
    '"openai-completions","modelId":"m1"},"id":"a41c0172","parentId":"c076ecd6","timestamp":"2026-11-22T09:40:14.199Z"}',
    '{"type":"message","id":"76839b89","parentId":"a41c0172","timestamp":"2026-11-22T09:40:14.201Z","message":{"role":'
    '"user","content":[{"type":"text","text":"hey"}],"timestamp":1795340414200}}',
    '{"type":"message","id":"5712f122","parentId":"76839b89","timestamp":"2026-11-22T09:40:15.210Z","message":{"role":'
    '"assistant","content":[{"type":"text","text":"Hello! This is a mock reply."}],"api":"openai-completions",'
    '"provider":"mock","model":"m1","usage":{"input":10,"output":5,"cacheRead":0,"cacheWrite":0,"totalTokens":15,'
    '"cost":{"input":0,"output":0,"cacheRead":0,"cacheWrite":0,"total":0}},"stopReason":"stop",'
    '"timestamp":1795340414201}}',
)
ASKED, ANSWERED = 1795340414200, 1795340414201

TABLES = """
CREATE TABLE session_nodes (
  session_key TEXT NOT NULL PRIMARY KEY, current_session_id TEXT NOT NULL, entry_json TEXT NOT NULL
) STRICT;
CREATE TABLE transcript_events (
  session_id TEXT NOT NULL, seq INTEGER NOT NULL, event_json TEXT, created_at INTEGER NOT NULL, event_zstd BLOB,
  event_utf8_bytes INTEGER, navigation_json TEXT, PRIMARY KEY (session_id, seq)
) STRICT;
CREATE TABLE session_transcript_active_events (
  session_id TEXT NOT NULL, active_position INTEGER NOT NULL, event_seq INTEGER NOT NULL, message_position INTEGER,
  context_eligible INTEGER, PRIMARY KEY (session_id, active_position)
) STRICT;
CREATE TABLE session_transcript_index_state (
  session_id TEXT NOT NULL PRIMARY KEY, indexed_seq INTEGER NOT NULL, leaf_event_id TEXT,
  needs_rebuild INTEGER NOT NULL DEFAULT 0, active_event_count INTEGER NOT NULL DEFAULT 0,
  active_message_count INTEGER NOT NULL DEFAULT 0, updated_at INTEGER NOT NULL
) STRICT;
CREATE TABLE session_transcript_cold_archives (session_id TEXT NOT NULL PRIMARY KEY) STRICT;
PRAGMA user_version = 23;
"""


def write_files(
    state: Path, entries: dict[str, Any], lines: dict[str, Sequence[str]], agent: str = "main", end: str = "\n"
) -> Path:
    """The form of 2026.2.1; returns the agent's folder. `lines`: of the transcripts, by file name."""
    folder = state / "agents" / agent / "sessions"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sessions.json").write_text(json.dumps(entries))
    for name, texts in lines.items():
        (folder / name).write_text("\n".join(texts) + end)
    return folder.parent


def write_tables(state: Path, agent: str = "main") -> sqlite3.Connection:
    """The form of 2026.9.6, in WAL mode as OpenClaw has it open."""
    folder = state / "agents" / agent / "agent"
    folder.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(folder / "openclaw-agent.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.executescript(TABLES)
    return database


def add_session(
    database: sqlite3.Connection,
    key: str,
    id: str,
    events: Sequence[str | bytes],
    active: Sequence[int] | None,
    entry: str = "{}",
    size: int = 0,
) -> None:
    """`active`: the numbers of the events on the active path, None where that is not indexed."""
    database.execute("INSERT INTO session_nodes VALUES (?, ?, ?)", (key, id, entry))
    for seq, event in enumerate(events):
        text, compressed = (event, None) if isinstance(event, str) else (None, event)
        database.execute(
            "INSERT INTO transcript_events VALUES (?, ?, ?, 0, ?, ?, NULL)", (id, seq, text, compressed, size)
        )
    rebuild = active is None
    database.execute("INSERT INTO session_transcript_index_state VALUES (?, 0, NULL, ?, 0, 0, 0)", (id, rebuild))
    for position, seq in enumerate(active or ()):
        row = (id, position, seq)
        database.execute("INSERT INTO session_transcript_active_events VALUES (?, ?, ?, NULL, 1)", row)


def event(id: str, parent: str | None, text: str, **more: Any) -> str:
    """A message of a user's."""
    said = {"role": "user", "content": text, "timestamp": ASKED}
    return json.dumps({"type": "message", "id": id, "parentId": parent, "message": said, **more})


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
