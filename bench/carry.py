"""What connected WebSocket clients notice of restarts, by their number: beside uvicorn on the same socket unit.

And what it costs to keep them: the processor time of the gateway and of systemd while they connect.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.programs import BENCH, Installation
from bench.report import Goal, Section
from bench.restarts import Clients, Tally
from bench.servers import FOLDER, KILL, Server, set_up
from tests.e2e.gateway import TOKEN
from tests.e2e.manager import VENV, UserManager

SIZES = (10, 100, 200, 1000, 3000)
QUICK_SIZES = (10, 100)
BATCH = 5
"""Restarts of one kind in a row; the program restarts itself hot this often without a pause."""
BATCHES = 2
QUICK_RESTARTS = 2
RATE = 200
"""Requests per second of all clients together."""
LOST_S = 1.0
"""Seconds after which all clients have noticed that uvicorn has restarted."""
MOST_TRIP_S = 0.25
MOST_SILENCE_S = {"cold": 0.4, "hot": 0.3, KILL: 0.35}
KINDS = ("hot", "cold", KILL)
Costs = dict[tuple[str, int], list[float]]
"""Processor time in seconds for one connection, by process and number of clients."""


def measure(installation: Installation, quick: bool) -> Section:
    title = "Connections over restarts"
    if installation.venv is None:
        return Section(title, skipped=f"no systemd user manager here: {installation.obstacle}")
    batches, batch, sizes = (1, QUICK_RESTARTS, QUICK_SIZES) if quick else (BATCHES, BATCH, SIZES)
    tallies: dict[tuple[str, int], Tally] = defaultdict(Tally)
    rival: dict[int, Tally] = defaultdict(Tally)
    costs: Costs = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, UserManager(Path(folder), installation.venv) as manager:
        gateway, by_socket, _ = set_up(manager)
        for script in ("wire_load.py", "carry_load.py"):
            text = (BENCH / script).read_text().replace('"token": "bench"', f'"token": "{TOKEN}"')
            manager.write(f"{FOLDER}/{script}", text, mode=0o644)
        for _ in range(batches):
            for size in sizes:
                for kind in KINDS:
                    _batch(manager, gateway, kind, size, batch, tallies[kind, size], costs)
                _lose(manager, by_socket, size, rival[size])
    return _section(title, tallies, rival, costs, sizes, batches)


def _batch(manager: UserManager, server: Server, kind: str, size: int, times: int, tally: Tally, costs: Costs) -> None:
    server.rest(manager)
    begins: list[float] = []
    before = _spent(manager, server)
    with _clients(manager, server.port, size) as clients:
        for name, spent in _spent(manager, server).items():
            costs[name, size].append((spent - before[name]) / size)
        clients.until_answered()
        for _ in range(times):
            begins.append(server.kinds[kind](manager))
            clients.until_answered()
    tally.add(clients.requests, begins)


def _lose(manager: UserManager, server: Server, size: int, tally: Tally) -> None:
    with _clients(manager, server.port, size, "--echo") as clients:
        clients.until_answered()
        begun = server.kinds["cold"](manager)
        time.sleep(LOST_S)
    tally.add(clients.requests, [begun])


@contextmanager
def _clients(manager: UserManager, port: int, size: int, *words: str) -> Iterator[Clients]:
    """All clients, connected."""
    script = f"{manager.inner_home}/{FOLDER}/carry_load.py"
    process = manager.popen(f"{VENV}/bin/python", script, f"--port={port}", f"--clients={size}", *words)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the clients did not connect: {process.communicate()[1]}")
        clients = Clients(process)
        yield clients
        clients.end()
    finally:
        process.kill()
        process.wait()


def _spent(manager: UserManager, server: Server) -> dict[str, float]:
    """Processor seconds of the service's process and of its manager."""
    pid = int(manager.show(server.service, "MainPID")["MainPID"])
    mother = int(manager.run("pgrep", "--uid", str(manager.uid), "--exact", "systemd").stdout)
    return {name: _seconds(manager.path(f"/proc/{of}/task")) for name, of in (("gateway", pid), ("systemd", mother))}


def _seconds(tasks: Path) -> float:
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def _section(
    title: str,
    tallies: dict[tuple[str, int], Tally],
    rival: dict[int, Tally],
    costs: Costs,
    sizes: tuple[int, ...],
    batches: int,
) -> Section:
    rows = [(f"{kind}, {size} clients", *_cells(tallies[kind, size])) for kind in KINDS for size in sizes]
    # A client that is closed waits for ever. Its other figures are of the time before.
    rows += [(f"uvicorn: cold, {size} clients", *_cells(rival[size])[:4], "–", "–") for size in sizes]
    goals = [_nobody_lost(kind, tallies, sizes) for kind in KINDS]
    if 200 in sizes:
        goals.append(_most("cold", 200, tallies, MOST_TRIP_S))
    if 1000 in sizes:
        goals += [_most(kind, 1000, tallies, most) for kind, most in MOST_SILENCE_S.items()]
        for kind in KINDS:
            silences = [median(tallies[kind, size].slowest) for size in sizes]
            goals.append(_growth(f"{kind} restart, slowest answer", silences, sizes))
        for name in ("gateway", "systemd"):
            spent = [size * median(costs[name, size]) for size in sizes]
            goals.append(_growth(f"{name}'s time for keeping them", spent, sizes))
    how = (
        f"{RATE} requests per second of all clients together, each over a connection that was made before the first"
        f" restart. {batches} × the same number of restarts of each kind and size under one user manager. Lost at rest:"
        " connections that ended without a request under way. Silence: the longest time from a request to its answer"
        " in each restart. uvicorn is a bare echo on the same socket unit, restarted once for each row."
    )
    columns = ("what", "restarts", "lost at rest", "lost while asking", "told to ask again", "silence: median", "max")
    return Section(title, how, columns, rows, goals, [_cost(costs, size) for size in sizes if size >= 100])


def _cells(tally: Tally) -> tuple[str, ...]:
    silence = (f"{of(tally.slowest):.3f} s" for of in (median, max))
    counts = (_lost(tally, "resting"), _lost(tally, "asking"), tally.outcomes["refused"])
    return (str(tally.restarts), *map(str, counts), *silence)


def _lost(tally: Tally, how: str) -> int:
    return sum(count for outcome, count in tally.outcomes.items() if outcome.startswith(how))


def _nobody_lost(kind: str, tallies: dict[tuple[str, int], Tally], sizes: tuple[int, ...]) -> Goal:
    """A kill may cost those who were asking."""
    words = ("resting",) if kind == KILL else ("resting", "asking")
    lost = sum(_lost(tallies[kind, size], word) for size in sizes for word in words)
    carried = sum(tallies[kind, size].restarts * size for size in sizes)
    who = "connection at rest" if kind == KILL else "connection"
    return Goal(f"{kind} restart: no {who} lost", f"{lost} of {carried}", not lost)


def _most(kind: str, size: int, tallies: dict[tuple[str, int], Tally], most: float) -> Goal:
    silence = median(tallies[kind, size].slowest)
    promise = f"{kind} restart, {size} connections: slowest answer under {most} s (median)"
    return Goal(promise, f"{silence:.3f} s", silence < most)


def _growth(what: str, spent: list[float], sizes: tuple[int, ...]) -> Goal:
    """The goal that a cost grows at most linearly between the two largest sizes."""
    (shorter, longer), (middle, most) = spent[-2:], sizes[-2:]
    promise = f"{what}: grows no more than linearly from {middle} to {most} connections"
    return Goal(promise, f"{longer / shorter:.1f} × for {most / middle:.1f} ×", longer / shorter <= most / middle)


def _cost(costs: Costs, size: int) -> str:
    ours, theirs = (1e6 * median(costs[name, size]) for name in ("gateway", "systemd"))
    return f"connecting {size} clients takes {ours:.0f} µs of the gateway and {theirs:.0f} µs of systemd for each"
