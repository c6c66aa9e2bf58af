"""What clients lose, and how long they wait, over restarts at a fixed load: beside uvicorn on the same socket unit, and
uvicorn that binds its own port."""

import bisect
import itertools
import subprocess
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.programs import Installation
from bench.report import Goal, Section
from bench.servers import FOLDER, KILL, Server, pace, set_up, started
from tests.e2e.gateway import SERVICE
from tests.e2e.inside import Inside
from tests.e2e.manager import VENV, UserManager, until

BATCH = 5
"""Restarts of one kind in a row; the program restarts itself hot this often without a pause."""
BATCHES = 10
QUICK_RESTARTS = 2
RATE = 200
"""Newcomers per second."""
SETTLE_S = 0.25
"""Undisturbed answers before the first restart and after each one."""
BACK_S = 20.0
END_S = 20.0
MOST_MEDIAN_S = {"hot": 0.12, "cold": 0.15}
MOST_SILENCE_S = 0.35
"""After a kill; a request that was lost with the process has no answer to wait for."""
LOST = ("refused", "reset", "timeout")


class Request(NamedTuple):
    began: float
    ended: float
    outcome: str


@dataclass
class Tally:
    """All restarts of one kind."""

    restarts: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: list[float] = field(default_factory=list)
    """The longest wait for an answer in each restart."""
    silences: list[float] = field(default_factory=list)
    """The longest time without any answer in each restart."""
    pauses: list[float] = field(default_factory=list)
    """After a kill: how long systemd waited before it started the next process."""

    def add(self, requests: list[Request], begins: list[float]) -> None:
        """The requests of one load, in which restarts began at these times."""
        self.restarts += len(begins)
        self.outcomes.update(request.outcome for request in requests)
        answered = sorted((r for r in requests if r.outcome == "ok"), key=lambda r: r.ended)
        waits: dict[int, float] = defaultdict(float)
        silences: dict[int, float] = defaultdict(float)
        for before, request in itertools.pairwise(answered):
            restart = bisect.bisect(begins, request.ended) - 1
            waits[restart] = max(waits[restart], request.ended - request.began)
            silences[restart] = max(silences[restart], request.ended - before.ended)
        self.slowest += [waits[restart] for restart in range(len(begins))]
        self.silences += [silences[restart] for restart in range(len(begins))]

    @property
    def lost(self) -> int:
        return sum(self.outcomes[outcome] for outcome in LOST)


class Clients:
    """newcomers.py inside, and its lines as they come."""

    def __init__(self, process: Inside) -> None:
        self.requests: list[Request] = []
        self._process = process
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def end(self) -> None:
        self._process.terminate()
        self._reader.join(END_S)
        if self._process.wait(END_S) != 0:
            raise RuntimeError(f"the clients failed: {self._process.stderr.read() if self._process.stderr else ''}")

    def until_answered(self) -> None:
        """Waits for the whole answer to somebody who came after this call, and a moment more."""
        now = time.monotonic()
        until(lambda: any(r.outcome == "ok" and r.began > now for r in self.requests[-RATE:]), "an answer", BACK_S)
        time.sleep(SETTLE_S)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            began, seconds, outcome = line.split()
            self.requests.append(Request(float(began), float(began) + float(seconds), outcome))


def measure(installation: Installation, quick: bool) -> Section:
    title = "Restarts under load"
    if installation.venv is None:
        return Section(title, skipped=f"no systemd user manager here: {installation.obstacle}")
    batches, batch = (1, QUICK_RESTARTS) if quick else (BATCHES, BATCH)
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    with tempfile.TemporaryDirectory() as folder, UserManager(Path(folder), installation.venv) as manager:
        servers = set_up(manager)
        pause = pace(manager, SERVICE)
        for _ in range(batches):
            for kind in ("hot", "cold", KILL):
                for server in servers:
                    if kind in server.kinds:
                        _batch(manager, server, kind, batch, tallies[server.name, kind])
    return _section(title, tallies, pause)


def _batch(manager: UserManager, server: Server, kind: str, times: int, tally: Tally) -> None:
    server.rest(manager)
    begins: list[float] = []
    with _clients(manager, server.port) as clients:
        clients.until_answered()
        for _ in range(times):
            begins.append(server.kinds[kind](manager))
            clients.until_answered()
            if kind == KILL:
                tally.pauses.append(started(manager, server.service) - begins[-1])
    tally.add(clients.requests, begins)


@contextmanager
def _clients(manager: UserManager, port: int) -> Iterator[Clients]:
    command = (f"{VENV}/bin/python", f"{manager.inner_home}/{FOLDER}/newcomers.py", f"--port={port}", f"--rate={RATE}")
    process = manager.popen(*command, stdin=subprocess.DEVNULL)
    try:
        clients = Clients(process)
        yield clients
        clients.end()
    finally:
        process.kill()
        process.wait()


def _section(title: str, tallies: dict[tuple[str, str], Tally], pause: float) -> Section:
    rows = [(f"{name}: {kind}", *_cells(tally)) for (name, kind), tally in sorted(tallies.items(), key=lambda i: i[0])]
    goals = []
    for kind, most in MOST_MEDIAN_S.items():
        tally = tallies["gateway", kind]
        wait = median(tally.slowest)
        goals.append(
            Goal(f"{kind} restart: no new request lost", f"{tally.lost} of {tally.outcomes.total()}", not tally.lost)
        )
        promise = f"{kind} restart: slowest new request under {most} s (median)"
        goals.append(Goal(promise, f"{wait:.3f} s", wait < most))
    silence = median(tallies["gateway", KILL].silences)
    promise = f"{KILL} restart: longest time in which nobody was answered under {MOST_SILENCE_S} s (median)"
    goals.append(Goal(promise, f"{silence:.3f} s", silence < MOST_SILENCE_S))
    columns = ("what", "restarts", "requests", *LOST, "slowest: median", "max", "no answer for: median", "max")
    how = (
        f"{RATE} new connections per second, with one request each, whether or not the ones before were answered."
        f" Kinds and servers in turns, {BATCH} restarts at a time, under one user manager; the units differ only in"
        " what they run. `hot` is `openclaw-gateway restart`, `cold` is `systemctl --user restart`. Slowest: the"
        " longest wait for an answer in each restart; a lost request has none, so read it beside the longest time in"
        " which nobody was answered."
    )
    notes = [_pause(name, tally, pause) for (name, kind), tally in tallies.items() if kind == KILL]
    return Section(title, how, columns, rows, goals, notes)


def _pause(name: str, tally: Tally, pace: float) -> str:
    """A lost request does not wait: what was not answered, and not who waited longest, is what all servers have."""
    rest = median(silence - pause for silence, pause in zip(tally.silences, tally.pauses, strict=True))
    return (
        f"{KILL}, {name}: systemd waited {median(tally.pauses):.3f} s (median; RestartSec= is {pace:.1f} s), and nobody"
        f" was answered for {rest:.3f} s more (median)"
    )


def _cells(tally: Tally) -> tuple[str, ...]:
    lost = (str(tally.outcomes[outcome]) for outcome in LOST)
    times = (f"{of(values):.3f} s" for values in (tally.slowest, tally.silences) for of in (median, max))
    return (str(tally.restarts), str(tally.outcomes.total()), *lost, *times)
