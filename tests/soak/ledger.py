"""What the database has of the questions of the soak, read from outside while the gateway runs, and what is wrong."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from gateway.sessions.records import text_of
from tests.soak.book import ENDED, Question, Stored

RUNS = "SELECT id, number, state FROM runs"
MESSAGES = "SELECT run, position, role, body FROM messages WHERE run IS NOT NULL ORDER BY position"


def read(database: Path) -> tuple[dict[str, Stored], int]:
    """All runs by their ids, and how many messages there are."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        db.execute("BEGIN")
        found = {id: Stored(id, state, number) for id, number, state in db.execute(RUNS)}
        messages = 0
        for run, position, role, body in db.execute(MESSAGES):
            messages += 1
            stored = found[run]
            if role == "user":
                stored.users.append(position)
            elif role == "assistant":
                stored.said.append(text_of(json.loads(body)))
        return found, messages


def compare(asked: Iterable[Question], found: Mapping[str, Stored]) -> list[str]:
    """When nothing goes on."""
    problems = [f"{run.id} is {run.state} and nothing goes on" for run in found.values() if run.state not in ENDED]
    by_session: dict[str, list[Stored]] = {}
    known = set()
    for question in asked:
        known.add(question.id)
        if (stored := found.get(question.id)) is None:
            problems.append(f"{question.kind} {question.id} was accepted and is not on disk")
            continue
        if (problem := stored.problem(question)) is not None:
            problems.append(f"{question.kind} {question.id} in {question.session} {problem}")
        if question.says is not None:  # a command is answered at once, whatever waits
            by_session.setdefault(question.session, []).append(stored)
    problems += [f"{id} is on disk, and nobody has asked it" for id in found if id not in known]
    for session, runs in by_session.items():
        positions = [position for run in sorted(runs, key=lambda run: run.number) for position in run.users]
        if any(later < before for before, later in pairwise(positions)):
            problems.append(f"the questions of {session} are not in the order in which they were accepted")
    return problems
