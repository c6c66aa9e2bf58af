"""Answers that stream to OpenAI's own client outlive the process: the same connection, each word once."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.faults import cold, crash, hot
from tests.e2e.gateway import SERVICE, TOKEN, Gateway
from tests.e2e.manager import SCRIPTS, VENV, until
from tests.effort import daily

PACE_MS = 40
WORDS = " ".join(f"w{number}" for number in range(150))
LONG = " ".join(f"w{number}" for number in range(400))
"""Longer than a stop waits."""
CONFIG: dict[str, Any] = {
    "gateway": {"auth": {"token": TOKEN}, "http": {"endpoints": {"chatCompletions": {"enabled": True}}}},
    "models": {"providers": {"builtin": {"paceMs": PACE_MS}}},
}


@pytest.fixture
def talking(gateway: Gateway) -> Gateway:
    gateway.configure(json.dumps(CONFIG))
    gateway.reload()
    return gateway


@contextmanager
def answers(gateway: Gateway, words: str = WORDS, key: str = "k") -> Iterator[list[Any]]:
    """What became of each, filled in when all are over; they have begun when this has."""
    command = [f"{VENV}/bin/python", f"{SCRIPTS}/talker.py", "--token", TOKEN, "--words", words, "--key", key]
    with gateway.manager.popen(*command) as talker:
        assert talker.stdout is not None
        assert talker.stdout.readline() == "ready\n", talker.communicate()[1]
        found: list[Any] = []
        yield found
        out, err = talker.communicate(timeout=60)
        assert talker.returncode == 0, err
        found += json.loads(out)


@pytest.mark.parametrize("restart", daily([hot, cold], cold))
def test_nobody_notices_a_restart_in_the_middle_of_an_answer(talking: Gateway, restart: Any) -> None:
    with answers(talking) as found:
        for _ in range(2):
            before = talking.report()["boot_id"]
            restart(talking)
            talking.until_boot(before)
    assert [each["error"] for each in found] == [None] * 5
    assert {each["words"] for each in found} == {WORDS}
    assert talking.report()["restarts"]["hot" if restart is hot else "cold"] == 2


def test_after_a_crash_the_runs_go_on_and_whoever_asks_again_has_it_all(talking: Gateway) -> None:
    with answers(talking) as broken:
        crash(talking)
    assert all(each["error"] and each["words"] != WORDS for each in broken)
    with answers(talking) as again:
        pass
    assert [(each["error"], each["words"]) for each in again] == [(None, WORDS)] * 5
    history = "SELECT count(*) FROM messages WHERE role = 'assistant'"
    assert rows(talking, history) == [5], "nobody was asked twice"


def test_a_stop_is_told_and_the_next_start_has_the_answer(talking: Gateway) -> None:
    with answers(talking, LONG) as stopped:
        talking.manager.systemctl("stop", SERVICE)
    assert all("The gateway is restarting" in each["error"] for each in stopped)
    assert all(LONG.startswith(each["words"]) and each["words"] for each in stopped)
    with answers(talking, LONG) as again:
        pass
    assert [(each["error"], each["words"]) for each in again] == [(None, LONG)] * 5


def test_a_client_that_goes_away_after_a_restart_ends_its_run(talking: Gateway) -> None:
    command = [f"{VENV}/bin/python", f"{SCRIPTS}/talker.py", "--token", TOKEN, "--words", LONG, "--key", "k"]
    with talking.manager.popen(*command) as talker:
        assert talker.stdout is not None
        assert talker.stdout.readline() == "ready\n"
        cold(talking)
        talker.kill()
    states = "SELECT count(*) FROM runs WHERE state = 'aborted'"
    until(lambda: rows(talking, states) == [5], "five runs that were ended")


def rows(gateway: Gateway, query: str) -> list[Any]:
    script = (
        "import sqlite3, sys; "
        "print(*[row[0] for row in sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True).execute(sys.argv[2])])"
    )
    database = f"{gateway.manager.inner_home}/.openclaw/gateway/conversations.sqlite"
    out = gateway.manager.run(f"{VENV}/bin/python", "-c", script, database, query).stdout
    return [int(word) for word in out.split()]
