import io
import sys

import pytest

from gateway.terminal.progress import waiting
from tests.fakes.tty import FakeTerminal


def test_nothing_is_shown_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    with waiting("starting", quiet_for=0):
        pass
    assert screen.getvalue() == ""


def test_a_short_wait_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = FakeTerminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with waiting("starting", quiet_for=60):
        pass
    assert screen.getvalue() == ""


def test_a_long_wait_shows_itself_and_cleans_up(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = FakeTerminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with waiting("starting", quiet_for=0):
        while "starting" not in screen.getvalue():
            pass
    assert screen.getvalue().startswith("\rstarting … 0 s")
    assert screen.getvalue().endswith("\r\x1b[K")
