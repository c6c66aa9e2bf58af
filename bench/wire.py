"""The WebSocket: connects, requests, events and memory, each beside a bare echo under the same server and settings."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench.launcher import Launched, on_processor
from bench.programs import BENCH, PROJECT, Installation, Program, openclaw, small_config
from bench.report import Goal, Section

REPEATS, QUICK_REPEATS = 5, 1
SECONDS, QUICK_SECONDS = 2.0, 0.7
CLIENTS, MANY, LISTENERS, EVENTS = 32, 1000, 500, 200
METHODS = ("last-heartbeat", "health", "status")
BOTH = ("health", "status")
"""Methods that OpenClaw's own gateway is asked too, if installed, by CLIENTS clients: it takes no more at once."""
REAL_START_S = 60.0
LEAST_ECHO, LEAST_REAL, LEAST_CONNECTS, MOST_KB = 0.5, 10, 3, 25.0
Rates = dict[str, list[float]]


def measure(installation: Installation, quick: bool) -> Section:
    repeats, seconds = (QUICK_REPEATS, QUICK_SECONDS) if quick else (REPEATS, SECONDS)
    processors = sorted(os.sched_getaffinity(0))
    server_cpu, client_cpu = (processors[0], processors[1]) if len(processors) > 1 else (None, None)
    ours: Rates = {}
    bare: Rates = {}
    theirs: Rates = {}
    beside: Rates = {}
    with ExitStack() as running, on_processor(client_cpu):
        gateway = running.enter_context(Launched(installation.gateway(), small_config, server_cpu))
        gateway.take_everything()
        real = running.enter_context(_real(server_cpu))
        echo, hub = (
            running.enter_context(Launched(_server(installation, k), None, server_cpu)) for k in ("echo", "hub")
        )
        for server in (gateway, echo, hub):
            _load(installation, server, server is echo, clients=1, seconds=0.2)
        for _ in range(repeats):
            for clients in (1, CLIENTS):
                name = f"round trips/s, {clients} client{'s' * (clients > 1)}"
                _add(bare, name, _load(installation, echo, True, clients=clients, seconds=seconds)["answers"])
                for method in METHODS:
                    found = _load(installation, gateway, False, clients=clients, seconds=seconds, method=method)
                    _add(ours, f"{method}: {name}", found["answers"])
            for rates, server, is_echo in ((bare, echo, True), (ours, gateway, False)):
                _add(rates, "connects with handshake/s", _load(installation, server, is_echo, clients=MANY)["connects"])
            if real is not None:
                for rates, server in ((theirs, real), (beside, gateway)):
                    _add(rates, "connects", _load(installation, server, False, clients=CLIENTS)["connects"])
                    for method in BOTH:
                        found = _load(installation, server, False, clients=CLIENTS, seconds=seconds, method=method)
                        _add(rates, method, found["answers"])
            for rates, server, is_echo in ((bare, echo, True), (ours, hub, False)):
                found = _load(installation, server, is_echo, clients=LISTENERS, events=EVENTS)
                _add(rates, f"events/s to {LISTENERS} clients", found["events"])
    with on_processor(client_cpu):
        for _ in range(repeats):
            for rates, program, is_echo in (
                (bare, _server(installation, "echo"), True),
                (ours, installation.gateway(), False),
            ):
                with Launched(program, None if is_echo else small_config, server_cpu) as server:
                    server.take_everything()
                    _add(rates, "KB for an idle client", _kilobytes(installation, server, is_echo))
    return _section(ours, bare, theirs, beside, repeats)


@contextmanager
def _real(cpu: int | None) -> Iterator[Launched | None]:
    program = openclaw()
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = {"gateway": {"mode": "local", "port": port, "auth": {"mode": "token", "token": "bench"}}}
    program = replace(program, words=[word.replace("$PORT", str(port)) for word in program.words])
    with Launched(program, lambda folder: json.dumps(config), cpu) as server:
        server.port = port
        deadline = time.monotonic() + REAL_START_S
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz"):
                break
            time.sleep(0.2)
        yield server


def _section(ours: Rates, bare: Rates, theirs: Rates, beside: Rates, repeats: int) -> Section:
    rows = []
    for name, values in ours.items():
        reference = bare[name.rpartition(": ")[2]]
        ratio = _ratio(values, reference)
        rows.append((name, _cell(values), _cell(reference), f"{ratio:.2f}"))
    for name, values in beside.items():
        ratio = _ratio(values, theirs[name])
        what = f"{name}/s, {CLIENTS} clients; beside it OpenClaw's own"
        rows.append((what, _cell(values), _cell(theirs[name]), f"{ratio:.2f}"))
    how = (
        f"Medians of {repeats} (range); servers and client each on a processor of their own where there are two. The"
        f" bare echo is an ASGI function under the gateway's own server class. Memory is the growth of RSS with {MANY}"
        " clients. OpenClaw's own gateway is measured where `make conformance` has installed it."
    )
    goals = _goals(ours, bare, theirs, beside)
    return Section("WebSocket", how, ("what", "gateway", "bare echo", "ratio"), rows, goals)


def _goals(ours: Rates, bare: Rates, theirs: Rates, beside: Rates) -> list[Goal]:
    trips = f"round trips/s, {CLIENTS} clients"
    echo = _ratio(ours[f"last-heartbeat: {trips}"], bare[trips])
    kilobytes = median(ours["KB for an idle client"])
    goals = [
        Goal(f"last-heartbeat at least {LEAST_ECHO} × a bare echo", f"{echo:.2f} ×", echo >= LEAST_ECHO),
        Goal(f"at most {MOST_KB:.0f} KB for an idle client", f"{kilobytes:.1f} KB", kilobytes <= MOST_KB),
    ]
    for name, values in beside.items():
        times, least = _ratio(values, theirs[name]), LEAST_CONNECTS if name == "connects" else LEAST_REAL
        goals.append(Goal(f"{name} at least {least} × OpenClaw's own gateway", f"{times:.1f} ×", times >= least))
    return goals


def _ratio(ours: list[float], others: list[float]) -> float:
    return median(a / b for a, b in zip(ours, others, strict=True))


def _cell(values: list[float]) -> str:
    digits = 0 if median(values) >= 1000 else 1
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def _add(rates: Rates, name: str, value: float) -> None:
    rates.setdefault(name, []).append(value)


def _server(installation: Installation, kind: str) -> Program:
    words = [str(installation.python), str(BENCH / "wire_server.py"), kind]
    return Program(kind, words, {"PYTHONPATH": str(PROJECT)})


def _command(installation: Installation, server: Launched, echo: bool, **options: object) -> list[str]:
    words = [f"--{name}={value}" for name, value in options.items()]
    flags = ["--echo"] if echo else []
    return [str(installation.python), str(BENCH / "wire_load.py"), f"--port={server.port}", *words, *flags]


def _load(installation: Installation, server: Launched, echo: bool, **options: object) -> dict[str, float]:
    command = _command(installation, server, echo, **options)
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found: dict[str, float] = json.loads(out)
    return found


def _kilobytes(installation: Installation, server: Launched, echo: bool) -> float:
    """After a first client: what is imported on first use is no client's. 1 KB is 1000 bytes."""
    _load(installation, server, echo, clients=1, seconds=0.2)
    before = _resident(server.pid)
    command = [*_command(installation, server, echo, clients=MANY), "--hold"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdin is not None and client.stdout is not None
        client.stdout.readline()
        time.sleep(2.5)  # the presence event is behind them
        used = _resident(server.pid) - before
        client.stdin.close()
    return used / MANY / 1000


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
