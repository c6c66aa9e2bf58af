"""`chat` in a pipe: one question, its answer, and nothing else."""

import json
import re
import signal
import subprocess
import sys
from subprocess import DEVNULL
from typing import Any

import pytest

from gateway.exits import ExitCode
from gateway.text.visible import visible
from tests.cli.forked import Forked
from tests.cli.talking import ECHO, LONG, Talking
from tests.effort import daily
from tests.pty_screen import ENVIRON, Terminal
from tests.slack import LIMIT_S

pytestmark = pytest.mark.process


def test_the_answer_is_all_that_is_printed(talking: Talking) -> None:
    done = talking.cli("chat", "--session", "pipe", input="one  two\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"\n\n{ECHO}one  two\n")
    assert talking.said("pipe") == ["user: one  two", f"assistant: {done.stdout.strip()}"]


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (["chat", "--session", "started", "hi"], f"{ECHO}hi\n"),
        (["agent", "--session", "started", "-m", "hi"], f"{ECHO}hi\n"),
        (["sessions", "--search", "no such thing"], "no session\n"),
    ],
)
def test_started_as_a_user_starts_it(talking: Talking, words: list[str], end: str) -> None:
    command = [sys.executable, "-m", "gateway", *words]
    done = subprocess.run(command, env=talking.environ, capture_output=True, text=True, timeout=LIMIT_S)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.endswith(end)


def test_a_message_and_what_is_piped_are_one_question(talking: Talking) -> None:
    done = talking.cli("chat", "--session", "both", "Review", "this:", input="a diff\n")
    assert done.stdout.endswith(f"{ECHO}Review this:\n\na diff\n")
    assert talking.cli("chat", "--session", "both", "alone").stdout.endswith(f"{ECHO}alone\n")


EVIL = "\x1b]52;c;eA==\x07\x1b]0;title\x07\x1b]8;;http://x\x07\x1b[2J\x9b2J\u202e\u2066\u2028\U000e0041"
"""Clipboard, title, link, screen, C1, direction, line, tag."""
OURS = re.compile(r"\x1b\[(2m|36m|0m|K)|\r")
"""Colours, and how the sign goes away."""


@pytest.mark.parametrize("words", daily(["chat", "chat --json", "agent -m", "agent --json -m"], "chat"))
def test_an_answer_does_not_steer_the_terminal_at_the_end_of_a_pipe(talking: Talking, words: str) -> None:
    name, *options = words.split()
    whole = [name, "--session", "evil", *options, EVIL]

    def start(**more: Any) -> Any:
        return Forked(whole, {**talking.environ, **ENVIRON}, **more | {"stdin": DEVNULL})

    with Terminal(start) as terminal:
        assert terminal.end() == 0
    assert all(letter.isprintable() or letter == "\n" for letter in OURS.sub("", terminal.raw)), terminal.raw
    shown = json.dumps(EVIL)[1:-1].replace("\x9b", r"\u009b") if "--json" in options else visible(EVIL)
    assert shown in terminal.raw


def test_an_answer_goes_into_a_pipe_as_it_is(talking: Talking) -> None:
    assert talking.cli("chat", "--session", "evil-pipe", input=EVIL).stdout.endswith(f"{EVIL}\n")
    assert talking.cli("agent", "--session", "evil-pipe", "-m", "-", input=EVIL).stdout.endswith(f"{EVIL}\n")


def test_nothing_to_say(talking: Talking) -> None:
    done = talking.cli("chat", input=" \n")
    assert done.returncode == ExitCode.USAGE
    assert "nothing to say" in done.stderr


def test_json_is_an_object_for_each_event(talking: Talking) -> None:
    done = talking.cli("chat", "--session", "json", "--json", input="one two three")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0] == {"event": "begin", "run": events[0]["run"]}
    assert events[-1]["event"] == "end" and events[-1]["state"] == "final"
    assert "".join(event["text"] for event in events if event["event"] == "text") == events[-1]["text"]
    assert events[-1]["text"].endswith("one two three")
    assert {event["run"] for event in events} == {events[0]["run"]}


def test_what_others_say_meanwhile_is_not_the_answer(talking: Talking) -> None:
    with talking.open("chat", "--session", "shared", "--json", "first") as first:
        assert first.stdout is not None
        first.stdout.readline()  # it goes on
        second = talking.cli("chat", "--session", "shared", "second")
        assert second.stdout.endswith(f"{ECHO}second\n") and second.stdout.count(ECHO) == 1
        assert json.loads(first.stdout.read().splitlines()[-1])["text"].endswith("first")


def test_commands_of_the_gateway(talking: Talking) -> None:
    assert "Session: agent:main:commands" in talking.cli("chat", "--session", "commands", "/status").stdout
    assert talking.cli("chat", "--session", "commands", "/stop").stdout == "nothing is going on\n"


def test_a_model_for_the_session(talking: Talking) -> None:
    done = talking.cli("chat", "--session", "model", "--model", "builtin/echo", "hi")
    assert done.returncode == 0
    done = talking.cli("chat", "--session", "model", "--model", "nobody/x", "hi")
    assert done.returncode == ExitCode.FAILURE
    assert "nobody" in done.stderr and done.stdout == ""


def test_a_session_that_cannot_be(talking: Talking) -> None:
    done = talking.cli("chat", "--session", "agent:x", "hi")
    assert done.returncode == ExitCode.FAILURE
    assert done.stderr.startswith("error: a session key has the form")


def test_nobody_there(talking: Talking) -> None:
    done = talking.cli("chat", "--url", "ws://127.0.0.1:1", "hi")
    assert done.returncode == ExitCode.NOT_RUNNING


def test_ctrl_c_ends_the_answer(talking: Talking) -> None:
    with talking.open("chat", "--session", "interrupted", "--json", LONG) as process:
        talking.until(lambda: talking.busy("interrupted"))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    talking.until(lambda: not talking.busy("interrupted"))
    answers = [text for text in talking.said("interrupted") if text.startswith("assistant: ")]
    assert not any(text.endswith(LONG) for text in answers), "of which there is none yet on a busy machine"


@pytest.mark.parametrize("fault", daily(["restart", "crash"], "restart"))
def test_an_answer_over_a_restart(mortal: Talking, fault: str) -> None:
    question = " ".join(f"w{number}" for number in range(60))
    with mortal.open("chat", "--json", question) as process:
        assert process.stdout is not None and process.stderr is not None
        lines = [process.stdout.readline() for _ in range(3)]
        if fault == "restart":
            assert mortal.cli("restart").returncode == 0
        else:
            mortal.crash()
        events = [json.loads(line) for line in [*lines, *process.stdout]]
        assert process.stderr.read() == ""
    assert {event["event"] for event in events} == {"begin", "text", "end"}
    assert "".join(event["text"] for event in events if event["event"] == "text") == events[-1]["text"]
    assert events[-1]["text"].endswith(f"{ECHO}{question}")
