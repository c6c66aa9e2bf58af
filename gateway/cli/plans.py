"""Reload plans in words: what an edit of the config would do."""

from typing import Any

import msgspec

from gateway.reload.plan import Plan
from gateway.terminal.writer import print_line
from gateway.text.visible import GREEN, YELLOW, paint

FATES = {
    "hot": ("applied hot", GREEN),
    "restart": ("restart, unseen by clients", YELLOW),
    "unit": ("socket unit: run `openclaw-gateway install` after saving", YELLOW),
    "ignored": ("ignored: it needs a restart, and gateway.reload.mode is hot", YELLOW),
    "none": ("nothing", ""),
}


def print_plan(made: Plan) -> None:
    for change in made.changes:
        words, colour = FATES[made.fate(change)]
        print_line(f"{change.path}: ", paint(words, colour))
    if made.outcome == "off":
        print_line("gateway.reload.mode is off: nothing is applied until `openclaw-gateway restart`")
    elif not made.changes:
        print_line("no difference in meaning: nothing will happen")


def plan_facts(made: Plan) -> dict[str, Any]:
    return {
        "outcome": made.outcome,
        "changes": [{**msgspec.to_builtins(change), "fate": made.fate(change)} for change in made.changes],
        "restart": made.restart,
        "unit": made.unit,
        "actions": made.actions,
        "ignored": made.ignored,
    }
