"""The real command lines: where they lie, how they are told of the gateway, and one run of one command."""

import json
import os
import platform
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from conformance.verdict import TIMED_OUT, Run

PROJECT = Path(__file__).parents[1]
CACHE = PROJECT / ".cache" / "conformance"
TOKEN = "a-token-of-the-conformance-run"

PRINTED = {
    "agent --agent main --message Hello": "You said: Hello",
    "agent --agent main --message Hello --json": "You said: Hello",
    "agent --session-id conformance --message Hello": "You said: Hello",
    "models list": "builtin/echo",
}
"""Commands, and what they must print among other things."""
COMMANDS = (
    "gateway call health",
    "gateway call status",
    "health",
    "status",
    "status --deep",
    "gateway status",
    "gateway probe",
    "logs",
    "channels status",
    "devices list",
    "openai",
    *PRINTED,
)
OPENAI = "openai"
"""No command of OpenClaw's: the client of OpenAI that each release brings, asking for completions."""
FIRST_SECONDS = 300.0
"""Seconds for a command that compiles all plugins of a release, once on a machine."""
LIMIT_SECONDS = 60.0
"""Seconds for one command. The clients' own limits are 3 to 10 s; the rest is Node reading its files, cold."""
_ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Client:
    """One release of OpenClaw with the Node that it asks for."""

    version: str
    node: str
    protocol: int
    overrides: tuple[tuple[str, str], ...] = ()
    """Dependencies whose newest release does not go with this one."""

    @property
    def folder(self) -> Path:
        return CACHE / self.version

    @property
    def package(self) -> Path:
        return self.folder / "node_modules" / "openclaw"

    @property
    def interpreter(self) -> Path:
        return self.folder / "node_modules" / _node_package() / "bin" / "node"

    @property
    def stamp(self) -> Path:
        """A file that exists once everything is installed, and says what was."""
        return self.folder / ".installed"

    @property
    def installed(self) -> bool:
        return self.stamp.exists()

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands of `COMMANDS` that ask a gateway."""
        return tuple(each for each in COMMANDS if self.protocol >= 4 or each != "models list")

    def words(self, command: str) -> list[str]:
        if command == OPENAI:
            return [str(self.interpreter), str(PROJECT / "conformance" / "openai.mjs"), str(self.folder)]
        return [str(self.interpreter), str(self.package / "openclaw.mjs"), *command.split()]


CLIENTS = (
    Client("2026.2.1", "22", 3, (("libsignal", "2.0.1"), ("linkedom", "0.18.12"))),
    Client("2026.2.26", "22", 3, (("libsignal", "2.0.1"), ("linkedom", "0.18.12"))),
    Client("2026.9.6", "24", 4),
)


def install(client: Client) -> None:
    """Install the client from the npm registry, once. No package's script is run: a client needs none for a gateway."""
    wanted = {
        "private": True,
        "dependencies": {"openclaw": client.version, _node_package(): client.node},
        "overrides": dict(client.overrides),
    }
    if client.installed and json.loads(client.stamp.read_text()) == wanted:
        return
    client.folder.mkdir(parents=True, exist_ok=True)
    (client.folder / "package.json").write_text(json.dumps(wanted, indent=2))
    words = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(words, cwd=client.folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError(f"npm could not install openclaw {client.version}:\n{done.stdout}{done.stderr}")
    client.stamp.write_text(json.dumps(wanted))


def make_home(client: Client, folder: Path, port: int) -> Path:
    """A home and state folder of the client's own, whose config names the port and the token."""
    home = folder / client.version
    home.mkdir(mode=0o700)
    config = {
        "gateway": {"mode": "local", "port": port, "auth": {"mode": "token", "token": TOKEN}},
        "logging": {"file": str(home / "client.log")},  # else a common one, which `logs` shows when it cannot connect
    }
    path = home / "openclaw.json"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return home


def environment(home: Path) -> dict[str, str]:
    """The environment of a client: no variable of this process reaches it."""
    return {"HOME": str(home), "OPENCLAW_STATE_DIR": str(home), "PATH": os.defpath, "LANG": "C.UTF-8"}


def run(client: Client, command: str, home: Path, enter: tuple[str, ...] = (), limit_s: float = LIMIT_SECONDS) -> Run:
    """`enter` are words before the command that lead to where the gateway is."""
    began, printed = time.monotonic(), PRINTED.get(command, "")
    process = subprocess.Popen(
        [*enter, *client.words(command)],
        env=environment(home) | _told(command, home) | {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # v21 starts itself again as a child: both must end with the time
    )
    with process:
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            return Run(client.version, command, TIMED_OUT, time.monotonic() - began, out, err, printed=printed)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return Run(client.version, command, process.returncode, time.monotonic() - began, out, err, printed=printed)


def _told(command: str, home: Path) -> dict[str, str]:
    """`models list` looks for a lock of OpenClaw's own gateway, unless it is told that there is one."""
    if command != "models list":
        return {}
    config = json.loads((home / "openclaw.json").read_text())
    return {"OPENCLAW_GATEWAY_PORT": str(config["gateway"]["port"])}


def _node_package() -> str:
    return f"node-linux-{_ARCHITECTURES[platform.machine()]}"
