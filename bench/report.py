"""What a bench part hands back, and its text: the same Markdown in the terminal and in results.md."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Goal:
    """A promise, what was measured of it, and whether that keeps it."""

    promise: str
    measured: str
    met: bool


@dataclass
class Section:
    title: str
    how: str = ""
    """How it was measured, in a sentence or two."""
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()
    goals: Sequence[Goal] = ()
    notes: list[str] = field(default_factory=list)
    skipped: str = ""
    """Why it could not be measured here."""


def milliseconds(values: Sequence[float]) -> str:
    """Median and range of seconds: `152 (140–201) ms`."""
    low, middle, high = (1000 * value for value in (min(values), median(values), max(values)))
    digits = 0 if high >= 100 else 1
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f}) ms"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table that is aligned, so that it reads as well in a terminal."""
    widths = [max(len(row[at]) for row in [columns, *rows]) for at in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        # What is not a name is a number, and numbers stand to the right.
        padded = [cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]
        return f"| {' | '.join(padded)} |"

    rule = [f"{'-' * (width - 1)}:" if at else "-" * width for at, width in enumerate(widths)]
    return [line(columns), line(rule), *(line(row) for row in rows)]


def render(section: Section) -> str:
    lines = [f"## {section.title}", ""]
    if section.skipped:
        return "\n".join([*lines, f"Skipped: {section.skipped}.", ""])
    if section.how:
        lines += [section.how, ""]
    lines += [*table(section.columns, section.rows), ""]
    lines += [f"- {_verdict(goal)}: {goal.promise}; measured {goal.measured}" for goal in section.goals]
    lines += [f"- {note}" for note in section.notes]
    return "\n".join([*lines, ""])


def summary(sections: Sequence[Section]) -> str:
    """All goals at a glance; a part that was skipped has a row with the reason."""
    rows: list[tuple[str, ...]] = []
    for section in sections:
        rows += [(goal.promise, goal.measured, _verdict(goal)) for goal in section.goals]
        if section.skipped:
            rows.append((section.title, section.skipped, "skipped"))
    return "\n".join(["## Goals", "", *table(("goal", "measured", ""), rows), ""])


def _verdict(goal: Goal) -> str:
    return "met" if goal.met else "MISSED"
