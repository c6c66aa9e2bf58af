import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.spending import note, note_once, spent_on
from gateway.sessions.sqlite import writable
from tests.sessions.talk import MAIN, NOW, assistant


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = writable(tmp_path / "a.sqlite", MIGRATIONS)
    yield connection
    connection.close()


def test_an_answer_is_tokens_and_dollars() -> None:
    assert spent_on(MAIN, "main", assistant("x")) == (
        *(NOW, MAIN, "main", "mock", "m1", 10, 5, 2, 1),
        *(0.9375, 0.5, 0.25, 0.125, 0.0625),
    )


@pytest.mark.parametrize("usage", [None, {}, {"input": None, "cost": None}])
def test_what_is_not_known_is_nothing_and_has_no_price(usage: object) -> None:
    answer = spent_on(MAIN, "main", assistant("x", usage=usage, provider=None, model=None))
    assert answer == (NOW, MAIN, "main", "", "", 0, 0, 0, 0, None, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("usage", [7, {"input": "x"}, {"input": [1]}, {"cost": 7}, {"cost": {"total": "x"}}])
def test_nonsense_says_so(usage: object) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        spent_on(MAIN, "main", assistant("x", usage=usage))


def test_the_same_answer_is_noted_once_if_it_is_to_be(db: sqlite3.Connection) -> None:
    first, second = spent_on(MAIN, "main", assistant("x")), spent_on(MAIN, "main", assistant("x", NOW + 1))
    note_once([first, second, first], db)
    note_once([second], db)
    assert db.execute("SELECT at FROM usage").fetchall() == [(NOW,), (NOW + 1,)]
    note(first, db)
    assert db.execute("SELECT count(*) FROM usage").fetchone() == (3,)
