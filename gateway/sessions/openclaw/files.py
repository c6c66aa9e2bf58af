"""Sessions of OpenClaw 2026.2.1: `agents/<id>/sessions/sessions.json`, and a JSON Lines file for each session.

A transcript is read twice, and never as a whole: once for the tree of its lines, once for the lines that are kept.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from gateway.link.messages import MAX_LINE
from gateway.sessions.openclaw.chain import HEADER, MESSAGE, NEWEST, UNREADABLE, EventPlace, Tree, decode_head
from gateway.sessions.openclaw.entry import time_ms
from gateway.sessions.openclaw.transcript import Candidate, Nothing, Transcript, UnlistedAgent, UnreadableSession
from gateway.text.unicode import well_formed_json

INDEX = "sessions.json"
_FILE_NAME = re.compile(r"[\w.-]{1,200}", re.ASCII)


def candidates(agent: str, folder: Path) -> Iterator[Candidate | UnlistedAgent]:
    """The sessions of one agent. `folder`: its folder."""
    index = folder / "sessions" / INDEX
    try:
        entries = msgspec.json.decode(well_formed_json(index.read_bytes()))
    except FileNotFoundError:
        return
    except (OSError, *UNREADABLE) as error:
        yield UnlistedAgent(agent, f"{index}: {error}")
        return
    if not isinstance(entries, dict):
        yield UnlistedAgent(agent, f"{index}: it is no object")
        return
    for key, entry in entries.items():
        found: dict[str, Any] = entry if isinstance(entry, dict) else {}
        yield Candidate(agent, key, found, partial(_read, folder / "sessions", found))


def orphans(folder: Path, known: Collection[str | None]) -> int:
    """The number of transcripts that no session refers to: those before a reset. `known`: `name` of each entry."""
    return len({path.name for path in (folder / "sessions").glob("*.jsonl")} - set(known))


def name(entry: dict[str, Any]) -> str | None:
    """The name of a session's transcript. It lies beside the index, even if the entry has another folder."""
    file, id = entry.get("sessionFile"), entry.get("sessionId")
    name = Path(file).name if isinstance(file, str) and file.strip() else f"{id}.jsonl"
    return name if isinstance(id, str) and _FILE_NAME.fullmatch(name) else None


@contextmanager
def _read(folder: Path, entry: dict[str, Any]) -> Iterator[Transcript]:
    if (file_name := name(entry)) is None:
        raise UnreadableSession("its entry names no transcript")
    try:
        file = (folder / file_name).open("rb")
    except FileNotFoundError:
        yield Nothing()
        return
    except OSError as error:
        raise UnreadableSession(f"{folder / file_name}: {error.strerror}") from error
    with file:
        yield _Lines(file)


class _Lines:
    def __init__(self, file: BinaryIO) -> None:
        self.began = 0
        self.left_out: dict[str, int] = Counter()
        self._file = file
        tree = Tree()
        for at, line in _lines(file):
            self._add(tree, at, line)
        self.branch: Sequence[EventPlace] = tree.branch()
        messages = sum(place.kind == MESSAGE for place in tree.places)
        self.left_out["messages on other branches"] = messages - sum(place.kind == MESSAGE for place in self.branch)

    def _add(self, tree: Tree, at: int, line: bytes | None) -> None:
        if line is None:
            self.left_out[f"lines of more than {MAX_LINE} bytes"] += 1
            return
        try:
            head = decode_head(well_formed_json(line))
        except UNREADABLE:
            self.left_out["lines that cannot be read"] += 1  # the last line may be incomplete
            return
        if head.type != HEADER:
            tree.add(head, at, len(line))
            return
        self.began = time_ms(head.timestamp)
        if isinstance(head.version, int) and head.version > NEWEST:
            raise UnreadableSession(f"its transcript has version {head.version}; known are those up to {NEWEST}")

    def text(self, place: EventPlace) -> bytes:
        self._file.seek(place.at)
        return well_formed_json(self._file.read(place.size))


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Offset of each line, and the line; None for one that is too long."""
    while True:
        at, line = file.tell(), file.readline(MAX_LINE + 1)
        if not line:
            return
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            yield at, None
        elif not line.isspace():
            yield at, line
