"""A user with their own home, a systemctl that plays a manager, and a gateway that says what the test wants."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.client.control import Control
from gateway.errors import GatewayError, NotRunning
from gateway.report import ReloadResult, RestartTicket, StatusReport
from gateway.units import AGENT_SERVICE, AGENT_SOCKET, SERVICE, SOCKET
from tests.cli.talking import Talking
from tests.fakes.report import make_report

SYSTEMCTL = """\
#!/bin/sh
# Answers from files: UNIT.show for a unit; a verb that has a folder of its name there copies its files over.
shift 3
here=$(dirname "$0")
answering() { [ ! -e "$here/absent" ] || { echo "Failed to connect to bus" >&2; exit 1; }; }
case "$*" in
"show --property=Version") answering; echo Version=252.1 ;;
show*) answering; cat "$here/$2.show" ;;
*) echo "$*" >> "$here/calls"
   [ "$1" = "--no-block" ] && shift
   [ -d "$here/$1" ] && cp "$here/$1"/* "$here"
   [ -e "$here/$1.fails" ] && { cat "$here/$1.fails" >&2; exit 1; }
   exit 0 ;;
esac
"""

SYSTEMD_RUN = """\
#!/bin/sh
here=$(dirname "$0")
echo "$*" > "$here/tried"
[ ! -e "$here/sandbox.fails" ]
"""

LISTEN = "Listen=127.0.0.1:18789 (Stream)\nListen=[::1]:18789 (Stream)\n"
SOCKET_UP = f"LoadState=loaded\nActiveState=active\nSubState=listening\nUnitFileState=enabled\n{LISTEN}"
SOCKET_OFF = f"LoadState=loaded\nActiveState=inactive\nSubState=dead\nUnitFileState=disabled\n{LISTEN}"
SERVICE_UP = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=77\n"
SERVICE_OFF = "LoadState=loaded\nActiveState=inactive\nSubState=dead\nUnitFileState=disabled\n"
AGENT_SOCKET_UP = "LoadState=loaded\nActiveState=active\nSubState=listening\nUnitFileState=enabled\n"
AGENT_UP = f"{SERVICE_UP.replace('enabled', 'static').replace('77', '88')}MemoryCurrent=143400000\n"
AGENT_OFF = SERVICE_OFF.replace("disabled", "static")
MISSING = "LoadState=not-found\nActiveState=inactive\nSubState=dead\n"


class Manager:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in (("systemctl", SYSTEMCTL), ("systemd-run", SYSTEMD_RUN)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        self.says(MISSING, MISSING)
        self.says_of_agent(MISSING, MISSING)

    def says(self, socket: str, service: str, after: str = "") -> None:
        """What `show` answers, from now on or after a verb. The agent's socket is up, unless the gateway has none."""
        self._write(after, {SOCKET: socket, SERVICE: service})
        if MISSING not in (socket, service):
            self.says_of_agent(AGENT_SOCKET_UP, AGENT_OFF, after)

    def says_of_agent(self, socket: str, service: str, after: str = "") -> None:
        self._write(after, {AGENT_SOCKET: socket, AGENT_SERVICE: service})

    def _write(self, after: str, answers: Mapping[str, str]) -> None:
        folder = self.folder / after
        folder.mkdir(exist_ok=True)
        for name, text in answers.items():
            (folder / f"{name}.show").write_text(text)

    def refuses(self, verb: str, reason: str) -> None:
        (self.folder / f"{verb}.fails").write_text(reason)

    def makes_no_namespaces(self, fails: bool = True) -> None:
        place = self.folder / "sandbox.fails"
        place.touch() if fails else place.unlink()

    def is_absent(self) -> None:
        (self.folder / "absent").touch()

    @property
    def calls(self) -> list[str]:
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


class FakeControl:
    """What the control socket answers; an exception is raised instead."""

    def __init__(self) -> None:
        self.report: StatusReport | GatewayError = NotRunning("no gateway answers")
        self.next: StatusReport | GatewayError | None = None
        """What a wait for another boot gets; None: the same report."""
        self.reload: ReloadResult | GatewayError = ReloadResult(outcome="unchanged", message="the same")
        self.restart: RestartTicket | GatewayError = RestartTicket(state="scheduled", boot_id="one")
        self.asked: list[object] = []
        self.is_asked: bool | None = None
        """Whether the last wait was for the gateway's own restart."""

    def answer(self, what: Any) -> Any:
        if isinstance(what, Exception):
            raise what
        return what


def up(**more: Any) -> StatusReport:
    """What a gateway says that systemd has started."""
    facts = {"uptime_ms": 65_000, "unit": SERVICE, "executable": "/usr/bin/python3", "websockets": 2, "connections": 3}
    return make_report(**{**facts, **more})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the machine's own user shows through."""
    for name in [name for name in os.environ if name.startswith(("OPENCLAW_", "XDG_"))]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return folder


@pytest.fixture
def manager(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manager:
    folder = tmp_path / "manager"
    folder.mkdir()
    made = Manager(folder)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return made


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> FakeControl:
    fake = FakeControl()

    def wait(_: Control, not_boot_id: str | None, timeout: float, *, asked: bool = False) -> StatusReport:
        fake.asked.append(("wait", not_boot_id))
        fake.is_asked = asked
        answered: StatusReport = fake.answer(fake.next or fake.report)
        return answered

    def restart(_: Control, reason: str) -> RestartTicket:
        fake.asked.append(("restart", reason))
        ticket: RestartTicket = fake.answer(fake.restart)
        return ticket

    monkeypatch.setattr(Control, "status", lambda self, timeout=5.0: fake.answer(fake.report))
    monkeypatch.setattr(Control, "reload", lambda self, timeout=60.0: fake.answer(fake.reload))
    monkeypatch.setattr(Control, "restart", restart)
    monkeypatch.setattr(Control, "wait_for_boot", wait)
    return fake


@pytest.fixture
def report() -> Callable[..., StatusReport]:
    return up


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Run a command line; the result has the exit code, stdout, stderr, and both in `output`."""
    runner = CliRunner()
    return lambda *words: runner.invoke(cli, list(words), catch_exceptions=True)


@pytest.fixture
def words() -> Any:
    """The texts that `systemctl show` answers."""

    class Words:
        socket_up, socket_off = SOCKET_UP, SOCKET_OFF
        service_up, service_off = SERVICE_UP, SERVICE_OFF
        agent_socket_up, agent_up, agent_off = AGENT_SOCKET_UP, AGENT_UP, AGENT_OFF
        missing = MISSING

    return Words


@pytest.fixture(scope="session")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talking]:
    """A gateway for all tests that only talk to it: each in sessions of its own."""
    with serving(tmp_path_factory.mktemp("talking")) as gateway:
        yield gateway


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Talking]:
    """A gateway for one test, which may restart or kill it; its answers are slow."""
    with serving(tmp_path, pace_ms=30) as gateway:
        yield gateway


@contextmanager
def serving(folder: Path, **options: int) -> Iterator[Talking]:
    gateway = Talking(folder, **options)
    try:
        gateway.start()
        yield gateway
    finally:
        if gateway.process is not None:
            gateway.process.kill()
            gateway.process.wait()
