"""What bench/answers.py measures of each answerer: one value from one run of answers_load.py, which is the client."""

import itertools
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.answerers import WEBSOCKET, Answerer, Way
from bench.memory import sizes_of
from bench.programs import BENCH, Installation

LONG = 2000
"""Words of the answer whose rate is measured."""
TALK = 300
TALK_PACE_MS = 10
"""Words of an answer at the pace of a model, and milliseconds between two of them."""
SESSIONS = 100
SESSIONS_CLIENTS = 10
PACE_MS = 100
"""Milliseconds between two words in each of those sessions."""
ENDLESS = 5000
"""Words, more than anybody waits for."""
REST_S = 3.0
LIMIT_S = 180.0
Sizes = dict[str, float]
"""Memory in MB, by the names of bench/memory.py."""
_names = (f"bench-{number}" for number in itertools.count())


class Asking:
    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def first(self, answerer: Answerer, way: Way, questions: int) -> list[float]:
        """Seconds until the first token of each."""
        times: list[float] = self._ask("first", answerer, way, count=questions)["times"]
        return times

    def rate(self, answerer: Answerer, way: Way, clients: int = 1) -> float:
        """Tokens per second, until the last client has the last one."""
        found = self._ask("rate", answerer, way, clients=clients, words=LONG)
        return float(found["words"] / found["seconds"])

    def cost(self, answerer: Answerer, way: Way, words: int = LONG, slow: int = 0) -> list[float]:
        """Processor seconds of each process for 1,000 tokens to one client, with `slow` ms between two tokens."""
        pids = answerer.processes()
        before = [_spent(pid) for pid in pids]
        self._ask("rate", answerer, way, words=words, slow=slow)
        return [1000 * (_spent(pid) - spent) / words for pid, spent in zip(pids, before, strict=True)]

    def rest(self, answerer: Answerer) -> list[Sizes]:
        """The memory of each process."""
        time.sleep(REST_S)
        return [sizes_of(pid) for pid in answerer.processes()]

    def busy(self, answerer: Answerer, way: Way) -> tuple[list[Sizes], int]:
        """While all sessions stream, and how many do. Their answers have no end: this process is not asked again."""
        clients = SESSIONS_CLIENTS if way is WEBSOCKET else SESSIONS
        options = {"clients": clients, "sessions": SESSIONS, "words": ENDLESS, "slow": PACE_MS}
        command = self._command("hold", answerer, way, **options)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None
            try:
                begun: int = json.loads(client.stdout.readline())["begun"]
                return self.rest(answerer), begun
            finally:
                client.kill()

    def awaken(self, answerer: Answerer, *words: str) -> float:
        """Seconds until the first token when the agent has to be started; `words` are options of the client."""
        _, *agents = answerer.processes()
        for pid in agents:
            os.kill(pid, signal.SIGTERM)
        while len(answerer.processes()) > 1:
            time.sleep(0.01)
        return self.first(answerer, Way(WEBSOCKET.name, (*WEBSOCKET.words, *words)), 1)[0]

    def _ask(self, what: str, answerer: Answerer, way: Way, **options: object) -> dict[str, Any]:
        command = self._command(what, answerer, way, **options)
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
        if done.returncode != 0:
            raise RuntimeError(f"{answerer.name} over {way.name}: {done.stderr.strip() or done.stdout.strip()}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def _command(self, what: str, answerer: Answerer, way: Way, **options: object) -> list[str]:
        words = [f"--{option}={value}" for option, value in options.items()]
        command = [str(self._installation.python), str(BENCH / "answers_load.py"), what, f"--port={answerer.port}"]
        return [*command, f"--name={next(_names)}", *way.words, *words]


def _spent(pid: int) -> float:
    """Processor seconds of a process so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
