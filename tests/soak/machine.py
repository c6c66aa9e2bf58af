"""The machine of the soak: gateway and agent under a real user manager, what disturbs them, and what they take."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance import providing
from gateway.units import AGENT_SERVICE
from tests.e2e import faults
from tests.e2e.gateway import SERVICE, TOKEN, Gateway
from tests.e2e.manager import VENV, UserManager

PROJECT = Path(__file__).parents[2]
BOX = PROJECT / "tests" / "agent" / "box.py"
"""An MCP server."""
DATABASE = ".openclaw/gateway/conversations.sqlite"
PACES_MS = (5, 15)
"""Milliseconds between the echo's words. The edits of the config switch between them."""


@dataclass(frozen=True)
class Measures:
    """At rest: nobody is connected, nothing is asked."""

    gateway_pid: int
    gateway_mb: float
    gateway_fds: int
    stored_fds: int
    """Descriptors in systemd's fd store of the gateway."""
    agent_pid: int
    """0 when it is not there; then its other numbers are 0 too."""
    agent_mb: float
    agent_fds: int
    agent_processes: int
    """With those of tools."""
    database_mb: float


class Machine:
    def __init__(self, manager: UserManager) -> None:
        self.manager = manager
        self.gateway = Gateway(manager)
        self.enter = ("nsenter", f"--net={manager.path('/proc/1/ns/net')}", "--")
        """Words before a command that lead into its network."""
        self._model_port = 0

    def set_up(self, model_port: int) -> None:
        """`model_port`: of the provider of the tests, in that network."""
        self._model_port = model_port
        self.manager.write("box.py", BOX.read_text())
        self._configure(PACES_MS[0])
        self.gateway.command("install")
        self.gateway.drop_in(SERVICE, faults.UNRATIONED)
        self.gateway.start()
        self.manager.systemctl("start", SERVICE)

    def _configure(self, pace_ms: int) -> None:
        config = providing.config(self._model_port)
        config["models"]["providers"]["builtin"] = {"paceMs": pace_ms}
        box = {"command": f"{VENV}/bin/python", "args": [f"{self.manager.inner_home}/box.py"]}
        config["mcp"] = {"servers": {"box": box}}
        http = {"endpoints": {"chatCompletions": {"enabled": True}}}
        self.gateway.configure(json.dumps({"gateway": {"auth": {"token": TOKEN}, "http": http}, **config}))

    # -- what disturbs ---------------------------------------------------------------------------------------------

    def disturb(self, chance: random.Random) -> str:
        """One of them; returns its name."""
        kinds: dict[str, tuple[faults.Fault, int]] = {
            "hot restart": (faults.hot, 4),
            "cold restart": (faults.cold, 4),
            "kill -9 of the gateway": (faults.crash, 3),
            "edit of the config": (lambda _: self._configure(chance.choice(PACES_MS)), 2),
            "kill -9 of the agent": (faults.agent_crash, 2),
            "stop of the agent": (faults.agent_stop, 1),
            "retirement of the agent": (faults.agent_retirement, 1),
            "kill -9 of both": (faults.both_crash, 1),
        }
        (name,) = chance.choices([*kinds], [weight for _, weight in kinds.values()])
        kinds[name][0](self.gateway)
        return name

    # -- what it takes ---------------------------------------------------------------------------------------------

    def measure(self) -> Measures:
        gateway, agent = self.gateway.pid(), int(self.manager.show(AGENT_SERVICE, "MainPID")["MainPID"])
        stored = int(self.manager.show(SERVICE, "NFileDescriptorStore")["NFileDescriptorStore"])
        files = [self.manager.home / (DATABASE + ending) for ending in ("", "-wal")]
        return Measures(
            gateway_pid=gateway,
            gateway_mb=self._megabytes(gateway),
            gateway_fds=self._descriptors(gateway),
            stored_fds=stored,
            agent_pid=agent,
            agent_mb=self._megabytes(agent),
            agent_fds=self._descriptors(agent),
            agent_processes=len(self._processes(AGENT_SERVICE)),
            database_mb=sum(file.stat().st_size for file in files if file.exists()) / 1e6,
        )

    def _megabytes(self, pid: int) -> float:
        if not pid:
            return 0.0
        pages = int(self.manager.path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def _descriptors(self, pid: int) -> int:
        return len(list(self.manager.path(f"/proc/{pid}/fd").iterdir())) if pid else 0

    def _processes(self, service: str) -> list[int]:
        """In its cgroup."""
        cgroup = self.manager.show(service, "ControlGroup")["ControlGroup"]
        if not cgroup:
            return []
        return [int(line) for line in self.manager.path(f"/sys/fs/cgroup{cgroup}/cgroup.procs").read_text().split()]


class CrowdProcess:
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
def crowd(machine: Machine, seed: int) -> Iterator[CrowdProcess]:
    words = [sys.executable, "-m", "tests.soak.crowd", f"--token={TOKEN}", f"--seed={seed}"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*machine.enter, *words], cwd=PROJECT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield CrowdProcess(process)
        finally:
            process.kill()
