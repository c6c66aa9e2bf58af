import io
import itertools
import sys

import pytest

from gateway.terminal import spinner as module
from gateway.terminal.spinner import Spinner
from tests.fakes.tty import FakeTerminal


class Stream(FakeTerminal):
    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


def shown(monkeypatch: pytest.MonkeyPatch, frames: int, encoding: str = "utf-8") -> str:
    """What is shown until the spinner has been drawn so often, and at its end."""
    monkeypatch.setattr(module, "STEP_S", 0.001)
    stream = Stream(encoding)
    spinner = Spinner("thinking", quiet_s=0, out=stream)
    spinner.start()
    spinner.start()
    while stream.getvalue().count("\r") < frames:
        pass
    spinner.stop()
    spinner.stop()
    return stream.getvalue()


@pytest.mark.parametrize(("encoding", "frames"), [("utf-8", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"), ("ascii", "|/-\\")])
def test_it_comes_and_goes(monkeypatch: pytest.MonkeyPatch, encoding: str, frames: str) -> None:
    first, *drawn, last = shown(monkeypatch, 5, encoding).split("\r")
    assert (first, last) == ("", "\x1b[K")
    assert drawn == [f"{frame} thinking" for frame, _ in zip(itertools.cycle(frames), drawn, strict=False)]


def test_nothing_is_shown_where_no_terminal_is() -> None:
    stream = io.StringIO()
    with Spinner("starting", quiet_s=0, out=stream):
        pass
    assert stream.getvalue() == ""


def test_a_short_wait_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen := Stream("utf-8"))
    with Spinner("starting", quiet_s=60):
        pass
    assert screen.getvalue() == ""


def test_a_long_wait_shows_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONG_S", 0)
    assert shown(monkeypatch, 1).startswith("\r⠋ thinking 0 s")


def test_it_can_be_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP_S", 0.001)
    spinner = Spinner("thinking", quiet_s=0, out=(stream := Stream("utf-8")))
    for number in (1, 2):
        spinner.start()
        while stream.getvalue().count("⠋") < number:
            pass
        spinner.stop()
        assert stream.getvalue().count("\x1b[K") == number
