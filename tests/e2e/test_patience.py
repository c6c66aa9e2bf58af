"""How long a client waits at most over what happens to the gateway. What it hears is in the files of each matter.

These run alone. On a machine that has other work the bounds are loose (`tests.slack`).
"""

import json
import time
from contextlib import ExitStack

import pytest

from tests.e2e.faults import RESTARTERS, crash
from tests.e2e.gateway import SERVICE, SOCKET, Gateway
from tests.e2e.load import load, peers
from tests.e2e.test_completions import CONFIG, answers
from tests.e2e.test_connections import assert_nobody_noticed
from tests.e2e.test_connections_end import CROWD
from tests.e2e.test_restarts import all_loads
from tests.e2e.test_runs import talkers
from tests.slack import slack

pytestmark = pytest.mark.serial

PATIENCE = 2.0
"""Seconds that a request may wait over a restart, and an answer may be silent; the bench measures both."""
LEAVING = 5.0
"""Seconds that a restart may take beside clients that read nothing or trickle a request in: half the drain budget."""
AT_ONCE = 0.2
"""Seconds for an answer of a gateway that does nothing else."""
TIMES = 2
LONGER = " ".join(f"w{number}" for number in range(100))


def test_started_means_serving(installed: Gateway) -> None:
    """`systemctl start` returns at READY=1, and then an answer takes no longer than any other."""
    installed.manager.systemctl("start", SERVICE)
    assert installed.state(SOCKET) == "active"
    with load(installed.manager, "fresh", workers=1) as clients:
        pass
    assert clients.slowest < slack(AT_ONCE)


def test_a_planned_restart(unrationed: Gateway) -> None:
    with all_loads(unrationed.manager) as loads, peers(unrationed.manager, **CROWD) as found:
        for how in ("hot", "cold") * TIMES:
            RESTARTERS[how](unrationed)
            assert 0 < unrationed.report()["restarts"]["last"]["gap_ms"] < slack(PATIENCE) * 1000
    assert_nobody_noticed(found)
    waits = {kind: book["slowest"] for kind, book in found.books.items()}
    assert max([*waits.values(), *(clients.slowest for clients in loads)]) < slack(PATIENCE), waits


def test_a_crash(gateway: Gateway) -> None:
    with all_loads(gateway.manager) as loads:
        for _ in range(TIMES):
            crash(gateway)
    assert max(clients.slowest for clients in loads) < slack(PATIENCE)


def test_a_crowd_that_asks_all_the_time(unrationed: Gateway) -> None:
    """200 connections."""
    with peers(unrationed.manager, library=200, pace=0.5) as found:
        for how in ("cold", "hot"):
            RESTARTERS[how](unrationed)
    assert_nobody_noticed(found)
    assert found["library"]["slowest"] < slack(PATIENCE)


@pytest.mark.parametrize("kind", ["never-reads", "slowloris"])
def test_bad_clients_delay_nobody(gateway: Gateway, kind: str) -> None:
    with load(gateway.manager, kind, workers=20, pace=0.05), load(gateway.manager, "fresh") as clients:
        for words in (["restart", "--cold"], ["restart"]):
            begun = time.monotonic()
            gateway.command(*words)
            assert time.monotonic() - begun < slack(LEAVING)
    assert clients.lost == {}
    assert clients.slowest < slack(PATIENCE)
    assert gateway.restarts() == 0


@pytest.mark.parametrize("faults", [["hot", "cold"], ["crash"]], ids=" ".join)
def test_an_answer_is_not_silent_for_long(unrationed: Gateway, faults: list[str]) -> None:
    """Over a WebSocket and, where its connection lasts, over HTTP."""
    unrationed.configure(json.dumps(CONFIG))
    unrationed.reload()
    with ExitStack() as stack:
        # The other client takes a moment to start; its answer has to be the longer one.
        streams = [] if "crash" in faults else [stack.enter_context(answers(unrationed, LONGER))]
        talks = stack.enter_context(talkers(unrationed, "silence"))
        talks.until("middle")
        for how in faults:
            RESTARTERS[how](unrationed)
    patience = slack(PATIENCE)
    assert max(talk["silence"] for talk in talks.found) < patience
    assert all(each["longest"] < patience for found in streams for each in found)
