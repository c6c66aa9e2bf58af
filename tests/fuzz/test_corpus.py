from pathlib import Path

import pytest

from gateway.config.dotenv import parse_dotenv
from tests.fuzz import corpus
from tests.fuzz.corpus import MAX_BYTES, choose, edges, inputs, keep, name


def reached(*lines: int) -> set[tuple[str, int, int]]:
    return {("file", 0, line) for line in lines}


SIZES = {"a": 3, "b": 2, "c": 1, "d": 1}


@pytest.mark.parametrize(
    ("known", "fresh", "room", "chosen"),
    [
        (reached(), {}, 9, []),
        (reached(1, 2), {"a": reached(1, 2)}, 9, []),
        (reached(), {"a": reached(1), "b": reached(1, 2)}, 9, ["b"]),
        (reached(), {"a": reached(1), "b": reached(1)}, 9, ["b"]),
        (reached(), {"c": reached(1), "d": reached(1)}, 9, ["c"]),
        (reached(1), {"a": reached(1, 2, 3), "b": reached(1, 4), "c": reached(2)}, 9, ["a", "b"]),
        (reached(), {"a": reached(1, 2, 3), "b": reached(4, 5), "c": reached(6)}, 2, ["a", "b"]),
        (reached(), {"a": reached(1)}, 0, []),
        (reached(), {"a": reached(1)}, -1, []),
    ],
)
def test_what_reaches_most_that_is_new_is_kept(
    known: set[corpus.Edge], fresh: dict[str, set[corpus.Edge]], room: int, chosen: list[str]
) -> None:
    assert choose(known, fresh, room, SIZES) == chosen


def test_ways_through_the_product_are_told_apart() -> None:
    def one(data: bytes) -> None:
        parse_dotenv(data.decode())

    plain, quoted = edges(one, b"A=1"), edges(one, b"A='1'")
    assert plain and plain != quoted and plain == edges(one, b"B=2")
    assert {Path(file).name for file, _, _ in plain} == {"dotenv.py"}


def test_only_inputs_of_a_bearable_size_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "fits").write_bytes(b"x" * MAX_BYTES)
    (tmp_path / "over").write_bytes(b"x" * (MAX_BYTES + 1))
    assert inputs(tmp_path) == {name(b"x" * MAX_BYTES): b"x" * MAX_BYTES}


def test_what_is_kept_stays_and_only_news_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(data: bytes) -> None:
        parse_dotenv(data.decode())

    monkeypatch.setattr(corpus, "FOLDER", tmp_path / "corpus")
    found = tmp_path / "found"
    found.mkdir()
    (found / "x").write_bytes(b"A=1")
    assert keep("t", one, found) == [name(b"A=1")]
    (found / "y").write_bytes(b"B=2")
    (found / "z").write_bytes(b"C='3'")
    assert keep("t", one, found) == [name(b"C='3'")]
    monkeypatch.setattr(corpus, "MAX_FILES", 2)
    (found / "w").write_bytes(b"no line")
    assert keep("t", one, found) == []
    assert {*inputs(tmp_path / "corpus" / "t")} == {name(b"A=1"), name(b"C='3'")}
