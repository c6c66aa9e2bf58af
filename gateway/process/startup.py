"""The inputs of a process image: options, paths, inherited descriptors, and what it has opened before it serves."""

import socket
import time

from msgspec import Struct

from gateway.files.paths import Paths
from gateway.lifecycle.lease import Lease
from gateway.lifecycle.record import Record
from gateway.lifecycle.served import leave_mark
from gateway.logs.setup import Logs
from gateway.machine.listeners import address_text
from gateway.systemd.descriptors import Inherited
from gateway.systemd.notify import Notifier
from gateway.text.addresses import is_loopback


class Options(Struct, frozen=True):
    """The command line of `run`. None leaves it to the config; under systemd the socket unit decides."""

    port: int | None = None
    bind: str | None = None


class Startup(Struct, frozen=True):
    options: Options
    paths: Paths
    inherited: Inherited
    notifier: Notifier
    lease: Lease
    record: Record
    logs: Logs
    boot_id: str
    unit: str | None
    """The systemd unit that this process runs in."""

    @property
    def under_systemd(self) -> bool:
        """True if a service manager runs us in a unit, and takes our notifications."""
        return self.unit is not None and self.notifier.connected

    @property
    def reachable(self) -> tuple[str, ...]:
        """Addresses that other machines can connect to by what the config does not decide: the unit, `--bind`."""
        bind = self.options.bind
        if self.inherited.held_by_systemd:
            return open_to_others(self.inherited.listeners)
        return (bind,) if bind and bind != "loopback" and not is_loopback(bind) else ()

    async def leave_mark(self) -> None:
        """Tell the unit, if there is one, that this process serves."""
        if self.under_systemd:
            await leave_mark(self.paths.runtime, self.record, time.monotonic())


def open_to_others(listeners: tuple[socket.socket, ...]) -> tuple[str, ...]:
    """The addresses of those listeners that other machines can connect to."""
    return tuple(address_text(sock) for sock in listeners if not is_loopback(sock.getsockname()[0]))
