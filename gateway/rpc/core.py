"""The interface of the gateway for methods and faces. `process.process.Process` implements it.

It is a typing Protocol, so that a method can be tested with any object of this shape.
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.access.devices import Devices
    from gateway.config.files import Snapshot
    from gateway.config.schema import Config
    from gateway.config.tree import ConfigTree
    from gateway.conversations.service import Conversations
    from gateway.files.paths import Paths
    from gateway.hub.connection import Connection
    from gateway.hub.hub import Hub
    from gateway.lifecycle.phases import Phase
    from gateway.protocol.admission.auth import AuthPolicy
    from gateway.report import ReloadResult, RestartTicket, StatusReport
    from gateway.rpc.config_writer import ConfigWriter


class Core(Protocol):
    boot_id: str
    """Id of this process image. A client that sees another one knows that a restart is done."""
    version: str
    started: float
    """Monotonic seconds."""
    hub: "Hub"
    paths: "Paths"
    devices: "Devices"

    @property
    def conversations(self) -> "Conversations": ...

    @property
    def config_writer(self) -> "ConfigWriter": ...

    @property
    def phase(self) -> "Phase": ...

    @property
    def config(self) -> "Config":
        """The running config. It is not the file's while the file has errors."""
        ...

    @property
    def tree(self) -> "ConfigTree":
        """The running config as a tree, with the sections that are not in `config`. It holds secrets."""
        ...

    def env(self, name: str) -> str | None:
        """A variable of the environment, or of `.env` in the state folder."""
        ...

    @property
    def snapshot(self) -> "Snapshot":
        """The file as it was last read, valid or not."""
        ...

    @property
    def auth(self) -> "AuthPolicy": ...

    @property
    def reachable(self) -> tuple[str, ...]:
        """Addresses of ours that other machines can connect to, whatever the config says."""
        ...

    @property
    def degraded(self) -> tuple[str, ...]:
        """`degraded` of the report, for probes, which ask often."""
        ...

    @property
    def watching(self) -> bool:
        """Whether the config file is watched for changes."""
        ...

    def report(self) -> "StatusReport": ...

    async def reload(self, trigger: str) -> "ReloadResult":
        """Read the config file and apply it. Cancelling the caller does not cancel it. `trigger`: for the log."""
        ...

    def keep(self, connection: "Connection") -> None:
        """Hand the connection over to the next process when this one ends, if that is possible."""
        ...

    def request_restart(self, reason: str) -> "RestartTicket": ...
