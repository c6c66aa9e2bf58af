"""`sessions` as a user types it, against a real gateway."""

import json
from collections.abc import Iterator

import pytest

from gateway.exits import ExitCode
from tests.cli.talking import ECHO, Talking
from tests.pty_screen import ENTER

pytestmark = pytest.mark.process


@pytest.fixture
def key(talking: Talking, request: pytest.FixtureRequest) -> Iterator[str]:
    """A session in which somebody has said hello; gone afterwards."""
    name = request.node.name.removeprefix("test_")
    assert talking.cli("chat", "--session", name, "hello there").returncode == 0
    yield name
    talking.cli("sessions", "delete", name, "--yes")


def test_list_shows_what_there_is(talking: Talking, key: str) -> None:
    done = talking.cli("sessions", "--search", key)
    head, row = done.stdout.splitlines()
    assert head.split() == ["SESSION", "AGE", "TOKENS", "MODEL", "TITLE"]
    assert row.split()[0] == f"agent:main:{key}"
    assert row.endswith("0  builtin/echo  hello there")
    assert talking.cli("sessions", "list", "--search", key).stdout.count("hello there") == 1


def test_list_in_json_is_the_gateways_answer(talking: Talking, key: str) -> None:
    rows = json.loads(talking.cli("sessions", "--json", "--search", key).stdout)["payload"]["sessions"]
    assert [row["key"] for row in rows] == [f"agent:main:{key}"]


def test_list_says_that_there_is_more(talking: Talking, key: str) -> None:
    assert talking.cli("chat", "--session", f"{key}-2", "hello").returncode == 0
    done = talking.cli("sessions", "--limit", "1", "--search", key)
    assert done.stdout.splitlines()[-1] == "1 more: --limit 2"
    talking.cli("sessions", "delete", f"{key}-2", "--yes")


def test_list_of_nothing(talking: Talking) -> None:
    assert talking.cli("sessions", "--agent", "main", "--search", "no such thing").stdout == "no session\n"


def test_show_is_the_transcript(talking: Talking, key: str) -> None:
    done = talking.cli("sessions", "show", key)
    assert done.stdout.startswith("› hello there\nNo model is configured")
    assert done.stdout.endswith(f"\n\n{ECHO}hello there\n")
    done = talking.cli("sessions", "show", key, "--limit", "1", "--json")
    assert [each["role"] for each in json.loads(done.stdout)["payload"]["messages"]] == ["assistant"]
    assert talking.cli("sessions", "show", "no-such-session").stdout == "nothing was said\n"


def test_a_title_is_given_and_taken_away(talking: Talking, key: str) -> None:
    assert talking.cli("sessions", "rename", key, "My title").stdout == f"renamed agent:main:{key}\n"
    assert talking.cli("sessions", "--search", key).stdout.endswith("My title\n")
    assert "no title of its own" in talking.cli("sessions", "rename", key, "").stdout
    assert talking.cli("sessions", "--search", key).stdout.endswith("hello there\n")


def test_compact_forgets_the_oldest(talking: Talking, key: str) -> None:
    told = talking.cli("sessions", "compact", key, "--keep", "1").stdout
    assert told == f"agent:main:{key}: 1 of its messages are left\n"
    assert [line.partition(":")[0] for line in talking.said(key)] == ["assistant"]
    assert "there is no such session" in talking.cli("sessions", "compact", "no-such-session").stdout


def test_reset_forgets_what_was_said(talking: Talking, key: str) -> None:
    talking.cli("sessions", "rename", key, "Kept")
    assert talking.cli("sessions", "reset", key).stdout == f"reset agent:main:{key}\n"
    assert talking.said(key) == []
    assert talking.cli("sessions", "--search", key).stdout.endswith("Kept\n")
    assert "nothing was said there" in talking.cli("sessions", "compact", key).stdout


def test_delete_asks_first(talking: Talking, key: str) -> None:
    done = talking.cli("sessions", "delete", key)
    assert done.returncode == ExitCode.USAGE and "--yes" in done.stderr
    with talking.terminal("sessions", "delete", key) as terminal:
        terminal.until("[y/N]: ")
        terminal.type("n" + ENTER)
        assert terminal.end() == 130
    assert len(talking.said(key)) == 2
    with talking.terminal("sessions", "delete", key) as terminal:
        terminal.until("[y/N]: ")
        terminal.type("y" + ENTER)
        assert terminal.end() == 0
    assert talking.cli("sessions", "delete", key, "--yes").stdout == f"there is no session agent:main:{key}\n"


def test_the_main_session_stays(talking: Talking) -> None:
    done = talking.cli("sessions", "delete", "main", "--yes")
    assert done.returncode == ExitCode.FAILURE
    assert "Cannot delete the main session" in done.stderr
    done = talking.cli("sessions", "delete", "main", "--yes", "--json")
    assert json.loads(done.stdout)["ok"] is False


def test_help_and_mistakes(talking: Talking) -> None:
    assert "Commands:" in talking.cli("sessions", "--help").stdout
    assert talking.cli("sessions", "lits").returncode == ExitCode.USAGE
    assert talking.cli("sessions", "--limit", "0").returncode == ExitCode.USAGE


def test_nothing_that_was_said_steers_the_terminal(talking: Talking, key: str) -> None:
    talking.call("chat.inject", sessionKey=key, message="\x1b]0;title\x07")
    talking.cli("sessions", "rename", key, "a\x1b[31mb")
    assert "\x1b" not in talking.cli("sessions", "show", key).stdout
    assert "\x1b" not in talking.cli("sessions", "--search", key).stdout
