"""From saving the config file to the change being in force, beyond the debounce."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from bench.launcher import Launched, write_private
from bench.programs import Installation, realistic_config, small_config
from bench.report import Goal, Section, milliseconds

REPEATS, QUICK_REPEATS = 30, 3
DEBOUNCE_S = 0.3
"""What both configs have: the default."""
MOST_S = 0.150
SETTLED_S = 2.0
"""Watching begins after READY."""
BETWEEN_S = 0.1


def measure(installation: Installation, quick: bool) -> Section:
    repeats = QUICK_REPEATS if quick else REPEATS
    rows = []
    slowest = 0.0
    for size, config in (("small", small_config), ("large", realistic_config)):
        with Launched(installation.gateway(), config) as gateway:
            gateway.hear("READY=1")
            time.sleep(SETTLED_S)
            # In turns, so that both ways meet the same weather.
            pairs = [
                (_edit(gateway, _rename_over, 2 * n), _edit(gateway, _truncate, 2 * n + 1)) for n in range(repeats)
            ]
        for way, times in zip(
            ("new file renamed over it", "truncated and written"), zip(*pairs, strict=True), strict=True
        ):
            rows.append((f"{size} config, {way}", milliseconds(times)))
            slowest = max(slowest, *times)
    promise = f"in force within {MOST_S * 1000:.0f} ms beyond the debounce"
    goal = Goal(promise, f"{slowest * 1000:.0f} ms at most", slowest < MOST_S)
    how = (
        f"{repeats} edits of a hot key in each way; median (range) from before the save to READY=1 with the change in"
        f" STATUS=, less the debounce of {DEBOUNCE_S * 1000:.0f} ms."
    )
    return Section("Save to applied", how, ("what", "time"), rows, [goal])


def _edit(gateway: Launched, save: Callable[[Path, str], None], number: int) -> float:
    text = _with_other_limit(gateway.config.read_text(), number)
    time.sleep(BETWEEN_S)
    began = time.monotonic()
    save(gateway.config, text)
    ready, message = gateway.hear("READY=1")
    if "applied without a restart: gateway.http.limits.keepAliveMs" not in message:
        raise RuntimeError(f"the edit was not applied: {message}")
    return ready - began - DEBOUNCE_S


def _with_other_limit(text: str, number: int) -> str:
    """The same text with another value of one key; the first time, with that key."""
    value = f"limits: {{ keepAliveMs: {5001 + number} }}"
    if "limits:" in text:
        return re.sub(r"limits: \{[^}]*\}", value, text)
    if "http: {" in text:
        return text.replace("http: {", f"http: {{ {value}, ", 1)
    return text.replace('"gateway": {', f'"gateway": {{ http: {{ {value} }}, ', 1)


def _rename_over(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    write_private(new, text)
    os.replace(new, path)


def _truncate(path: Path, text: str) -> None:
    path.write_text(text)
