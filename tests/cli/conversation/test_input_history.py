from pathlib import Path

import pytest

from gateway.cli.conversation import input_history as module
from gateway.cli.conversation.input_history import InputHistory


def test_what_was_typed_is_there_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "state" / "gateway" / "chat-history"
    for text in ("one", "two\nlines", "drei ü"):
        InputHistory(path).store_string(text)
    assert list(InputHistory(path).load_history_strings()) == ["drei ü", "two\nlines", "one"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_nothing_was_typed_yet(tmp_path: Path) -> None:
    past = InputHistory(tmp_path / "chat-history")
    assert list(past.load_history_strings()) == [] and past.problem is None


def test_the_older_half_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 40)
    past = InputHistory(tmp_path / "chat-history")
    for number in range(8):  # five bytes each: the file is full, and not over
        past.store_string(f"{number:02}")
    assert len(list(past.load_history_strings())) == 8
    past.store_string("08")
    assert list(past.load_history_strings()) == ["08", "07", "06", "05", "04"]
    assert (tmp_path / "chat-history").stat().st_mode & 0o777 == 0o600


def test_what_was_pasted_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRY", 10)
    past = InputHistory(tmp_path / "chat-history")
    past.store_string("1234567")
    past.store_string("12345678")
    assert list(past.load_history_strings()) == ["1234567"]


def test_lines_that_nobody_wrote_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "chat-history"
    path.write_bytes(b'"one"\n{broken\n5\n\xff\n"two"\n')
    assert list(InputHistory(path).load_history_strings()) == ["two", "one"]


def test_a_folder_that_takes_nothing_is_a_problem_and_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    past = InputHistory(tmp_path / "file" / "chat-history")
    past.store_string("one")
    assert isinstance(past.problem, OSError)
    past = InputHistory(tmp_path)
    assert list(past.load_history_strings()) == [] and past.problem is not None
