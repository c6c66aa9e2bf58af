"""`agent` from a shell: one message, its answer, and an exit code for each end."""

import json
import signal

import pytest

from gateway.exits import ExitCode
from tests.cli.talking import ECHO, LONG, Talking
from tests.effort import daily
from tests.pty_screen import CTRL_C

pytestmark = pytest.mark.process


def test_the_answer_is_printed_whole(talking: Talking) -> None:
    done = talking.cli("agent", "-m", "one two", "--session", "a1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"\n\n{ECHO}one two\n") and done.stdout.count(ECHO) == 1


def test_the_message_may_come_from_a_pipe(talking: Talking) -> None:
    done = talking.cli("agent", "-m", "-", "--session", "a2", input="from a pipe\n")
    assert done.stdout.endswith(f"{ECHO}from a pipe\n")
    assert talking.cli("agent", "-m", "-", input="").returncode == ExitCode.USAGE
    assert talking.cli("agent").returncode == ExitCode.USAGE


def test_json_has_what_came_of_it(talking: Talking) -> None:
    done = talking.cli("agent", "-m", "one", "--session", "a3", "--json")
    answer = json.loads(done.stdout)
    assert answer["ok"] is True
    payload = answer["payload"]
    assert (payload["status"], payload["summary"]) == ("ok", "completed")
    assert payload["result"]["payloads"][0]["text"].endswith(f"{ECHO}one")


def test_the_agent_has_a_main_session(talking: Talking) -> None:
    assert talking.cli("agent", "-m", "to main", "--agent", "main").returncode == 0
    assert talking.said("main")[-2] == "user: to main"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--agent", "nobody"], "INVALID_REQUEST", 'unknown agent id "nobody"'),
        (["--session", "a4", "--model", "nobody/x"], "UNAVAILABLE", "nobody"),
    ],
)
def test_a_failure_is_a_sentence(talking: Talking, words: list[str], code: str, said: str) -> None:
    done = talking.cli("agent", "-m", "x", *words)
    assert done.returncode == ExitCode.FAILURE and done.stdout == ""
    assert said in done.stderr and f"({code})" in done.stderr
    done = talking.cli("agent", "-m", "x", "--json", *words)
    assert done.returncode == ExitCode.FAILURE
    error = json.loads(done.stdout)["error"]
    assert error["code"] == code and said in error["message"]


def test_an_answer_that_takes_too_long_is_ended(talking: Talking) -> None:
    done = talking.cli("agent", "-m", LONG, "--session", "a5", "--timeout", "0.5")
    assert done.returncode == ExitCode.TIMEOUT
    assert done.stderr == "error: no answer within 0.5 s; it was stopped\n"
    talking.until(lambda: not talking.busy("a5"))


def test_nobody_there(talking: Talking) -> None:
    assert talking.cli("agent", "-m", "x", "--url", "ws://127.0.0.1:1").returncode == ExitCode.NOT_RUNNING


def test_ctrl_c_ends_the_answer(talking: Talking) -> None:
    with talking.open("agent", "-m", LONG, "--session", "a6") as process:
        talking.until(lambda: talking.busy("a6"))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    talking.until(lambda: not talking.busy("a6"))


def test_an_answer_that_somebody_else_stops(talking: Talking) -> None:
    with talking.open("agent", "-m", LONG, "--session", "a7") as process:
        talking.until(lambda: talking.busy("a7"))
        talking.call("chat.abort", sessionKey="a7")
        assert process.wait(20) == ExitCode.FAILURE
        assert process.stderr is not None
        assert process.stderr.read() == "error: the answer was stopped\n"


def test_a_terminal_gets_it_as_it_comes(talking: Talking) -> None:
    with talking.terminal("agent", "-m", LONG, "--session", "a8") as terminal:
        terminal.until("No model is configured")
        terminal.until("w1 w2 w3")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert not terminal.shown.rstrip().endswith("w1999")
    with talking.terminal("agent", "-m", "one two", "--session", "a8") as terminal:
        assert terminal.end() == 0
        assert terminal.shown.endswith(f"\n\n{ECHO}one two\n")
        assert terminal.shown.count(ECHO) == 1


def test_a_terminal_is_told_of_a_failure_once(talking: Talking) -> None:
    with talking.terminal("agent", "-m", "x", "--session", "a9", "--model", "nobody/x") as terminal:
        assert terminal.end() == ExitCode.FAILURE
        assert terminal.shown.count("error:") == 1


@pytest.mark.parametrize("fault", daily(["restart", "crash"], "crash"))
def test_an_answer_over_a_restart(mortal: Talking, fault: str) -> None:
    question = " ".join(f"w{number}" for number in range(60))
    with mortal.terminal("agent", "-m", question) as terminal:
        terminal.until("No model is")
        if fault == "restart":
            assert mortal.cli("restart").returncode == 0
        else:
            mortal.crash()
        assert terminal.end() == 0
        assert terminal.shown.split()[-60:] == question.split()
        assert terminal.shown.count(ECHO) == 1
    assert len(mortal.said("main")) == 2
