"""Real terminals, in which small programs run."""

import os
import shutil
import sys
import time

import pytest

from conformance.terminal import Terminal, plain

pytestmark = [pytest.mark.process, pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")]
ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8"}
LIMIT = 10.0


def python(program: str) -> list[str]:
    return [sys.executable, "-u", "-c", program]


def test_what_is_typed_comes_to_the_program_and_its_answer_onto_the_screen() -> None:
    program = 'print("ready"); print("You said:", input()); raise SystemExit(3)'
    with Terminal("test", python(program), ENVIRONMENT) as terminal:
        assert terminal.until(lambda seen: "ready" in seen, LIMIT)
        assert terminal.exit() is None
        terminal.type("one; two $HOME")
        terminal.press("Enter")
        assert terminal.until(lambda seen: "You said: one; two $HOME" in seen, LIMIT)
        end = time.monotonic() + LIMIT
        while terminal.exit() is None:
            assert time.monotonic() < end
        assert terminal.exit() == 3


def test_what_does_not_come_is_not_waited_for_longer() -> None:
    with Terminal("test", python("input()"), ENVIRONMENT) as terminal:
        assert not terminal.until(lambda seen: "never" in seen, 0.2)


def test_wrapped_lines_are_one_text() -> None:
    assert plain("  one\n two\n\nthree ") == "one two three"
