"""A run outlives whoever dies: at each step of an answer, each way to lose the gateway or the agent.

What is asserted is what the clients heard and what the database has: each word once, in order.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.units import AGENT_SERVICE
from tests.e2e.faults import RESTARTERS, agent_crash, agent_stop, both_crash, cold, crash, hot
from tests.e2e.gateway import SERVICE, TOKEN, Gateway
from tests.e2e.inside import Inside
from tests.e2e.manager import SCRIPTS, VENV, until
from tests.effort import daily, share

PACE_MS = 25
WORDS = 30
STEPS = ("ready", "first", "middle", "last")
"""The question is accepted; the first, the middle and the last of its words have been told."""
CROWD = share(100, 30)


@pytest.fixture
def talking(unrationed: Gateway) -> Gateway:
    configure_pace(unrationed)
    unrationed.reload()
    return unrationed


def configure_pace(gateway: Gateway, ms: int = PACE_MS) -> None:
    """Lets the echo wait so many milliseconds before each word."""
    config = {"gateway": {"auth": {"token": TOKEN}}, "models": {"providers": {"builtin": {"paceMs": ms}}}}
    gateway.configure(json.dumps(config))


@dataclass
class Talks:
    process: Inside
    found: list[dict[str, Any]] = field(default_factory=list)

    def until(self, mark: str) -> None:
        """Wait until the answer is so far."""
        assert self.process.stdout is not None
        while (line := self.process.stdout.readline()) != f"{mark}\n":
            assert line, self.process.communicate()[1]

    def end(self) -> None:
        out, err = self.process.communicate(timeout=90)
        assert self.process.returncode == 0, err
        self.found = json.loads(out.splitlines()[-1])


@contextmanager
def talkers(gateway: Gateway, name: str, count: int = 3, env: Mapping[str, str] | None = None) -> Iterator[Talks]:
    words = [f"--token={TOKEN}", f"--name={name}", f"--talkers={count}", f"--words={WORDS}"]
    process = gateway.manager.popen(f"{VENV}/bin/python", "-P", f"{SCRIPTS}/talkers.py", *words, env=env)
    try:
        talks = Talks(process)
        yield talks
        talks.end()
    finally:
        process.kill()
        process.wait()


def steps(fault: str, faults: Iterable[str]) -> list[str]:
    """Those at which this run tries it: some for each fault, and each for some fault."""
    count = share(len(STEPS), 2)
    first = count * [*faults].index(fault)
    return [STEPS[(first + number) % len(STEPS)] for number in range(count)]


AGENT_FAULTS = {"crash": agent_crash, "stop": agent_stop, "both": both_crash}


def assert_each_word_once(talks: Talks) -> None:
    for number, talk in enumerate(talks.found):
        question = " ".join(f"word{number}x{each}" for each in range(WORDS))
        assert talk["wrong"] == []
        assert talk["state"] == "final", talk
        assert talk["text"].endswith(question)
        assert talk["text"].count(f"word{number}x0") == 1
        assert talk["history"] == [f"user: {question}", f"assistant: {talk['text']}"]


@pytest.mark.parametrize("how", daily(RESTARTERS, "cold", "crash"))
def test_the_gateway_is_lost(talking: Gateway, how: str) -> None:
    for step in steps(how, RESTARTERS):
        with talkers(talking, f"{how}-{step}") as talks:
            talks.until(step)
            RESTARTERS[how](talking)
        assert_each_word_once(talks)
        for talk in talks.found:
            if how != "crash":
                assert (talk["connects"], talk["asked"]) == (1, 1)
    assert talking.manager.show(AGENT_SERVICE, "NRestarts")["NRestarts"] == "0"


@pytest.mark.parametrize("how", daily(AGENT_FAULTS, "crash", "both"))
def test_the_agent_is_lost(talking: Gateway, how: str) -> None:
    for step in steps(how, AGENT_FAULTS):
        with talkers(talking, f"{how}-{step}") as talks:
            talks.until(step)
            AGENT_FAULTS[how](talking)
        assert_each_word_once(talks)


def test_three_restarts_during_one_answer(talking: Gateway) -> None:
    with talkers(talking, "long") as talks:
        for step in ("ready", "first", "middle"):
            talks.until(step)
            cold(talking)
    assert_each_word_once(talks)
    assert all(talk["connects"] == 1 for talk in talks.found)


def test_an_agent_that_dies_twice_leaves_what_was_written(talking: Gateway) -> None:
    with talkers(talking, "twice", count=1) as talks:
        talks.until("first")
        pid = talking.manager.ask(AGENT_SERVICE, "MainPID")
        agent_crash(talking)
        until(lambda: talking.manager.ask(AGENT_SERVICE, "MainPID") not in (pid, [0]), "another agent")
        until(
            lambda: any("another one is asked" in line for line in talking.manager.messages(SERVICE)),
            "a second attempt",
        )
        agent_crash(talking)
    (talk,) = talks.found
    assert talk["state"] == "error"
    assert "the agent ended in the middle of this answer" in talk["error"]
    assert len(talk["history"]) in (1, 2)  # the second attempt may not have come to a word
    assert talk["wrong"] == []


def test_a_crowd_over_restarts(talking: Gateway) -> None:
    with talkers(talking, "crowd", count=CROWD) as talks:
        for restart in (hot, cold, crash):
            restart(talking)
    assert_each_word_once(talks)


def test_a_queue_is_answered_in_order_over_a_crash(talking: Gateway) -> None:
    texts = [f"question{number}" for number in range(4)]
    for number, text in enumerate(texts):
        params = {"sessionKey": "main", "message": text, "idempotencyKey": f"q{number}"}
        talking.command("call", "chat.send", json.dumps(params))
    crash(talking)
    for number in range(4):
        told = talking.command("call", "agent.wait", json.dumps({"runId": f"q{number}"}), "--timeout", "60").stdout
        assert json.loads(told)["status"] == "ok"
    history = json.loads(talking.command("call", "chat.history", '{"sessionKey": "main"}').stdout)["messages"]
    assert [message["role"] for message in history] == ["user", "assistant"] * 4
    for number, text in enumerate(texts):
        assert history[2 * number]["content"][0]["text"] == text
        assert history[2 * number + 1]["content"][0]["text"].endswith(text)
