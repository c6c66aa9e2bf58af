"""A conversation in a terminal, over everything that can happen to the gateway: no word lost, none doubled."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.faults import RESTARTERS, agent_crash, cold, crash
from tests.e2e.gateway import TOKEN, Gateway
from tests.effort import daily, share
from tests.pty_screen import CTRL_D, ENTER, ENVIRON, Terminal

PACE_MS = 40
WORDS = [f"w{number}" for number in range(80)]
QUESTIONS = share(5, 2)
PROMPT, ECHO = "› ", "You said: "


@pytest.fixture
def talking(unrationed: Gateway) -> Gateway:
    config = {"gateway": {"auth": {"token": TOKEN}}, "models": {"providers": {"builtin": {"paceMs": PACE_MS}}}}
    unrationed.configure(json.dumps(config))
    unrationed.reload()
    return unrationed


@contextmanager
def chat(gateway: Gateway, *words: str) -> Iterator[Terminal]:
    def start(stdin: int, stdout: int, stderr: int, **_: object) -> object:
        standard = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        return gateway.manager.popen("openclaw-gateway", "chat", *words, env=ENVIRON, **standard)

    with Terminal(start) as terminal:  # type: ignore[arg-type]
        yield terminal


def answered(terminal: Terminal) -> list[str]:
    return re.findall(r"\bw\d+\b", terminal.shown.rpartition(ECHO)[2])


def notes(terminal: Terminal) -> list[str]:
    return [line for line in terminal.shown.splitlines() if line.startswith("· ")]


FAULTS = {**RESTARTERS, "agent": agent_crash}


@pytest.mark.parametrize("fault", daily(FAULTS, "agent", "crash"))
def test_an_answer_over_it(talking: Gateway, fault: str) -> None:
    with chat(talking, " ".join(WORDS)) as terminal:
        terminal.until(f"{ECHO}w0")
        FAULTS[fault](talking)
        terminal.until(f"{WORDS[-1]}\n")
        terminal.until(PROMPT)
        assert answered(terminal) == WORDS
        # A crash may cost the connection, and then it says so.
        assert fault == "crash" or notes(terminal) == []


def test_three_restarts_during_one_answer(talking: Gateway) -> None:
    with chat(talking, " ".join(WORDS)) as terminal:
        for mark, fault in (("No model", cold), (f"{ECHO}w0", crash), ("w40", cold)):
            terminal.until(mark)
            fault(talking)
        terminal.until(f"{WORDS[-1]}\n")
        terminal.until(PROMPT)
        assert answered(terminal) == WORDS


def test_a_question_while_the_gateway_dies(talking: Gateway) -> None:
    """Whichever of the two comes first: it is asked once, and answered once."""
    with chat(talking) as terminal:
        terminal.until(PROMPT)
        for number in range(QUESTIONS):
            terminal.type(f"question{number} again{number}" + ENTER)
            crash(talking)
            terminal.until(f"{ECHO}question{number} again{number}\n")
            terminal.until(PROMPT)
        terminal.type(CTRL_D)
        assert terminal.end() == 0
    told = talking.command("sessions", "show", "main", "--json").stdout
    messages = json.loads(told)["payload"]["messages"]
    assert [each["role"] for each in messages] == ["user", "assistant"] * QUESTIONS
    for number in range(QUESTIONS):
        assert terminal.shown.count(f"{ECHO}question{number} again{number}\n") == 1
