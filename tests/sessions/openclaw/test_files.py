import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from gateway.sessions.openclaw import files
from gateway.sessions.openclaw.files import candidates, name, orphans
from gateway.sessions.openclaw.transcript import Candidate, UnlistedAgent, UnreadableSession
from tests.sessions.openclaw.state import LINES, SESSION, event, write_files

KEY = "agent:main:main"
ENTRY = {"sessionId": SESSION}


def only(folder: Path) -> Candidate:
    (found,) = candidates("main", folder)
    assert isinstance(found, Candidate)
    return found


def read(folder: Path) -> tuple[list[Any], dict[str, int], int]:
    """The events of the branch, what is left out, and when it began."""
    with only(folder).read() as transcript:
        events = [json.loads(transcript.text(place)) for place in transcript.branch]
        return events, {what: count for what, count in transcript.left_out.items() if count}, transcript.began


def test_a_transcript_of_2026_2_1_is_read(tmp_path: Path) -> None:
    folder = write_files(tmp_path, {KEY: ENTRY}, {f"{SESSION}.jsonl": LINES})
    found = only(folder)
    assert (found.agent, found.key, found.entry) == ("main", KEY, ENTRY)
    events, left_out, began = read(folder)
    assert events == [json.loads(line) for line in LINES[1:]]
    assert (left_out, began) == ({}, 1795340414198)


def test_a_line_that_is_half_costs_itself(tmp_path: Path) -> None:
    lines = [*LINES[:4], '{"type":"mess', "", "not json", *LINES[4:], LINES[5][:70]]
    events, left_out, _ = read(write_files(tmp_path, {KEY: ENTRY}, {f"{SESSION}.jsonl": lines}, end=""))
    assert events == [json.loads(line) for line in LINES[1:]]
    assert left_out == {"lines that cannot be read": 3}


@pytest.mark.parametrize(("over", "kept"), [(0, 2), (1, 1)])
def test_a_line_that_is_too_long_costs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: int, kept: int
) -> None:
    long = event("a", None, "x" * 1000)
    monkeypatch.setattr(files, "MAX_LINE", len(long) - over)
    folder = write_files(tmp_path, {KEY: ENTRY}, {f"{SESSION}.jsonl": [long, event("b", "a", "y")]}, end="")
    events, left_out, _ = read(folder)
    assert len(events) == kept
    assert left_out == ({f"lines of more than {len(long) - 1} bytes": 1} if over else {})


def test_other_branches_are_counted(tmp_path: Path) -> None:
    lines = [event("a", None, "x"), event("b", "a", "x"), event("c", "b", "x"), event("d", "a", "x")]
    events, left_out, _ = read(write_files(tmp_path, {KEY: ENTRY}, {f"{SESSION}.jsonl": lines}))
    assert [each["id"] for each in events] == ["a", "d"]
    assert left_out == {"messages on other branches": 2}


def test_a_version_that_is_not_known_is_refused(tmp_path: Path) -> None:
    header = '{"type":"session","version":5,"id":"x"}'
    folder = write_files(tmp_path, {KEY: ENTRY}, {f"{SESSION}.jsonl": [header]})
    with pytest.raises(UnreadableSession, match="its transcript has version 5; known are those up to 4"):
        read(folder)


def test_a_session_without_a_transcript_is_empty(tmp_path: Path) -> None:
    assert read(write_files(tmp_path, {KEY: ENTRY}, {})) == ([], {}, 0)


def test_a_transcript_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    folder = write_files(tmp_path, {KEY: ENTRY}, {})
    (folder / "sessions" / f"{SESSION}.jsonl").mkdir()
    with pytest.raises(UnreadableSession, match=f"{SESSION}.jsonl: Is a directory"):
        read(folder)


def test_a_large_transcript_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    lines = [
        event("a", None, "x" * 1_000_000),
        *(event(str(n), str(n - 1) if n else "a", "y" * 999_999) for n in range(30)),
    ]
    folder = write_files(tmp_path, {KEY: ENTRY}, {f"{SESSION}.jsonl": lines})
    del lines
    tracemalloc.start()
    with only(folder).read() as transcript:
        assert sum(len(transcript.text(place)) for place in transcript.branch) > 30_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"sessionId": "abc"}, "abc.jsonl"),
        ({"sessionId": "abc", "sessionFile": "/elsewhere/abc-topic-7.jsonl"}, "abc-topic-7.jsonl"),
        ({"sessionId": "abc", "sessionFile": " "}, "abc.jsonl"),
        ({"sessionId": "../../../etc/passwd"}, None),
        ({"sessionId": "a", "sessionFile": "/x/a b.jsonl"}, None),
        ({"sessionId": 7}, None),
        ({"sessionFile": "/x/a.jsonl"}, None),
        ({}, None),
    ],
)
def test_a_transcript_lies_beside_the_index(entry: dict[str, Any], expected: str | None) -> None:
    assert name(entry) == expected


def test_an_entry_that_names_none_is_unreadable(tmp_path: Path) -> None:
    for entry in ({}, 7, {"sessionId": "a/b"}):
        with pytest.raises(UnreadableSession, match="its entry names no transcript"):
            read(write_files(tmp_path, {KEY: entry}, {}))


@pytest.mark.parametrize(("text", "why"), [("{", "truncated"), ("[]", "it is no object")])
def test_an_index_that_cannot_be_read_refuses_the_agent(tmp_path: Path, text: str, why: str) -> None:
    folder = write_files(tmp_path, {}, {})
    (folder / "sessions" / "sessions.json").write_text(text)
    (found,) = candidates("main", folder)
    assert isinstance(found, UnlistedAgent)
    assert found.agent == "main" and "sessions.json" in found.why and why in found.why


def test_an_agent_without_sessions_has_none(tmp_path: Path) -> None:
    assert list(candidates("main", tmp_path)) == []


def test_transcripts_that_no_session_refers_to_are_counted(tmp_path: Path) -> None:
    backup = f"{SESSION}.jsonl.bak.2026-11-25"
    folder = write_files(tmp_path, {KEY: ENTRY}, {f"{SESSION}.jsonl": LINES, "old.jsonl": LINES, backup: LINES})
    assert orphans(folder, [f"{SESSION}.jsonl", None]) == 1
    assert orphans(tmp_path / "nowhere", []) == 0
