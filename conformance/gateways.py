"""The gateway under test: under a real systemd user manager where one can be booted, else with a parent that plays it.

In both, the port is held by somebody else than the gateway, as it is for a user: a cold restart must be invisible.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from conformance.clients import CACHE, PROJECT, TOKEN
from tests.e2e.gateway import CONFIG, PORT, SERVICE, SOCKET
from tests.e2e.installation import install, interpreter
from tests.e2e.machine import obstacle
from tests.e2e.manager import UserManager

START_SECONDS = 15.0
LISTENING = "0A"
LISTENER = 3


class Gateway(Protocol):
    port: int

    @property
    def enter(self) -> tuple[str, ...]:
        """Words before a command that make it run where the gateway can be reached."""

    def restart(self) -> None:
        """Cold: the process ends, and another one begins."""

    def configure(self, **sections: Any) -> None:
        """The config as it was at the beginning, with these sections; then a cold restart, so that it is in force."""

    def clients(self) -> set[int]:
        """The ports of all clients that are connected, or were within the last minute."""

    def log(self) -> str:
        """The gateway's log, for the person who looks into a failure."""


def config_text(extra: dict[str, Any], **sections: Any) -> str:
    """`extra` goes into the `gateway` section."""
    http = {"endpoints": {"chatCompletions": {"enabled": True}}}
    gateway = {"auth": {"mode": "token", "token": TOKEN}, "http": http, **extra}
    return json.dumps({"gateway": gateway, **sections})


def client_ports(table: str, port: int) -> set[int]:
    """Who is or was connected to a port, from the text of /proc/net/tcp (or tcp6).

    Ended connections stay there for a minute, so one that was shorter than the time between two looks is not missed.
    """
    rows = [line.split()[1:4] for line in table.splitlines()[1:]]
    ends = [[int(end.rpartition(":")[2], 16) for end in row[:2]] for row in rows if row[2] != LISTENING]
    return {other for one, other in ends if one == port} | {one for one, other in ends if other == port}


@dataclass
class Managed:
    """The installed wheel under the user manager of the end-to-end tests, which has a network of its own."""

    manager: UserManager
    extra: dict[str, Any]
    port: int = PORT

    @property
    def enter(self) -> tuple[str, ...]:
        # Its network only: the client's files stay those of this machine.
        return ("nsenter", f"--net={self.manager.path('/proc/1/ns/net')}", "--")

    def restart(self) -> None:
        self.manager.systemctl("restart", SERVICE)

    def configure(self, **sections: Any) -> None:
        self.manager.write(CONFIG, config_text(self.extra, **sections))
        self.restart()

    def clients(self) -> set[int]:
        init = self.manager.path("/").parent
        tables = [(init / "net" / name).read_text() for name in ("tcp", "tcp6")]
        return set().union(*(client_ports(table, self.port) for table in tables))

    def log(self) -> str:
        return "\n".join(self.manager.messages(SERVICE))


class Foreground:
    """`python -m gateway run` from the source tree, with the descriptors of a listener that this process holds."""

    enter: tuple[str, ...] = ()
    """No words: the gateway runs in this network."""

    def __init__(self, folder: Path, extra: dict[str, Any]) -> None:
        self._folder = folder
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port: int = self._listener.getsockname()[1]
        self._extra = {"port": self.port, **extra}
        self._process: subprocess.Popen[bytes] | None = None
        self._write({})

    def configure(self, **sections: Any) -> None:
        self._write(sections)
        self.restart()

    def _write(self, sections: dict[str, Any]) -> None:
        path = self._folder / "openclaw.json"
        logging = {"file": str(self._folder / "gateway.log")}
        path.write_text(config_text(self._extra, logging=logging, **sections))
        path.chmod(0o600)

    def start(self) -> None:
        # The pid that LISTEN_PID must name is known to the child alone.
        script = 'exec 3<&"$0"; LISTEN_FDS=1 LISTEN_FDNAMES=gateway LISTEN_PID=$$ exec "$@"'
        place = str(self._folder)
        environment = {"HOME": place, "OPENCLAW_STATE_DIR": place, "XDG_RUNTIME_DIR": place, "PATH": os.defpath}
        number = os.dup(self._listener.fileno()) if self._listener.fileno() == LISTENER else self._listener.fileno()
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                ["bash", "-c", script, str(number), sys.executable, "-m", "gateway", "run"],
                cwd=PROJECT,
                env={**environment, "LANG": "C.UTF-8"},
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=30)
            self._process = None

    def close(self) -> None:
        self.stop()
        self._listener.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def clients(self) -> set[int]:
        return client_ports(Path("/proc/net/tcp").read_text(), self.port)

    def log(self) -> str:
        return (self._folder / "output").read_text()


@contextmanager
def running(folder: Path, foreground: bool = False, extra: dict[str, Any] | None = None) -> Iterator[Gateway]:
    """A started gateway that has answered once; `extra` is more of the `gateway` section of its config."""
    reason = None if foreground else obstacle()
    python = None if foreground or reason else interpreter()
    if python is None:
        print(f"in the foreground{f': {reason}' if reason else ''}", file=sys.stderr)
        here = Foreground(folder, extra or {})
        try:
            here.start()
            _until_healthy(here.port)
            yield here
        finally:
            here.close()
        return
    os.umask(0o022)
    with UserManager(folder / "manager", install(python)) as manager:
        manager.write(CONFIG, config_text(extra or {}))
        manager.run("openclaw-gateway", "install")
        manager.systemctl("start", SOCKET)
        manager.run("curl", "--silent", "--show-error", "--fail", f"http://127.0.0.1:{PORT}/healthz")
        yield Managed(manager, extra or {})


def _until_healthy(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=START_SECONDS).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


OUT = CACHE / "out"
"""Where the whole output of every command is kept."""
