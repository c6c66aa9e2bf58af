"""Runs clients.py beside a test: `with load(manager, "fresh") as clients: ...` and then `clients.outcomes`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.manager import SCRIPTS, VENV, Inside, UserManager

END_SECONDS = 30.0
"""After SIGTERM each worker still waits for its last answer."""


@dataclass
class Clients:
    """Filled when the `with` block ends; the names are those of the JSON that clients.py prints."""

    process: Inside
    outcomes: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    closes: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    p50: float = 0.0
    p99: float = 0.0
    slowest: float = 0.0

    @property
    def lost(self) -> dict[str, int]:
        """Requests without a whole answer, by outcome."""
        return {name: n for name, n in self.outcomes.items() if name in ("refused", "reset", "short", "timeout")}

    def end(self) -> None:
        self.process.terminate()
        out, err = self.process.communicate(timeout=END_SECONDS)
        assert self.process.returncode == 0, f"the clients failed:\n{err}"
        for name, value in json.loads(out).items():
            setattr(self, name, value)


@contextmanager
def load(manager: UserManager, kind: str, **options: object) -> Iterator[Clients]:
    """Starts clients, waits until each has had an answer, and ends them after the block; options are clients.py's."""
    words = [f"--{name}={value}" for name, value in options.items()]
    process = manager.popen(f"{VENV}/bin/python", f"{SCRIPTS}/clients.py", kind, *words)
    clients = Clients(process)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        if first != "ready\n":
            raise AssertionError(f"the clients did not start: {first}{process.communicate()[1]}")
        yield clients
        clients.end()
    finally:
        process.kill()
        process.wait()
