"""Memory of an idle process: what `ps` shows (RSS), its share of shared pages (PSS), and what is its alone (USS)."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.launcher import Launched
from bench.programs import Installation, Program, realistic_config, small_config
from bench.report import Goal, Section

REPEATS, QUICK_REPEATS = 5, 1
IDLE_S, QUICK_IDLE_S = 3.0, 1.0
MOST_MB = 45.0
SIZES = {"RSS": ("Rss",), "PSS": ("Pss",), "USS": ("Private_Clean", "Private_Dirty")}


def measure(installation: Installation, quick: bool) -> Section:
    gateway, uvicorn = installation.gateway(), installation.uvicorn()
    # Without a config the gateway's log lines go to its usual place.
    cases: list[tuple[str, Program, Callable[[Path], str] | None]] = [
        ("gateway, no config", gateway, None),
        ("gateway, small config", gateway, small_config),
        ("gateway, large config", gateway, realistic_config),
        (uvicorn.name, uvicorn, None),
    ]
    repeats, idle = (QUICK_REPEATS, QUICK_IDLE_S) if quick else (REPEATS, IDLE_S)
    found: dict[str, list[dict[str, float]]] = {name: [] for name, *_ in cases}
    for _ in range(repeats):
        for name, program, config in cases:
            found[name].append(_idle(program, config, idle))
    middle = {name: {size: median(sizes[size] for sizes in all_) for size in SIZES} for name, all_ in found.items()}
    base = middle[uvicorn.name]["RSS"]
    rows = [
        (name, *(f"{sizes[size]:.1f} MB" for size in SIZES), f"{sizes['RSS'] / base:.2f}")
        for name, sizes in middle.items()
    ]
    largest = max(sizes["RSS"] for name, sizes in middle.items() if name != uvicorn.name)
    goal = Goal(f"idle RSS under {MOST_MB:.0f} MB", f"{largest:.1f} MB at most", largest < MOST_MB)
    how = (
        f"Medians of {repeats}, one process at a time, {idle:g} s after its first answer and without clients."
        " 1 MB is 10⁶ bytes."
    )
    return Section("Memory", how, ("what", *SIZES, "× uvicorn"), rows, [goal])


def _idle(program: Program, config: Callable[[Path], str] | None, idle: float) -> dict[str, float]:
    process = Launched(program, config)
    client = process.queue_request()
    with process:
        with client:
            client.recv(65536)
        time.sleep(idle)
        return sizes_of(process.pid)


def sizes_of(pid: int) -> dict[str, float]:
    """Megabytes, from the kernel's sums over all mappings."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kibibytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return {size: sum(kibibytes[name] for name in names) * 1024 / 1e6 for size, names in SIZES.items()}
