"""Widths, durations and titles in the output of commands."""

import shutil
from typing import Any

MAX_COLUMNS = 100
"""Longer lines are hard to read."""


def columns() -> int:
    """Characters of a line in the terminal."""
    return min(shutil.get_terminal_size().columns, MAX_COLUMNS)


def title_of(row: Any) -> str:
    """The title of a session, a row of `sessions.list`: its label, else a title made from its beginning."""
    return str(row.get("label") or row.get("displayName") or row.get("derivedTitle") or "")


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min`, `5 h 12 min`, `2 d 3 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    hours, days = minutes // 60, minutes // 1440
    if hours == 0:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days == 0 else f"{days} d {hours % 24} h"
