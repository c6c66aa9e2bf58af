"""A conversation as somebody has it: a real gateway, a real process, a terminal."""

import json
import re
import signal

import pytest

from gateway.exits import ExitCode
from gateway.text.visible import visible
from tests.cli.talking import ECHO, LONG, Talking
from tests.pty_screen import ALT_ENTER, CTRL_C, CTRL_D, ENTER, UP, Terminal

pytestmark = pytest.mark.process


PROMPT = "› "
WORDS = [f"w{number}" for number in range(60)]


def words(terminal: Terminal) -> list[str]:
    """Those of the question that have been answered; they are typed, and so shown, once more before."""
    return re.findall(r"\bw\d+\b", terminal.shown.rpartition(ECHO)[2])


def test_a_conversation_from_its_first_line_to_its_end(talking: Talking) -> None:
    with talking.terminal("chat", "--session", "t1") as terminal:
        header = terminal.until(PROMPT).splitlines()[0]
        assert header == f"builtin/echo · agent:main:t1 · {talking.environ['OPENCLAW_GATEWAY_URL']}"
        terminal.type("one two" + ENTER)
        assert "No model is configured" in terminal.until(f"{ECHO}one two\n")
        terminal.until(PROMPT)
        terminal.type(CTRL_D)
        assert terminal.end() == 0
    assert talking.said("t1")[0] == "user: one two"
    with talking.terminal("chat", "--session", "t1") as terminal:
        shown = terminal.until(f"{ECHO}one two\n\n{PROMPT}")
        assert f"\n{PROMPT}one two\nNo model is configured" in shown
        terminal.type(UP + ENTER)  # what was typed the last time
        terminal.until(f"{ECHO}one two\n")
        terminal.until(PROMPT)
        terminal.type(CTRL_C)
        assert terminal.end() == 0
    assert len(talking.said("t1")) == 4
    past = talking.state / "gateway" / "chat-history"
    assert past.stat().st_mode & 0o777 == 0o600
    assert json.loads(past.read_text().splitlines()[-1]) == "one two"


def test_a_first_message_is_said_at_once(talking: Talking) -> None:
    with talking.terminal("chat", "--session", "t2", "one", "two") as terminal:
        terminal.until(f"\n{PROMPT}one two\n")
        terminal.until(f"{ECHO}one two\n")
        terminal.until(PROMPT)
        terminal.type("exit" + ENTER)
        assert terminal.end() == 0


def test_of_what_was_said_before_the_last_questions_are_shown(talking: Talking) -> None:
    for number in range(4):
        assert talking.cli("chat", "--session", "t12", f"question {number}").returncode == 0
    with talking.terminal("chat", "--session", "t12") as terminal:
        shown = terminal.until(f"{ECHO}question 3\n\n{PROMPT}")
        assert re.findall(f"{PROMPT}(.*)", shown) == ["question 1", "question 2", "question 3", ""]


def test_several_lines(talking: Talking) -> None:
    with talking.terminal("chat", "--session", "t3") as terminal:
        terminal.until(PROMPT)
        terminal.type(f"one\\{ENTER}two{ALT_ENTER}three{ENTER}")
        terminal.until(f"{ECHO}one\ntwo\nthree\n")
    assert talking.said("t3")[0] == "user: one\ntwo\nthree"


def test_ctrl_c_ends_the_answer_and_not_the_conversation(talking: Talking) -> None:
    with talking.terminal("chat", "--session", "t4", LONG) as terminal:
        terminal.until(f"{ECHO}w0 w1 w2")
        terminal.type(CTRL_C)
        terminal.until("\n· stopped\n")
        terminal.until(PROMPT)
        assert not talking.busy("t4")
        terminal.type("next" + ENTER)
        terminal.until(f"{ECHO}next\n")
        terminal.until(PROMPT)
        terminal.type("half" + CTRL_C + CTRL_C)
        assert terminal.end() == 0
    assert talking.said("t4")[2] == "user: next"


def test_what_is_typed_meanwhile_is_for_the_next_prompt(talking: Talking) -> None:
    with talking.terminal("chat", "--session", "t5") as terminal:
        terminal.until(PROMPT)
        terminal.type("first" + ENTER)
        terminal.until("No model")
        terminal.type("second")
        assert "second" not in terminal.until(f"{ECHO}first\n")
        terminal.until(PROMPT)
        terminal.type(ENTER)
        terminal.until(f"{ECHO}second\n")


def test_what_others_say_is_shown_above_what_is_being_typed(talking: Talking) -> None:
    with talking.terminal("chat", "--session", "t6") as terminal:
        terminal.until(PROMPT)
        terminal.type("half a")
        terminal.until("half a")
        assert talking.cli("chat", "--session", "t6", "somebody else").returncode == 0
        terminal.until(f"{PROMPT}somebody else\n")
        terminal.until(f"{ECHO}somebody else\n")
        terminal.until(f"{PROMPT}half a")
        talking.call("chat.inject", sessionKey="t6", message="And this.")
        terminal.until("And this.\n")
        terminal.type(" question" + ENTER)
        terminal.until(f"{ECHO}half a question\n")


def test_an_answer_that_goes_on_already_is_shown(talking: Talking) -> None:
    with talking.open("agent", "-m", LONG, "--session", "t7"):
        talking.until(lambda: talking.busy("t7"))
        with talking.terminal("chat", "--session", "t7") as terminal:
            terminal.until(f"{PROMPT}w0 w1 w2")
            terminal.until("No model is configured")
            terminal.until("w11 w12")
        talking.call("chat.abort", sessionKey="t7")


def test_commands(talking: Talking) -> None:
    with talking.terminal("chat", "--session", "t8", "hello") as terminal:
        terminal.until(f"{ECHO}hello\n")
        steps = {
            "/help": "/compact   Sum up",
            "/status": "Session: agent:main:t8",
            "/sessions": "* agent:main:t8  ",
            "/session": "· agent:main:t8\n",
            "/history 1": "Session: agent:main:t8",
            "/stats": "· there is no /stats (/status?)",
            "/stop": "· nothing is going on\n",
            "/session t8b": "builtin/echo · agent:main:t8b · ",
        }
        for typed, shown in steps.items():
            terminal.until(PROMPT)
            terminal.type(typed + ENTER)
            terminal.until(shown)
        terminal.until(PROMPT)
        terminal.type("over here" + ENTER)
        terminal.until(f"{ECHO}over here\n")
        terminal.until(PROMPT)
        terminal.type("/session agent:x" + ENTER)
        terminal.until("error: a session key has the form")
        terminal.until(PROMPT)
        terminal.type("/quit" + ENTER)
        assert terminal.end() == 0
    assert talking.said("t8b")[0] == "user: over here"


def test_a_command_is_completed(talking: Talking) -> None:
    with talking.terminal("chat", "--session", "t9") as terminal:
        terminal.until(PROMPT)
        terminal.type("/mod")
        terminal.until("Show the model, or choose another")
        terminal.type(CTRL_C + "/model built")
        terminal.until("builtin/echo")
        terminal.type("\t" + ENTER)
        terminal.until("Model: builtin/echo\n")


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {}])
def test_colours(talking: Talking, environ: dict[str, str]) -> None:
    with talking.terminal("chat", "--session", "t10", "**hello**", **environ) as terminal:
        terminal.until(f"{ECHO}**hello**\n")
        terminal.until(PROMPT)
        coloured = re.search(r"\x1b\[[\d;]*3[0-7][\d;]*m", terminal.raw)
        assert (coloured is None) == bool(environ)


def test_nothing_that_is_said_steers_the_terminal(talking: Talking) -> None:
    evil = "\x1b]52;c;eA==\x07\x1b]0;t\x07\x1b]8;;h\x07\x1b[2J\x9b2J\u202e\u2066\u2028\U000e0041"
    talking.call("sessions.patch", key="t13x", label=evil)
    with talking.terminal("chat", "--session", "t13", evil) as terminal:
        terminal.until(f"{PROMPT}{visible(evil)}\n")
        terminal.until(f"{ECHO.strip()}\n{visible(evil)}\n")
        terminal.until(PROMPT)
        terminal.type("/sessions" + ENTER)
        terminal.until(f"  {visible(evil)}\n")
        terminal.until(PROMPT)
        terminal.type("/session t13")
        terminal.until("agent:main:t13")
        terminal.type(CTRL_C + CTRL_D)
        assert terminal.end() == 0
    assert not re.search("\x1b][058]|\x07|[\x80-\x9f\u202e\u2066\u2028\U000e0041]", terminal.raw)


def test_the_wait_for_the_first_word_shows(mortal: Talking) -> None:
    with mortal.terminal("chat") as terminal:
        terminal.until(PROMPT)
        mortal.signal(signal.SIGSTOP)
        terminal.type("hello" + ENTER)
        terminal.until_waiting()
        mortal.signal(signal.SIGCONT)
        terminal.until(f"{ECHO}hello\n")
        assert "thinking" not in terminal.shown


def test_a_signal_to_end_leaves_the_terminal_as_it_was(talking: Talking) -> None:
    with talking.terminal("chat", "--session", "t11", LONG) as terminal:
        terminal.until(f"{ECHO}w0 w1")
        terminal.signal(signal.SIGTERM)
        assert terminal.end() == 0
        assert terminal.echoes
    talking.call("chat.abort", sessionKey="t11")


def test_nobody_there(talking: Talking) -> None:
    with talking.terminal("chat", "--url", "ws://127.0.0.1:1") as terminal:
        assert terminal.end() == ExitCode.NOT_RUNNING
        assert terminal.shown.startswith("error: no gateway answers")


def test_a_hot_restart_is_not_noticed(mortal: Talking) -> None:
    with mortal.terminal("chat", " ".join(WORDS)) as terminal:
        terminal.until("No model is")
        assert mortal.cli("restart").returncode == 0
        terminal.until("w59\n")
        terminal.until(PROMPT)
        assert words(terminal) == WORDS
        assert "·" not in terminal.shown.partition(ECHO)[2]


def test_a_crash_costs_no_word(mortal: Talking) -> None:
    with mortal.terminal("chat", " ".join(WORDS)) as terminal:
        terminal.until("No model is")
        mortal.crash()
        assert "trying to come back" in terminal.until("· connected again after")
        terminal.until("w59\n")
        terminal.until(PROMPT)
        assert words(terminal) == WORDS
        terminal.type("and again" + ENTER)
        terminal.until(f"{ECHO}and again\n")
    assert len(mortal.said("main")) == 4


def test_a_question_to_a_gateway_that_is_away_waits_for_it(mortal: Talking) -> None:
    with mortal.terminal("chat") as terminal:
        terminal.until(PROMPT)
        assert mortal.process is not None
        mortal.process.kill()
        mortal.process.wait()
        terminal.until("trying to come back")
        terminal.type("hello" + ENTER)
        terminal.until_waiting()
        terminal.type(CTRL_C)
        terminal.until("· not sent\n")
        terminal.until(PROMPT)
        terminal.type("hello again" + ENTER)
        mortal.start()
        terminal.until(f"{ECHO}hello again\n")
    assert [each for each in mortal.said("main") if each.startswith("user")] == ["user: hello again"]
