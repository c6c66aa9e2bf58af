import os
import shutil

import pytest

from gateway.terminal.format import MAX_COLUMNS, columns, duration, title_of


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.44, "0.4 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("terminal", "used"), [(40, 40), (MAX_COLUMNS, MAX_COLUMNS), (MAX_COLUMNS + 1, MAX_COLUMNS)])
def test_a_line_is_no_longer_than_one_can_read(terminal: int, used: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((terminal, 24)))
    assert columns() == used


@pytest.mark.parametrize(
    ("row", "title"),
    [
        ({"label": "l", "displayName": "d", "derivedTitle": "t"}, "l"),
        ({"displayName": "d", "derivedTitle": "t"}, "d"),
        ({"label": "", "derivedTitle": "t"}, "t"),
        ({}, ""),
    ],
)
def test_a_title_is_the_first_that_is_there(row: dict[str, str], title: str) -> None:
    assert title_of(row) == title
