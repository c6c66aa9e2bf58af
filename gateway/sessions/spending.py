"""Rows of `usage`: tokens and costs of answers. Each function is part of a transaction of its caller."""

import sqlite3
from collections.abc import Iterable
from typing import Any

from gateway.link.spec import Message

Answer = tuple[int, str, str, str, str, int, int, int, int, float | None, float, float, float, float]
"""A row of `usage`, in the order of its columns in `schema`."""
_INSERT = "INSERT INTO usage SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14"
_KINDS = ("input", "output", "cacheRead", "cacheWrite")


def spent_on(session: str, agent: str, message: Message) -> Answer:
    """The row for an answer of a model. Raises TypeError, ValueError or AttributeError if `usage` in it is malformed,
    which only an imported message can be."""
    used: dict[str, Any] = message.get("usage") or {}
    cost: dict[str, Any] = used.get("cost") or {}
    total = cost.get("total")
    input, output, read, write = (int(used.get(kind) or 0) for kind in _KINDS)
    costs = [float(cost.get(kind) or 0) for kind in _KINDS]
    return (
        *(int(message["timestamp"]), session, agent, message.get("provider") or "", message.get("model") or ""),
        *(input, output, read, write, None if total is None else float(total)),
        *(costs[0], costs[1], costs[2], costs[3]),
    )


def note(answer: Answer, db: sqlite3.Connection) -> None:
    db.execute(_INSERT, answer)


def note_once(answers: Iterable[Answer], db: sqlite3.Connection) -> None:
    """Add answers that are not there yet: a session that was imported and deleted may be imported again."""
    there = (
        "SELECT 1 FROM usage WHERE at = ?1 AND session = ?2 AND provider = ?4 AND model = ?5"
        " AND input = ?6 AND output = ?7"
    )
    db.executemany(f"{_INSERT} WHERE NOT EXISTS ({there})", answers)
