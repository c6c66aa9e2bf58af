"""What is measured: the installed gateway, and uvicorn from the same installation with a bare ASGI function."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conformance.clients import CLIENTS
from tests.e2e.installation import install, interpreter
from tests.e2e.machine import obstacle

PROJECT = Path(__file__).parents[1]
BENCH = PROJECT / "bench"
CONFIG = "openclaw.json"
UVICORN_OPTIONS = (
    *("--loop", "uvloop", "--http", "httptools", "--lifespan", "off", "--log-level", "warning"),
    *("--no-access-log", "--no-proxy-headers", "--no-server-header", "--backlog", "4096"),
)
"""Options that the gateway's own server has too, so that the difference is ours and not a setting's."""


@dataclass(frozen=True)
class Program:
    """A command line, and what the environment needs beside the launcher's."""

    name: str
    words: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Installation:
    python: Path
    origin: str
    """A sentence for the report."""
    venv: Path | None
    """What boots a user manager; None where none can be booted."""
    obstacle: str | None
    """Why none can be booted."""

    def gateway(self, name: str = "gateway") -> Program:
        if self.venv is None:
            return Program(name, [str(self.python), "-m", "gateway", "run"], {"PYTHONPATH": str(PROJECT)})
        # The script that the unit executes, through the interpreter, because its first line names a place inside.
        return Program(name, [str(self.python), str(self.venv / "bin" / "openclaw-gateway"), "run"])

    def uvicorn(self, name: str = "uvicorn --fd 3, bare function") -> Program:
        return Program(
            name, [str(self.python), "-m", "uvicorn", "--app-dir", str(BENCH), "--fd", "3", *UVICORN_OPTIONS, "app:app"]
        )

    def interpreter(self, name: str, code: str) -> Program:
        return Program(name, [str(self.python), "-c", code])


def find_installation() -> Installation:
    """The wheel in the virtual environment of the end-to-end tests, or the source tree where that cannot be made."""
    python = None
    if (reason := obstacle()) is None and (python := interpreter()) is None:
        reason = "needs a Python >= 3.11 that every user can run"
    if python is None:
        return Installation(Path(sys.executable), "from the source tree", None, reason)
    os.umask(0o022)
    venv = install(python)
    return Installation(venv / "bin" / "python", "the installed wheel", venv, None)


def openclaw() -> Program | None:
    """OpenClaw's own gateway, where `make conformance` has installed it; its port is in its config."""
    client = CLIENTS[-1]
    words = [*client.words("gateway"), "--port", "$PORT"]
    return Program(f"OpenClaw {client.version}", words) if client.installed else None


def small_config(folder: Path) -> str:
    """A token, and a log file that is not the user's own."""
    return json.dumps({"gateway": {"auth": {"token": "bench"}}, "logging": {"file": str(folder / "gateway.log")}})


def realistic_config(folder: Path) -> str:
    """A config as OpenClaw users have it: every section of its documentation. Most sections are not ours."""
    text = (PROJECT / "tests" / "config" / "data" / "good" / "openclaw-full.json5").read_text()
    return text.replace("/tmp/openclaw/openclaw.log", str(folder / "gateway.log"))
