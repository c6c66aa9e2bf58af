import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sessions.openclaw.tables import candidates
from gateway.sessions.openclaw.transcript import Candidate, UnlistedAgent, UnreadableSession
from tests.sessions.openclaw.state import add_session, event, snapshot, write_tables

KEY = "agent:main:main"
HEADER = '{"type":"session","version":4,"id":"s1","timestamp":"2026-11-25T03:19:56.606Z","cwd":"/home/u/ws"}'
EVENTS = [HEADER, event("a", None, "one"), event("b", "a", "two"), event("c", "b", "three")]
LONG = bytes.fromhex(
    "28b52ffd647605f5030092881b1b80c7391d554be7bbefaf55369aa7c0b40b06a5238428144d26b1d351e496361534c7d8c0e9010964def70d"
    "b921633cdde1f87ccf8f710e6dbac12d1568baa9766581294295682ad5f7cd5274e445e9a7f71eb83f080dd9299aa7673223481adf1fcad339"
    "2962e4e57b6e0e7d2803002ce643803ad4ff8cd28219dfd3aa90"
)
"""A message with three hundred words, as `zstd -1` compresses it."""


@pytest.fixture
def openclaw(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    database = write_tables(tmp_path)
    yield database
    database.close()


def folder(tmp_path: Path) -> Path:
    return tmp_path / "agents" / "main"


def read(tmp_path: Path) -> list[str | None]:
    """The ids of the events of the only session's branch."""
    ids: list[str | None] = []
    for found in candidates("main", folder(tmp_path)):
        assert isinstance(found, Candidate)
        with found.read() as transcript:
            ids = [place.id for place in transcript.branch]
            assert [json.loads(transcript.text(place))["id"] for place in transcript.branch] == ids
    return ids


def test_the_path_is_the_one_that_openclaw_has_found(tmp_path: Path, openclaw: sqlite3.Connection) -> None:
    add_session(openclaw, KEY, "s1", EVENTS, [1, 3], '{"label": "Trip"}')
    (found,) = candidates("main", folder(tmp_path))
    assert isinstance(found, Candidate)
    assert (found.agent, found.key, found.entry) == ("main", KEY, {"label": "Trip", "sessionId": "s1"})
    assert read(tmp_path) == ["a", "c"]


def test_where_it_has_found_none_yet_it_is_the_last_branch(tmp_path: Path, openclaw: sqlite3.Connection) -> None:
    add_session(openclaw, KEY, "s1", [*EVENTS, event("d", "a", "four")], None)
    assert read(tmp_path) == ["a", "d"]


def test_what_is_compressed_is_read(tmp_path: Path, openclaw: sqlite3.Connection) -> None:
    add_session(openclaw, KEY, "s1", [LONG], [0], size=1654)
    assert read(tmp_path) == ["c0ffee00"]


def test_what_is_damaged_refuses_its_session_and_no_other(tmp_path: Path, openclaw: sqlite3.Connection) -> None:
    add_session(openclaw, KEY, "s1", [LONG[:-9]], [0], size=1654)
    add_session(openclaw, "agent:main:other", "s2", EVENTS, [1])
    seen = []
    for found in candidates("main", folder(tmp_path)):
        assert isinstance(found, Candidate)
        try:
            with found.read() as transcript:
                seen.append(len(transcript.branch))
        except UnreadableSession as error:
            assert str(error) == "a message of it is damaged: it cannot be decompressed"
    assert seen == [1]


def test_an_event_that_cannot_be_read_costs_itself(tmp_path: Path, openclaw: sqlite3.Connection) -> None:
    add_session(openclaw, KEY, "s1", [*EVENTS, "{"], [1, 4, 2])
    for found in candidates("main", folder(tmp_path)):
        assert isinstance(found, Candidate)
        with found.read() as transcript:
            assert [place.id for place in transcript.branch] == ["a", "b"]
            assert transcript.left_out == {"events that cannot be read": 1}


def test_a_cold_archive_is_told(tmp_path: Path, openclaw: sqlite3.Connection) -> None:
    add_session(openclaw, KEY, "s1", [], [])
    openclaw.execute("INSERT INTO session_transcript_cold_archives VALUES ('s1')")
    with pytest.raises(UnreadableSession, match="cold archive; open it there once"):
        read(tmp_path)


@pytest.mark.parametrize("entry", ["", "[]", "{"])
def test_an_entry_that_is_none_is_empty(tmp_path: Path, openclaw: sqlite3.Connection, entry: str) -> None:
    add_session(openclaw, KEY, "s1", EVENTS, [1], entry)
    assert read(tmp_path) == ["a"]


def test_a_form_that_is_not_known_refuses_the_agent(tmp_path: Path, openclaw: sqlite3.Connection) -> None:
    openclaw.execute("ALTER TABLE session_nodes RENAME TO sessions_v99")
    (found,) = candidates("main", folder(tmp_path))
    assert isinstance(found, UnlistedAgent)
    assert found.why.endswith("openclaw-agent.sqlite: no such table: session_nodes")


def test_it_is_of_one_moment_while_openclaw_writes(tmp_path: Path, openclaw: sqlite3.Connection) -> None:
    add_session(openclaw, KEY, "s1", EVENTS, [1, 2])
    found = candidates("main", folder(tmp_path))
    first = next(found)
    assert isinstance(first, Candidate)
    openclaw.execute("DELETE FROM session_transcript_active_events")
    with first.read() as transcript:
        assert len(transcript.branch) == 2
    found.close()  # type: ignore[attr-defined]


def test_nothing_of_openclaws_is_changed(tmp_path: Path, openclaw: sqlite3.Connection) -> None:
    add_session(openclaw, KEY, "s1", EVENTS, [1, 2])
    openclaw.close()
    before = snapshot(tmp_path)
    assert list(before) == ["agents/main/agent/openclaw-agent.sqlite"]
    assert read(tmp_path) == ["a", "b"]
    assert snapshot(tmp_path) == before


def test_an_agent_without_a_database_has_none(tmp_path: Path) -> None:
    assert list(candidates("main", tmp_path)) == []
