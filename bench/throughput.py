"""/healthz over kept-alive connections, beside a bare ASGI function under the same uvicorn settings."""

import os
import re
import shutil
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.launcher import Launched, on_processor
from bench.programs import BENCH, Installation, small_config
from bench.report import Goal, Section

ROUNDS, QUICK_ROUNDS = 9, 2
SECONDS, QUICK_SECONDS = 3.0, 1.0
WARM_UP_S = 1.0
CONNECTIONS = 32
LEAST_RATIO = 0.92
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Round:
    rate: float
    """Requests per second."""
    cost: float
    """Processor time of the server for one request, in microseconds."""
    busy: float
    """Share of one processor that the server had."""


def measure(installation: Installation, quick: bool) -> Section:
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    processors = sorted(os.sched_getaffinity(0))
    server_cpu, client_cpu = (processors[0], processors[1]) if len(processors) > 1 else (None, None)
    with ExitStack() as running:
        gateway, uvicorn = (
            running.enter_context(Launched(installation.gateway(), small_config, server_cpu)),
            running.enter_context(Launched(installation.uvicorn(), None, server_cpu)),
        )

        def load(server: Launched, length: float = seconds) -> Round:
            with on_processor(client_cpu):
                return _round(installation, server, length)

        for server in (gateway, uvicorn):
            load(server, WARM_UP_S)
        # Each goes first in every other round: what follows a pause has the cooler processor.
        pairs = []
        for number in range(rounds):
            pair = [load(server) for server in ((gateway, uvicorn) if number % 2 else (uvicorn, gateway))]
            pairs.append(pair if number % 2 else pair[::-1])
    return _section([ours for ours, _ in pairs], [theirs for _, theirs in pairs], uvicorn.program.name, seconds)


def _section(ours: list[Round], theirs: list[Round], reference: str, seconds: float) -> Section:
    ratio = median(a.rate / b.rate for a, b in zip(ours, theirs, strict=True))
    cost = median(a.cost / b.cost for a, b in zip(ours, theirs, strict=True))
    rows = [
        ("gateway", *_cells(ours), f"{ratio:.2f}", f"{cost:.2f}"),
        (reference, *_cells(theirs), "1.00", "1.00"),
    ]
    client = "wrk" if shutil.which("wrk") else "the client in saturate.py (install wrk for a stronger one)"
    how = (
        f"{len(ours)} rounds of {seconds:g} s each, in turns, {CONNECTIONS} kept-alive connections from {client};"
        " server and client each on a processor of their own where there are two. Medians; ratios are medians of each"
        " round's."
    )
    columns = ("what", "requests/s", "range", "CPU per request", "server busy", "rate ratio", "CPU ratio")
    promise = f"/healthz throughput at least {LEAST_RATIO} × a bare ASGI function's"
    return Section("Throughput", how, columns, rows, [Goal(promise, f"{ratio:.2f} ×", ratio >= LEAST_RATIO)])


def _cells(rounds: list[Round]) -> tuple[str, ...]:
    rates = [one.rate for one in rounds]
    return (
        f"{median(rates):.0f}",
        f"{min(rates):.0f}–{max(rates):.0f}",
        f"{median(one.cost for one in rounds):.1f} µs",
        f"{median(one.busy for one in rounds):.0%}",
    )


def _round(installation: Installation, server: Launched, seconds: float) -> Round:
    before = _processor_seconds(server.pid)
    rate = _wrk(server.port, seconds) if shutil.which("wrk") else _saturate(installation, server.port, seconds)
    used = _processor_seconds(server.pid) - before
    return Round(rate, used / (rate * seconds) * 1e6, used / seconds)


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _wrk(port: int, seconds: float) -> float:
    url = f"http://127.0.0.1:{port}/healthz"
    words = ("-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--timeout", "10s", url)
    out = subprocess.run(["wrk", *words], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(f"wrk met errors:\n{out}")
    found = re.search(r"Requests/sec:\s*([\d.]+)", out)
    assert found is not None, out
    return float(found[1])


def _saturate(installation: Installation, port: int, seconds: float) -> float:
    words = (f"--port={port}", f"--connections={CONNECTIONS}", f"--seconds={seconds}")
    command = [str(installation.python), str(BENCH / "saturate.py"), *words]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
