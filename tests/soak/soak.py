"""The soak itself: rounds in which the crowd talks and chance disturbs, and what is looked at between them."""

import json
import math
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from gateway.agent.mcp.idle import MAX_IDLE
from gateway.units import AGENT_SERVICE
from tests.e2e.gateway import SERVICE
from tests.e2e.manager import until
from tests.soak.book import Question
from tests.soak.ledger import compare, read
from tests.soak.machine import DATABASE, CrowdProcess, Machine, Measures

ROUND_S = 60.0
CALM = 0.25
"""The last part of the time, in which nothing is disturbed."""
LEAST_CALM = 2
"""Rounds: growth is the difference of two."""
PAUSE_S = (0.5, 8.0)
"""Between two disturbances."""
SETTLE_S = 30.0
"""In which gateway and agent notice that nobody is there any more."""
SHOWN, SHOWN_LENGTH = 40, 2000
"""Problems and warnings that are printed, and characters of each; all are counted."""
TRACEBACK = 40
"""Lines of one."""
OURS = 2
"""Descriptors of systemd's store that are no client's: the record and the ledger."""
MORE_FDS = 4
"""Descriptors that come and go with what runs in the background."""
MORE_MB = 12.0
MOST_KB = 8.0
"""Kilobytes of the database for one message of this crowd."""
ENOUGH = 5_000
"""Messages beside which the log that SQLite keeps, some 4 MB, no longer counts."""


class Soak:
    def __init__(self, machine: Machine, crowd: CrowdProcess, seed: int) -> None:
        self.problems: dict[str, None] = {}
        """In order, each once."""
        self.disturbances: Counter[str] = Counter()
        self.warnings: Counter[str] = Counter()
        self.measures: list[Measures] = []
        self.told: dict[str, Any] = {}
        """What the crowd reports."""
        self.messages = 0
        self.restarts: dict[str, Any] = {}
        """Counts of restarts in the gateway's own status, at the end."""
        self._machine = machine
        self._crowd = crowd
        self._chance = random.Random(seed)

    def last(self, seconds: float) -> None:
        rounds = max(math.ceil(seconds / ROUND_S), LEAST_CALM + 1)
        calm = max(round(rounds * CALM), LEAST_CALM)
        for number in range(rounds):
            is_calm = number >= rounds - calm
            self._crowd.go()
            self._wait(seconds / rounds, disturbing=not is_calm)
            self.told = self._crowd.rest()
            self._look()
            how = "calm" if is_calm else "disturbed"
            done = f"round {number + 1} of {rounds}, {how}: {len(self.told['asked'])} questions asked so far"
            print(f"{done}, {len(self.problems)} problems", file=sys.stderr, flush=True)
        self._compare_measures(calm)
        self.restarts = self._machine.gateway.report()["restarts"]

    def _wait(self, seconds: float, *, disturbing: bool) -> None:
        deadline = time.monotonic() + seconds
        while disturbing and time.monotonic() + (pause := self._chance.uniform(*PAUSE_S)) < deadline:
            time.sleep(pause)
            self.disturbances[self._machine.disturb(self._chance)] += 1
        time.sleep(max(deadline - time.monotonic(), 0))

    # -- between two rounds ----------------------------------------------------------------------------------------

    def _look(self) -> None:
        self._blame(self.told["problems"])
        for what, is_so in self._settled().items():
            try:
                until(is_so, what, SETTLE_S)
            except AssertionError as error:
                self._blame([f"at rest: {error}"])
        questions = [Question(**{**asked, "ends": frozenset(asked["ends"])}) for asked in self.told["asked"]]
        found, self.messages = read(self._machine.manager.home / DATABASE)
        self._blame(compare(questions, found))
        self._blame(self._running())
        self._read_journal()
        self.measures.append(self._machine.measure())

    def _settled(self) -> dict[str, Callable[[], bool]]:
        machine = self._machine

        def no_clients() -> bool:
            return int(machine.gateway.report()["websockets"]) == 0

        def no_runs() -> bool:
            shown = machine.manager.show(AGENT_SERVICE, "ActiveState", "StatusText")
            return shown["ActiveState"] != "active" or shown["StatusText"] == "0 runs"

        def few_tools() -> bool:
            return machine.measure().agent_processes <= 1 + MAX_IDLE

        def nothing_kept() -> bool:
            return machine.measure().stored_fds <= OURS

        def healthy() -> bool:
            return not machine.gateway.report()["degraded"]

        return {
            "the gateway has no client": no_clients,
            "the agent has no run": no_runs,
            "the agent has no more tools than it keeps": few_tools,
            "systemd keeps no client's connection": nothing_kept,
            "the gateway is not degraded": healthy,
        }

    def _running(self) -> list[str]:
        """Sessions that say that something goes on in them."""
        answer = self._machine.gateway.command("call", "sessions.list", '{"limit": 1000}').stdout
        rows = json.loads(answer)["sessions"]
        return [f"{row['key']} says that a run goes on" for row in rows if row.get("hasActiveRun")]

    def _read_journal(self) -> None:
        place = f"{self._machine.manager.inner_home}/.soak-journal"
        units = [word for unit in (SERVICE, AGENT_SERVICE) for word in ("--unit", unit)]
        words = ("journalctl", "--user", *units, "--cursor-file", place, "--output=json", "--quiet")
        tracebacks: list[list[str]] = []
        for line in self._machine.manager.run(*words).stdout.splitlines():
            entry = json.loads(line)
            message, priority = str(entry.get("MESSAGE", "")), int(entry.get("PRIORITY", 6))
            if "Traceback" in message:
                tracebacks.append([])
            if tracebacks and len(tracebacks[-1]) < TRACEBACK:
                tracebacks[-1].append(message)
            if priority <= 4:
                self.warnings[re.sub(r"\w*\d\w*", "…", message)[:160]] += 1
        self._blame(["the journal has a traceback: " + "\n".join(lines) for lines in tracebacks])

    def _blame(self, problems: list[str]) -> None:
        for problem in problems:
            if problem not in self.problems:
                print(f"  {problem[:SHOWN_LENGTH]}", file=sys.stderr, flush=True)
                self.problems[problem] = None

    # -- at the end ------------------------------------------------------------------------------------------------

    def _compare_measures(self, calm: int) -> None:
        first, last, before = self.measures[0], self.measures[-1], self.measures[-calm]
        if (before.gateway_pid, before.agent_pid) != (last.gateway_pid, last.agent_pid):
            self._blame(["gateway or agent was replaced while nothing was disturbed"])
        for name in ("gateway_mb", "agent_mb"):
            begin, end = getattr(before, name), getattr(last, name)
            if end > begin + MORE_MB:
                self._blame([f"{name} grew from {begin:.1f} to {end:.1f} while nothing was disturbed"])
        for name in ("gateway_fds", "agent_fds", "stored_fds"):
            begin, end = getattr(first, name), getattr(last, name)
            if begin and end > begin + MORE_FDS:
                self._blame([f"{name} grew from {begin} to {end}"])
        kilobytes = 1000 * last.database_mb / max(self.messages, 1)
        if self.messages > ENOUGH and kilobytes > MOST_KB:
            self._blame([f"the database has {kilobytes:.1f} KB for each of {self.messages} messages"])


def summary(soak: Soak) -> str:
    return "\n".join(_lines(soak))


def _lines(soak: Soak) -> Iterator[str]:
    yield "Asked, told, met:"
    yield from (f"  {count:6} {what}" for what, count in sorted(soak.told["counts"].items()))
    yield f"  longest silence within a plain answer: {soak.told['silence']:.2f} s"
    yield "Disturbed by:"
    yield from (f"  {count:6} {what}" for what, count in soak.disturbances.most_common())
    yield f"  of the last process: {json.dumps(soak.restarts)}"
    yield f"At rest, first and last of {len(soak.measures)}; {soak.messages} messages in the database:"
    for each in fields(Measures):
        first, last = (getattr(measures, each.name) for measures in (soak.measures[0], soak.measures[-1]))
        yield f"  {each.name:16} {first:10.6g} {last:10.6g}"
    yield f"Warnings and errors in the journal, by their words ({soak.warnings.total()}):"
    yield from (f"  {count:6} {what}" for what, count in soak.warnings.most_common(SHOWN))
    yield f"Problems: {len(soak.problems)}"
    yield from (f"  {problem[:SHOWN_LENGTH]}" for problem in list(soak.problems)[:SHOWN])
