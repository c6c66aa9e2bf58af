"""The installed gateway as its user meets it: the command, the units, curl.

What the tests only want to know of the running process they ask it themselves, over its control socket and from
outside: that costs milliseconds, and a start of the command a third of a second.
"""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NamedTuple, Self

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from gateway.client.control import Control
from gateway.errors import NotRunning
from gateway.files.paths import Paths
from tests.e2e.manager import UserManager, until

SOCKET = "openclaw-gateway.socket"
SERVICE = "openclaw-gateway.service"
CONFIG = ".openclaw/openclaw.json"
UNIT_FOLDER = ".config/systemd/user"
TOKEN = "a-token-of-the-tests"
PORT = 18789


class Answer(NamedTuple):
    status: int
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


class Orphan(NamedTuple):
    """What inject/orphan.py said of itself."""

    pid: int
    environment: dict[str, str]
    listeners: list[str]


class Gateway:
    def __init__(self, manager: UserManager) -> None:
        self.manager = manager

    def command(self, *words: str, check: bool = True, **options: Any) -> CompletedProcess[str]:
        return self.manager.run("openclaw-gateway", *words, check=check, **options)

    def configure(self, text: str | None = None) -> None:
        """Writes the config file in one go; without a text, the smallest one that has a token."""
        self.manager.write(CONFIG, text or json.dumps({"gateway": {"auth": {"token": TOKEN}}}))

    def drop_in(self, unit: str, text: str) -> None:
        self.manager.write(f"{UNIT_FOLDER}/{unit}.d/test.conf", text, mode=0o644)
        self.manager.systemctl("daemon-reload")

    def start(self) -> None:
        """Starts the socket only: the service comes with the first connection."""
        self.manager.systemctl("start", SOCKET)

    def begin(self) -> Self:
        """Starts the socket, makes a first connection, and returns once the service is ready."""
        self.start()
        assert self.get().status == 200
        self.until_ready()
        return self

    def get(self, path: str = "/healthz", *options: str, host: str = "127.0.0.1", port: int = PORT) -> Answer:
        """One request by curl; a request without an answer fails the test with curl's words."""
        words = ("--silent", "--show-error", "--max-time", "20", "--write-out", "\\n%{http_code}")
        out = self.manager.run("curl", *words, *options, f"http://{host}:{port}{path}").stdout
        body, _, status = out.rpartition("\n")
        return Answer(int(status), body)

    def lets_in(self, token: str) -> bool:
        return self.get("/metrics", "--header", f"Authorization: Bearer {token}").status == 200

    def status(self) -> dict[str, Any]:
        """What the command says: gateway/cli/status.py's View."""
        return dict(json.loads(self.command("status", "--json", check=False).stdout))

    @property
    def control(self) -> Control:
        """The socket of the gateway that serves the usual state folder."""
        paths = Paths.from_env({"HOME": self.manager.inner_home, "XDG_RUNTIME_DIR": self.manager.runtime})
        return Control(self.manager.path(str(paths.control)), owner=self.manager.uid)

    def report(self) -> dict[str, Any]:
        """What the running process says of itself: gateway/report.py's StatusReport."""
        return dict(json.loads(msgspec.json.encode(self.control.steady_status())))

    def reload(self) -> None:
        """As `openclaw-gateway reload` does it; the file has to be good."""
        assert self.control.reload().ok

    def runs(self) -> bool:
        """Whether a process answers, and can serve."""
        try:
            return bool(self.report()["ready"])
        except NotRunning:
            return False

    def metrics(self) -> dict[tuple[str, ...], float]:
        """By name without our prefix, and values of labels."""
        text = self.get("/metrics", "--header", f"Authorization: Bearer {TOKEN}").body
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return {(each.name.removeprefix("openclaw_gateway_"), *each.labels.values()): each.value for each in samples}

    def pid(self) -> int:
        """Main process of the service, 0 when there is none."""
        return int(*self.manager.ask(SERVICE, "MainPID"))

    def state(self, unit: str = SERVICE) -> str:
        return str(*self.manager.ask(unit, "ActiveState"))

    def restarts(self) -> int:
        """How often systemd itself started the service again."""
        return int(*self.manager.ask(SERVICE, "NRestarts"))

    def kill(self, sig: str = "KILL") -> None:
        self.manager.kill(self.pid(), sig)

    def until_ready(self, other_than: int = 0, seconds: float = 15.0) -> int:
        """Waits until the service is active in another process than the one given, and returns its pid."""

        def ready() -> int:
            pid, state = self.manager.ask(SERVICE, "MainPID", "ActiveState")
            return int(pid) if state == "active" and pid not in (0, other_than) else 0

        return until(ready, f"a ready gateway other than pid {other_than}", seconds)

    def descriptors(self) -> Counter[str]:
        """The descriptors of the process, by what they lead to, without numbers."""
        found: Counter[str] = Counter()
        for link in (self.manager.path(f"/proc/{self.pid()}") / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed since it was listed
                found[re.sub(r"\d+", "", os.readlink(link))] += 1
        return found

    def until_settled(self) -> None:
        """Waits until what a process does in the quiet after READY is done; other threads of it import until then."""
        until(lambda: self.report()["settled"], "quiet after READY", 30)
        until(lambda: any("sqlite" in name for name in self.descriptors()), "an open database", 30)

    def until_boot(self, other_than: str) -> None:
        """Waits for another process image that serves."""
        self.control.wait_for_boot(other_than, 10)

    def orphan(self) -> Orphan:
        """The child that one of inject/sitecustomize.py's signals has started."""
        path = until(lambda: next(self.manager.home.glob("orphan-*.json"), None), "a child that tells what it has")
        return Orphan(int(path.stem.removeprefix("orphan-")), **json.loads(path.read_text()))


def keep_units(gateway: Gateway, folder: Path) -> Path:
    """Copies what `install` has written to a new folder, which it returns."""
    return Path(shutil.copytree(gateway.manager.home / UNIT_FOLDER, folder, symlinks=True))


@contextmanager
def installed_on(manager: UserManager, units: Path) -> Iterator[Gateway]:
    """Boots the manager with those units in it, and a config file, as they are after `install`.

    The links that enable them come after the boot, which would start them. So no command runs for all this; the
    manager reads the links with its next reload.
    """
    gateway = Gateway(manager)
    manager.home.mkdir(parents=True)
    gateway.configure()
    for path in (path for path in units.rglob("*") if path.is_file() and not path.is_symlink()):
        manager.write(f"{UNIT_FOLDER}/{path.relative_to(units)}", path.read_text(), mode=path.stat().st_mode & 0o777)
    with manager:
        for path in sorted(units.glob("*.wants/*")):
            link = manager.write(f"{UNIT_FOLDER}/{path.relative_to(units)}", "")
            link.unlink()
            link.symlink_to(path.readlink())
            os.lchown(link, manager.uid, manager.uid)
        yield gateway
