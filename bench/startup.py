"""From exec to READY=1, beside what its imports alone cost and beside uvicorn's way to its first answer."""

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.launcher import Launched
from bench.programs import Installation, Program, realistic_config, small_config
from bench.report import Goal, Section, milliseconds

REPEATS, QUICK_REPEATS = 30, 5
FACTOR = 1.4
"""100 ms where the reference takes 71."""
IMPORTS = "uvicorn, starlette, watchdog, systemd, msgspec"
# `socket` and `os` are imported by uvicorn already, so saying that it is done costs nothing.
REFERENCE = f"""
import {IMPORTS}
import os, socket
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
"""


def measure(installation: Installation, quick: bool) -> Section:
    reference = installation.interpreter("reference: the imports in a bare interpreter", REFERENCE)
    gateway, uvicorn = installation.gateway(), installation.uvicorn()
    times: dict[str, list[float]] = defaultdict(list)
    repeats = QUICK_REPEATS if quick else REPEATS
    for repeat in range(-1, repeats):
        found = {
            reference.name: _ready(reference),
            "gateway: READY": _ready(gateway, small_config),
            "gateway: first answer": _first_answer(gateway, small_config),
            "gateway, large config: READY": _ready(gateway, realistic_config),
            f"{uvicorn.name}: first answer": _first_answer(uvicorn),
        }
        if repeat >= 0:  # the first round fills the page cache and writes what is not compiled
            for name, seconds in found.items():
                times[name].append(seconds)
    base = median(times[reference.name])
    rows = [(name, milliseconds(values), f"{median(values) / base:.2f}") for name, values in times.items()]
    limit, ready = FACTOR * base, median(times["gateway: READY"])
    promise = f"READY within {FACTOR} × a bare interpreter with the imports of {IMPORTS}"
    goal = Goal(promise, f"{ready / base:.2f} ×: {ready * 1000:.0f} ms, limit {limit * 1000:.0f} ms", ready <= limit)
    how = (
        f"{repeats} starts of each, in turns; median (range) from just before fork and exec. The first answer is that"
        " to a request which waited in the listener's queue before the start."
    )
    return Section("Start-up", how, ("what", "time", "× reference"), rows, [goal])


def _ready(program: Program, config: Callable[[Path], str] | None = None) -> float:
    with Launched(program, config) as process:
        return process.hear("READY=1")[0] - process.began


def _first_answer(program: Program, config: Callable[[Path], str] | None = None) -> float:
    process = Launched(program, config)
    with process.queue_request() as client, process:
        if not client.recv(65536).startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{program.name} did not answer")
        return time.monotonic() - process.began
