"""What one client can cost the others: memory and the longest freeze under what strangers and clients may send."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bench.doors_parsers import LONG, MOST_SLOPE, slopes
from bench.launcher import Launched, on_processor
from bench.programs import PROJECT, Installation
from bench.report import Goal, Section

MOST_MB, MOST_S = 150.0, 0.1
LOADS = {
    "strangers": "4,000 strangers, each with 60 KB of a message",
    "values": "one message of 25 MB with 2.5 million values",
    "unread": "4 clients that ask 32 times for 6 MB and read nothing",
    "guesses": "100,000 wrong passwords from 65,536 addresses",
}


def measure(installation: Installation, quick: bool) -> Section:
    rows, goals = [], []
    for load, what in LOADS.items():
        found = _under(installation, load)
        said = ", ".join(
            f"{key} {value:.0f}" if isinstance(value, float) else f"{key} {value}"
            for key, value in found["said"].items()
        )
        rows.append(
            (
                what,
                *(f"{found[size]:.0f} MB" for size in ("idle", "peak", "after")),
                f"{found['own'] * 1000:.0f} ms",
                f"{found['longest'] * 1000:.0f} ms",
                said,
            )
        )
        goals.append(Goal(f"{what}: under {MOST_MB:.0f} MB", f"{found['peak']:.0f} MB", found["peak"] < MOST_MB))
        goals.append(Goal(f"{what}: nobody waits {MOST_S:g} s", f"{found['own']:.3f} s", found["own"] < MOST_S))
        if load == "guesses":
            stays = (found["said"]["before"], found["said"]["after"]) == (429, 429)
            goals.append(Goal("a locked address stays locked", f"{found['said']['after']}", stays))
    how = (
        "A gateway of its own for each; it and the others each on a processor of their own where there are two. Memory"
        " is its RSS: before, at most, and once all have gone. Longest wait: for /healthz, asked every 2 ms by another"
        " client meanwhile, without and with the time for which the processors had other work."
    )
    more, notes = _slopes()
    columns = ("what", "before", "at most", "after", "longest wait", "with other work", "seen")
    return Section("Doors", how, columns, rows, [*goals, *more], notes)


def _slopes() -> tuple[list[Goal], list[str]]:
    found = list(slopes())
    worst = max(slope for *_, slope in found)
    goal = Goal(
        f"every parser's time in proportion: slope under {MOST_SLOPE}", f"{worst:.2f} at most", worst < MOST_SLOPE
    )
    said = (f"{what} {nanoseconds:.1f} ns ({slope:.2f})" for what, nanoseconds, slope in found)
    return [goal], [f"time for a byte of {LONG >> 20} MiB that is made to be slow, and the slope: {'; '.join(said)}"]


def _config(folder: Path) -> str:
    gateway = {"auth": {"token": "bench"}, "trustedProxies": ["127.0.0.1"]}
    return json.dumps({"gateway": gateway, "logging": {"file": str(folder / "gateway.log")}})


def _under(installation: Installation, load: str) -> dict[str, Any]:
    processors = sorted(os.sched_getaffinity(0))
    server_cpu, client_cpu = (processors[0], processors[1]) if len(processors) > 1 else (None, None)
    with on_processor(client_cpu), Launched(installation.gateway(), _config, server_cpu) as server:
        server.take_everything()
        with server.queue_request() as first:
            first.recv(65536)
        _run(installation, server, "watch", "")
        idle = _size(server.pid, "VmRSS")
        Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # the peak is that of what follows
        with subprocess.Popen(
            _command(installation, server, "watch"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={"PYTHONPATH": str(PROJECT)},
        ) as watcher:  # fmt: skip
            assert watcher.stdin is not None and watcher.stdout is not None
            watcher.stdout.readline()
            said = _run(installation, server, load, None)
            watcher.stdin.close()
            waits = json.loads(watcher.stdout.read())
        peak = _size(server.pid, "VmHWM")
        for _ in range(50):  # until its clients have gone
            _run(installation, server, "watch", "")
        return {"idle": idle, "peak": peak, "after": _size(server.pid, "VmRSS"), "said": said, **waits}


def _command(installation: Installation, server: Launched, load: str) -> list[str]:
    return [str(installation.python), "-m", "bench.doors_load", load, f"--port={server.port}", f"--pid={server.pid}"]


def _run(installation: Installation, server: Launched, load: str, given: str | None) -> dict[str, Any]:
    command = _command(installation, server, load)
    out = subprocess.run(
        command, input=given, stdout=subprocess.PIPE, text=True, check=True, env={"PYTHONPATH": str(PROJECT)}
    )
    found: dict[str, Any] = json.loads(out.stdout.splitlines()[-1])
    return found


def _size(pid: int, name: str) -> float:
    """Megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))
