"""`make soak`: a crowd talks to a gateway that is restarted, killed and edited all the time, and nothing may be lost.

Every minute the crowd rests, and then all that was asked must have ended as it was told, with each word once. In the
last quarter nothing is disturbed: what grows then in gateway and agent is a leak. Exits with 1 if anything is wrong.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conformance import providing
from tests.e2e.gateway import TOKEN
from tests.e2e.installation import install, interpreter
from tests.e2e.machine import obstacle
from tests.e2e.manager import UserManager
from tests.soak.machine import Machine
from tests.soak.soak import Soak, summary

PROJECT = Path(__file__).parents[2]


class Crowd:
    """crowd.py, on this machine and in the network of the gateway."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def go(self) -> None:
        self._say("go")

    def rest(self) -> dict[str, Any]:
        self._say("rest")
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the crowd has ended; what it wrote says why")
        found: dict[str, Any] = json.loads(line)
        return found

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()


@contextmanager
def crowd(machine: Machine, seed: int) -> Iterator[Crowd]:
    words = [sys.executable, "-m", "tests.soak.crowd", f"--token={TOKEN}", f"--seed={seed}"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*machine.enter, *words], cwd=PROJECT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Crowd(process)
        finally:
            process.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1, help="the same chances again, as far as time lets them")
    options = parser.parse_args()
    python = None if (reason := obstacle()) else interpreter()
    if python is None:
        print(f"no systemd user manager here: {reason or 'needs a Python >= 3.11 that every user can run'}")
        return 1
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as folder, UserManager(Path(folder), install(python)) as manager:
        machine = Machine(manager)
        machine.set_up()
        with providing.provider(machine.enter), crowd(machine, options.seed) as people:
            soak = Soak(machine, people, options.seed)
            soak.last(options.minutes * 60)
        print(summary(soak))
        return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
