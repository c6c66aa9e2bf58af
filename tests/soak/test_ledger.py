"""What the soak reads from a real database, and what it finds wrong there."""

import asyncio
from pathlib import Path

from gateway.link.spec import Message
from gateway.sessions.records import Progress, RunRequest
from gateway.sessions.store import Store
from tests.soak.book import Question, Stored
from tests.soak.ledger import compare, read

SESSION = "agent:main:s"


def message(role: str, text: str) -> Message:
    return {"role": role, "content": [{"type": "text", "text": text}], "timestamp": 1}


def question(id: str, says: str | None = "") -> Question:
    return Question(id, SESSION, "plain", id, f"You said: {id}" if says == "" else says, end="final")


async def talk(path: Path, *answered: str) -> None:
    store = Store(path)
    await store.open(1)
    for id in (*answered, "waits"):
        await store.accept(id, SESSION, "main", RunRequest(message("user", id)), 1)
    for id in answered:
        await store.begin(id, 2)
        said = {1: message("assistant", f"You said: {id}")}
        await store.end(Progress(id, 1, "", said=said, attempt=1), "done", 3, stop_reason="stop")
    await store.close()


def test_a_database_is_read(tmp_path: Path) -> None:
    asyncio.run(talk(tmp_path / "conversations.sqlite", "one", "two"))
    found, messages = read(tmp_path / "conversations.sqlite")
    assert messages == 4
    assert [run.said for run in found.values()] == [["You said: one"], ["You said: two"], []]
    assert compare([question("one"), question("two")], found) == [
        "waits is queued and nothing goes on",
        "waits is on disk, and nobody has asked it",
    ]


def stored(id: str, number: int, position: int) -> Stored:
    return Stored(id, "done", number, [position], [f"You said: {id}"])


def test_what_is_not_on_disk_or_in_another_order_is_found() -> None:
    both = [question("one"), question("two")]
    assert compare(both, {"one": stored("one", 1, 1), "two": stored("two", 2, 3)}) == []
    assert "not on disk" in compare(both, {"one": stored("one", 1, 1)})[0]
    assert "not in the order" in compare(both, {"one": stored("one", 1, 3), "two": stored("two", 2, 1)})[0]


def test_a_command_does_not_wait_for_its_turn() -> None:
    both = [question("one"), question("two", None)]
    assert compare(both, {"one": stored("one", 1, 3), "two": stored("two", 2, 1)}) == []
