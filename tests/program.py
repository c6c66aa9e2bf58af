"""`openclaw-gateway run` with a state folder and a port of its own, without systemd."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.files.paths import Paths
from tests.slack import LIMIT_S


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


class Program:
    """One `openclaw-gateway run` with a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.config = self.state / "openclaw.json"
        self.port = free_port()
        (folder / "runtime").mkdir(mode=0o700, exist_ok=True)
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OPENCLAW_")},
            "OPENCLAW_STATE_DIR": str(self.state),
            "XDG_RUNTIME_DIR": str(folder / "runtime"),
            "PYTHONPATH": os.getcwd(),
            "PYTHONDEVMODE": "",
        }
        self.control = Paths.from_env(self.environ).control
        self.stderr = folder / "stderr"
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, config: Any) -> None:
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.config.write_text(config if isinstance(config, str) else json.dumps(config))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "gateway", "run", "--port", str(self.port), *arguments]

    def start(self, *arguments: str) -> "Program":
        with open(self.stderr, "a") as stderr:
            self.process = subprocess.Popen(self.command(*arguments), env=self.environ, stderr=stderr)
        self.until(lambda: self.status()["ready"])
        return self

    def refused(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.environ | environ, capture_output=True, text=True, timeout=LIMIT_S
        )

    def status(self) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(self.control))
            sock.sendall(b"GET /control/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
        status: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
        return status

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def until(self, true: Callable[[], Any], seconds: float = LIMIT_S) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                if true():
                    return
            except (OSError, ValueError, KeyError, TypeError):
                pass  # it is just starting, or just restarting
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}: {self.output()}")
            assert time.monotonic() < end, f"it did not happen: {self.status()}"
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        assert self.process is not None
        self.signal(signal.SIGTERM)
        return self.process.wait(LIMIT_S)

    def output(self) -> str:
        return self.stderr.read_text()
