"""A restart in the middle of an answer: what it costs those who listen. Beside it what OpenClaw's own gateway does."""

import itertools
import json
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench import answerers
from bench.answerers import READY, until_up
from bench.programs import BENCH, Installation
from bench.report import Goal, Section
from bench.servers import KILL, install_gateway
from conformance import providing
from gateway.conversations.run_events import PACE_S
from tests.e2e.gateway import TOKEN
from tests.e2e.manager import UserManager, until

REPEATS, QUICK_REPEATS = 8, 1
KINDS = ("hot", "cold", KILL)
REAL_KINDS = {"SIGTERM": signal.SIGTERM, KILL: signal.SIGKILL}
CLIENTS = 3
"""Clients that hear one answer over a WebSocket. Another answer is read over HTTP at the same time."""
HTTP = "http"
WORDS, PACE_MS = 150, 20
MIDDLE = 50
"""Words that everybody has heard when the restart begins."""
MIDDLE_S, END_S = 30.0, 150.0
MOST_SILENCE_S = {"hot": 0.5, "cold": 0.5, KILL: 0.35}
EXPECTED = [f"w{number}" for number in range(1, WORDS + 1)]
_sessions = (f"agent:main:bench-{number}" for number in itertools.count())


class Piece(NamedTuple):
    at: float
    client: str
    words: int


@dataclass
class Tally:
    """What one way of listening has cost, over all restarts of one kind."""

    restarts: int = 0
    words: int = 0
    lost: int = 0
    connections: int = 0
    """Connections that ended."""
    silences: list[float] = field(default_factory=list)
    """The longest of each restart."""

    def add(self, text: str) -> None:
        """Count the words that a client has, and has lost, in the end."""
        self.words += WORDS
        self.lost += _lost(text)


Tallies = dict[str, Tally]
"""Results by the words of a row of the table."""


class Watch:
    """answers_watch.py, and its lines as they come."""

    def __init__(self, process: "subprocess.Popen[str]", clients: list[str]) -> None:
        self.pieces: list[Piece] = []
        self.found: dict[str, Any] = {}
        self._process = process
        self._clients = clients
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def until_the_middle(self) -> None:
        def there() -> bool:
            known = {piece.client for piece in self.pieces if piece.words >= MIDDLE}
            return known.issuperset(self._clients)

        until(there, f"the word {MIDDLE} of an answer", MIDDLE_S)

    def end(self) -> None:
        self._reader.join(END_S)
        if not self.found:
            raise RuntimeError(f"the answer did not come to its end; the last pieces were {self.pieces[-3:]}")

    def tally(self, begun: float, tallies: Tallies, what: str) -> None:
        """Add what this restart has cost to the rows of the two ways."""
        for way, clients in (("WebSocket", self._clients[:CLIENTS]), ("HTTP", self._clients[CLIENTS:])):
            if clients:
                tally = tallies[f"{what}, {way}"]
                tally.restarts += 1
                tally.silences.append(max(self._silence(client, begun) for client in clients))
                for client in clients:
                    tally.add(self.found["heard"][client]["text"])
                    tally.connections += self.found["heard"][client]["connects"] - 1
        tallies[f"{what}, WebSocket"].add(" ".join(self.found["said"]))

    def _silence(self, client: str, begun: float) -> float:
        times = [piece.at for piece in self.pieces if piece.client == client]
        return max(later - at for at, later in itertools.pairwise(times) if later > begun)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self.found = json.loads(line)
            else:
                at, client, words = line.split()
                self.pieces.append(Piece(float(at), client, int(words)))


@contextmanager
def _watch(
    installation: Installation, port: int, token: str, enter: tuple[str, ...] = (), *, http: bool
) -> Iterator[Watch]:
    """`enter` are words before the command that lead to where the gateway is."""
    clients = [str(number) for number in range(CLIENTS)] + [HTTP] * http
    question = f"--prompt=!words={WORDS} !slow={PACE_MS}"
    words = [f"--port={port}", f"--token={token}", f"--session={next(_sessions)}", question, f"--clients={CLIENTS}"]
    command = [*enter, str(installation.python), str(BENCH / "answers_watch.py"), *words]
    with subprocess.Popen([*command, *["--http=openclaw"] * http], stdout=subprocess.PIPE, text=True) as process:
        try:
            watch = Watch(process, clients)
            watch.until_the_middle()
            yield watch
            watch.end()
        finally:
            process.kill()


def measure(installation: Installation, quick: bool) -> Section:
    title = "Restarts in the middle of an answer"
    if installation.venv is None:
        return Section(title, skipped=f"no systemd user manager here: {installation.obstacle}")
    ours: Tallies = defaultdict(Tally)
    theirs: Tallies = defaultdict(Tally)
    repeats = QUICK_REPEATS if quick else REPEATS
    with tempfile.TemporaryDirectory() as folder, UserManager(Path(folder), installation.venv) as manager:
        _restart_ours(installation, manager, repeats, ours)
    notes = _restart_theirs(installation, theirs)
    how = (
        f"{repeats} restarts of each kind, each in the middle of an answer of {WORDS} words, one in {PACE_MS} ms, to"
        f" {CLIENTS} WebSocket clients; another answer goes to a client of the HTTP API at the same time. Whose"
        " connection ends comes back. Words lost: those that somebody has not, or has twice, when all is over; the"
        " session's transcript is somebody too. Silence: the longest time between two pieces of an answer, over all"
        f" clients of a restart. Over a WebSocket it is {PACE_S} s without any restart, because that is how often an"
        " answer's progress is told. OpenClaw's own gateway is restarted once in each way, where `make conformance`"
        " has installed it."
    )
    rows = [(what, *_cells(tally)) for tallies in (ours, theirs) for what, tally in tallies.items()]
    columns = ("what", "restarts", "words lost", "connections ended", "silence: median", "max")
    return Section(title, how, columns, rows, _goals(ours), notes)


def _restart_ours(installation: Installation, manager: UserManager, repeats: int, tallies: Tallies) -> None:
    enter = ("nsenter", f"--net={manager.path('/proc/1/ns/net')}", "--")
    gateway = {"auth": {"token": TOKEN}, "http": {"endpoints": {"chatCompletions": {"enabled": True}}}}
    with providing.provider(enter) as port:
        server = install_gateway(manager, json.dumps({"gateway": gateway, **providing.config(port)}))
        for kind in KINDS:
            server.rest(manager)
            for _ in range(repeats):
                with _watch(installation, server.port, TOKEN, enter, http=True) as watch:
                    begun = server.kinds[kind](manager)
                watch.tally(begun, tallies, kind)


def _restart_theirs(installation: Installation, tallies: Tallies) -> list[str]:
    """A sentence for what the table cannot show."""
    notes = []
    with answerers.provider() as model, answerers.real(model, None) as real:
        if isinstance(real, str):
            return [real]
        assert real.process is not None
        for kind, number in REAL_KINDS.items():
            with _watch(installation, real.port, answerers.TOKEN, http=False) as watch:
                begun, ended = real.process.replace(number)
                until_up(real.process, real.port, READY)
                away = time.monotonic() - ended
            watch.tally(begun, tallies, f"{real.name}: {kind}")
            notes.append(f"{real.name}, {kind}: ends after {ended - begun:.1f} s, and is away for {away:.1f} s then")
    return notes


def _cells(tally: Tally) -> tuple[str, ...]:
    silence = (f"{of(tally.silences):.3f} s" for of in (median, max))
    return (str(tally.restarts), f"{tally.lost} of {tally.words}", str(tally.connections), *silence)


def _goals(ours: Tallies) -> list[Goal]:
    lost, words = sum(tally.lost for tally in ours.values()), sum(tally.words for tally in ours.values())
    goals = [Goal("no word of an answer lost, or told twice, over restarts", f"{lost} of {words}", not lost)]
    for what, tally in ours.items():
        silence = median(tally.silences)
        most = next(most for kind, most in MOST_SILENCE_S.items() if what.startswith(kind))
        promise = f"restart in the middle of an answer, {what}: silence under {most} s (median)"
        goals.append(Goal(promise, f"{silence:.3f} s", silence < most))
    return goals


def _lost(text: str) -> int:
    """Words of the answer that are not there once."""
    found = Counter(text.split())
    return sum(found[word] != 1 for word in EXPECTED)
