"""A `gateway.rpc.core.Core` for tests: what it answers is set by the test, what it was asked is kept."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gateway.access.devices import Devices
from gateway.config.files import Snapshot
from gateway.config.schema import Config
from gateway.conversations.service import Conversations
from gateway.files.paths import Paths
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.lifecycle.phases import Phase
from gateway.link.stream import Dial, Stream
from gateway.protocol.admission.auth import AuthPolicy
from gateway.report import ConfigReport, ReloadResult, RestartTicket, StatusReport
from gateway.rpc.config_writer import ConfigWriter
from tests.fakes.report import make_report

PATHS = Paths(config=Path("/home/u/.openclaw/openclaw.json"), state=Path("/home/u/.openclaw"), runtime=Path("/run/u"))


@dataclass
class FakeCore:
    boot_id: str = "boot-1"
    version: str = "0.1.0"
    started: float = field(default_factory=time.monotonic)
    hub: Hub = field(default_factory=Hub)
    paths: Paths = PATHS
    devices: Devices = field(default_factory=lambda: Devices(Path("/dev/null")))
    """On a folder that cannot be: a test that pairs gives it one of its own."""
    phase: Phase = Phase.RUNNING
    config: Config = field(default_factory=Config)
    snapshot: Snapshot = field(default_factory=lambda: Snapshot(PATHS.config, False, ()))
    auth: AuthPolicy = field(default_factory=lambda: AuthPolicy("token", token="t0k", generation=1))
    degraded: tuple[str, ...] = ()
    reachable: tuple[str, ...] = ()
    watching: bool = True
    reloaded: ReloadResult = field(default_factory=lambda: ReloadResult("unchanged", "the file is the same"))
    asked: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    """The environment's variables."""
    dial: Dial = field(default_factory=lambda: nobody)
    """How an agent is reached."""
    shown: dict[str, Any] = field(default_factory=dict)
    """The fields of the report that differ."""
    conversations: Conversations = field(init=False)
    config_writer: ConfigWriter = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """As another process would. A test that needs a database gives `paths` a folder of its own."""
        paths = replace(PATHS, state=Path("/dev/null")) if self.paths is PATHS else self.paths
        self.conversations = Conversations(paths, self.hub, lambda: self.tree, self.env, self.dial)
        self.config_writer = ConfigWriter(self)

    @property
    def tree(self) -> dict[str, Any]:
        return self.snapshot.tree or self.snapshot.merged

    def env(self, name: str) -> str | None:
        return self.variables.get(name)

    def report(self) -> StatusReport:
        facts = {
            "pid": 1,
            "boot_id": self.boot_id,
            "version": self.version,
            "degraded": self.degraded,
            "listeners": (),
            "port_owner": "self",
            "executable": "python",
            "state_dir": str(self.paths.state),
            "websockets": self.hub.count,
            "config": ConfigReport(str(self.paths.config), "good", "file"),
            "watching": "inotify",
        }
        return make_report(**{**facts, **self.shown})

    async def reload(self, trigger: str) -> ReloadResult:
        self.asked.append(f"reload {trigger}")
        return self.reloaded

    def keep(self, connection: Connection) -> None:
        """It need not: nothing comes after a test."""

    def request_restart(self, reason: str) -> RestartTicket:
        self.asked.append(f"restart {reason}")
        return RestartTicket("scheduled", self.boot_id, "as soon as it is idle")


async def nobody() -> Stream:
    """There is no agent."""
    raise ConnectionRefusedError("no agent")
