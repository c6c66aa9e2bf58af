"""Runs clients.py or peers.py beside a test: `with load(manager, "fresh") as clients: ...`, then `clients.outcomes`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.gateway import PORT, TOKEN
from tests.e2e.inside import Inside
from tests.e2e.manager import SCRIPTS, VENV, UserManager
from tests.effort import EFFORT

REST = 1 if EFFORT >= 1 else 2.5
"""How much longer a client rests between its requests: clients cost more of a test's time than the gateway does."""
END_SECONDS = 60.0
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
    words = [f"--{name}={value}" for name, value in {"pace": 0.01 * REST, **options}.items()]
    with _running(manager, "clients.py", kind, *words) as process:
        clients = Clients(process)
        yield clients
        clients.end()


@dataclass
class Peers:
    """Filled when the `with` block ends: a `peers.Book` for each kind, as a dictionary."""

    process: Inside
    books: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __getitem__(self, kind: str) -> dict[str, Any]:
        return self.books[kind]

    def all(self, name: str, *but: str) -> dict[str, Any]:
        """What each kind has of this, where it has any; without these kinds."""
        return {kind: book[name] for kind, book in self.books.items() if book[name] and kind not in but}

    def end(self) -> None:
        if not self.books:
            self.process.terminate()
            out, err = self.process.communicate(timeout=2 * END_SECONDS)
            assert self.process.returncode == 0, f"the clients failed:\n{err}"
            self.books = json.loads(out)


@contextmanager
def peers(
    manager: UserManager,
    *words: str,
    pace: float = 0.1 * REST,
    token: str = TOKEN,
    port: int = PORT,
    env: Mapping[str, str] | None = None,
    **kinds: int,
) -> Iterator[Peers]:
    """As `load`, with so many clients of each kind of peers.py; `words` are further options."""
    counts = [f"--{kind.replace('_', '-')}={count}" for kind, count in kinds.items()]
    options = [f"--pace={pace}", f"--token={token}", f"--port={port}"]
    with _running(manager, "peers.py", *options, *counts, *words, env=env) as process:
        found = Peers(process)
        yield found
        found.end()


@contextmanager
def _running(manager: UserManager, script: str, *words: str, env: Mapping[str, str] | None = None) -> Iterator[Inside]:
    """Until the block ends, from when each client has had an answer."""
    # -P: the script's folder has a gateway.py, and peers.py means the installed one.
    process = manager.popen(f"{VENV}/bin/python", "-P", f"{SCRIPTS}/{script}", *words, env=env)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        if first != "ready\n":
            raise AssertionError(f"the clients did not start: {first}{process.communicate()[1]}")
        yield process
    finally:
        process.kill()
        process.wait()
