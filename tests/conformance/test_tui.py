"""The conversation in a terminal, with a small program in place of OpenClaw's."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance import tui
from conformance.verdict import Run

pytestmark = [pytest.mark.process, pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")]
PROGRAM = """
import os, select, signal, sys, textwrap, tty
tty.setcbreak(0)

def leave(*_):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(0)

def read(seconds):
    return os.read(0, 4096).decode() if select.select([0], [], [], seconds)[0] else ""

def answer(text):
    print(textwrap.fill(text, 100))
    print("You said:")
    for word in text.split():
        print(word, flush=True)
        if "stopped" in word and "\\x1b" in read(0.01):
            return print("run aborted")
    print(MORE)

signal.signal(signal.SIGINT, leave)
typed = ""
print("gateway connected | idle", flush=True)
while True:
    typed += read(10)
    while "\\n" in typed:
        line, _, typed = typed.partition("\\n")
        answer(line)
        print("connected | idle", flush=True)
"""


STEPS = ("message", "Escape", "restart", "Ctrl-C")


class FakeTui:
    version, protocol = "2026.9.6", 4

    def __init__(self, more: str) -> None:
        self._program = f"MORE = {more!r}\n{PROGRAM}"

    def words(self, command: str) -> list[str]:
        assert command == "tui --session terminal-4"
        return [sys.executable, "-c", self._program]


class Restarted:
    """A gateway that counts its restarts."""

    enter: tuple[str, ...] = ()
    restarts = 0

    def restart(self) -> None:
        self.restarts += 1


def talk(more: str, gateway: Any) -> list[Run]:
    client: Any = FakeTui(more)
    return list(tui.talk(client, Path("/"), gateway))


def test_a_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tui, "PAUSE_SECONDS", 0.05)
    gateway = Restarted()
    runs = talk("", gateway)
    assert [each.command for each in runs] == ["tui", *(f"tui, {step}" for step in STEPS)]
    assert [each.trouble for each in runs] == [[]] * 5
    assert gateway.restarts == 1 and "run aborted" in runs[2].stdout and "ended with 0" in runs[-1].stdout


def test_words_that_come_twice_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tui, "PAUSE_SECONDS", 0.05)
    assert "not twice: said3" in talk(" said3", Restarted())[1].trouble
