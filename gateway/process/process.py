"""The running gateway: what methods and faces ask of it (`rpc.core.Core`), and the order in which it begins to serve.

It decides nothing: the parts that it makes do. `leaving` has the order of the end.
"""

import asyncio
import importlib
import logging
import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from gateway import __version__
from gateway.access.devices import Devices
from gateway.aio.tasks import Tasks
from gateway.config.files import Snapshot
from gateway.config.schema import Config
from gateway.config.tree import ConfigTree
from gateway.files.installed import Installation
from gateway.handover.keeper import Keeper
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.lifecycle.coordinator import Coordinator
from gateway.lifecycle.lease import obstacle
from gateway.lifecycle.phases import Phase, Way
from gateway.machine import container
from gateway.machine.listeners import address_text
from gateway.process import signals
from gateway.process.configuration import Configuration
from gateway.process.listening import listen, listen_for_commands
from gateway.process.settling import settle
from gateway.process.startup import Startup, open_to_others
from gateway.process.status import ProcessStatus
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.scopes import PAIRING
from gateway.report import Degradation, ReloadResult, RestartTicket, StatusReport
from gateway.serving.server import GatewayServer
from gateway.systemd.notify import feed_watchdog
from gateway.web.app import create_app
from gateway.web.openai.paths import MAX_BODY

if TYPE_CHECKING:
    import socket

    from gateway.conversations.service import Conversations
    from gateway.handover.keeper import KeepableConnection
    from gateway.link.dialer import Dialer
    from gateway.process.adoption import Tally
    from gateway.rpc.config_writer import ConfigWriter

log = logging.getLogger("gateway")
REHEARSAL = "import gateway.process.start, gateway.web.app; gateway.web.app.warm_up()"
"""The line that the installed version must be able to execute before this process leaves for it.

The version before ours has its own line. Names that a line of an older version imports stay for one release."""


class Process:
    """Duty: `serve` once; then `passed` and `listeners` are what the next image gets."""

    def __init__(self, start: Startup) -> None:
        self.boot_id = start.boot_id
        self.version = __version__
        self._installed = Installation()
        self.paths = start.paths
        # Versions of presence and health that clients have seen must not come again over a restart; the monotonic
        # clock is all processes' and no jump of the time of day turns it back.
        self.hub = Hub(first_version=int(time.monotonic() * 1000))
        self.keeper = Keeper(start.notifier, start.inherited)
        self.devices = Devices(start.paths.state, self._announce_pairing)
        self.devices.on_revoked = self._device_changed
        self.listeners: tuple[socket.socket, ...] = ()
        self.passed: list[tuple[str, int]] = []
        """Names and descriptors that the next image in this process gets beside the listeners."""
        self._start = start
        self._adopted: Tally | None = None
        self._tasks = Tasks(log)
        self._configuration = Configuration(
            start.paths,
            start.record,
            start.logs,
            start.notifier,
            self.hub,
            held_by_systemd=start.inherited.held_by_systemd,
            reachable=start.reachable,
            status=self._status_line,
            request_restart=self.request_restart,
        )
        self._coordinator = Coordinator(
            self.boot_id,
            busy=lambda: self.hub.busy,
            deferral_s=lambda: self.config.gateway.reload.deferral_timeout_ms / 1000,
            clock=time.monotonic,
            allowance=start.record.allowance,
            rehearse=self._rehearse,
        )
        self._server = GatewayServer(
            create_app(self),
            lambda: self.config.gateway.http.limits,
            MAX_BODY,
            lambda: self.config.gateway.trusted_proxies,
        )
        self._status = ProcessStatus(
            start, self._configuration, self._coordinator, self.hub, self._server, self._conversations_problem
        )
        self.started = self._status.started
        self.hub.on_change, self.hub.on_idle = self._status.changed, self._coordinator.note_idle

    # -- conversations ---------------------------------------------------------------------------------------------

    @cached_property
    def conversations(self) -> "Conversations":
        """Imported when they are first asked for, at the latest soon after READY."""
        from gateway.conversations.service import Conversations
        from gateway.handover.positions import Positions

        return Conversations(
            self.paths,
            self.hub,
            tree=lambda: self._configuration.tree,
            environment=self._configuration.env,
            dial=self._dialer,
            told=Positions(self.keeper.ledger.spare),
        )

    @cached_property
    def config_writer(self) -> "ConfigWriter":
        from gateway.rpc.config_writer import ConfigWriter

        return ConfigWriter(self)

    @cached_property
    def _dialer(self) -> "Dialer":
        from gateway.link.dialer import Dialer

        start = self._start
        return Dialer(self.paths.agent_socket if start.under_systemd else None, os.environ, start.inherited.others)

    async def _converse(self) -> None:
        """Go on with the runs that another process has left."""
        await asyncio.to_thread(importlib.import_module, "gateway.conversations.service")
        await self.conversations.begin()

    def _conversations_problem(self) -> str | None:
        """The reason why conversations are degraded. None also while they are not imported: a report must not do it."""
        return self.conversations.degraded if "conversations" in self.__dict__ else None

    # -- core.Core -------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        return self._coordinator.phase

    @property
    def config(self) -> Config:
        return self._configuration.config

    @property
    def tree(self) -> ConfigTree:
        return self._configuration.tree

    def env(self, name: str) -> str | None:
        return self._configuration.env(name)

    @property
    def snapshot(self) -> Snapshot:
        return self._configuration.snapshot

    @property
    def auth(self) -> AuthPolicy:
        return self._configuration.auth

    @property
    def reachable(self) -> tuple[str, ...]:
        return self._configuration.reachable

    async def reload(self, trigger: str) -> ReloadResult:
        return await self._configuration.reload(trigger)

    def request_restart(self, reason: str) -> RestartTicket:
        return self._coordinator.request_restart(reason)

    def keep(self, connection: Connection) -> None:
        self.keeper.register(connection, cast("KeepableConnection", connection.carrier), self.auth)

    def report(self) -> StatusReport:
        return self._status.report()

    @property
    def degraded(self) -> tuple[Degradation, ...]:
        return self._status.degraded

    @property
    def watching(self) -> bool:
        return self._configuration.watching != "off"

    # -- serving ---------------------------------------------------------------------------------------------------

    async def serve(self) -> Way:
        """Serve until it is time to leave, then leave; returns how. Raises GatewayError if it cannot listen."""
        asyncio.get_running_loop().set_default_executor(signals.thread_pool())
        self.listeners = listen(self._start, self._configuration)
        self._status.listeners = tuple(map(address_text, self.listeners))
        self._configuration.listens_on(open_to_others(self.listeners))
        control = listen_for_commands(self.paths.control, self._status.problems)
        if self._start.inherited.has_clients:
            self.hub.begin_adoption()  # before anybody can ask
        await self._server.start([*self.listeners, *control])
        self._tasks.spawn(self._start.leave_mark(), "mark")  # clients are served from here on, not from READY
        await self._adopt()
        signals.handle(
            self._coordinator.request_stop,
            lambda: self._tasks.spawn(self.reload("SIGHUP"), "SIGHUP"),
            self.request_restart,
        )
        self._ready()
        await self._coordinator.wait_until_leaving()
        return await self._leave()

    async def _adopt(self) -> None:
        if not self._start.inherited.has_clients:
            return
        from gateway.process.adoption import adopt  # what it imports, a start without clients need not wait for

        self._adopted = await adopt(self._server, self, self.keeper)

    def _ready(self) -> None:
        self._coordinator.ready()
        self._configuration.ready()
        self._status.count_restart(self._adopted)
        self._start.notifier.ready(self._status.line())
        log.info("listening on %s (pid %d, %s)", ", ".join(self._status.listeners), os.getpid(), self.version)
        for problem in self._status.problems.values():
            log.warning("degraded: %s", problem)
        if container.inside() and not (self._start.inherited.held_by_systemd or self.reachable):
            log.info("in a container, and only it can connect: a published port needs --bind auto, and a secret")
        self._configuration.log_problems()
        for work, name in (
            (feed_watchdog(self._start.notifier), "watchdog"),
            (self._status.run(), "status"),
            (self.hub.run(), "hub"),
            (self._settle(), "settling"),
        ):
            self._tasks.spawn(work, name)

    async def _settle(self) -> None:
        await self._server.answer_queue()
        conversing = self._tasks.spawn(self._converse(), "conversations")
        await settle(self._start, self._status, self._configuration, self.keeper, conversing)
        from gateway.lifecycle.upgrade import watch_installation

        self._tasks.spawn(watch_installation(self._installed, self.request_restart), "installation")

    async def _leave(self) -> Way:
        from gateway.process.leaving import Leaving

        leaving = Leaving(
            self._start,
            self._coordinator,
            self._configuration,
            self._status,
            self._server,
            self.hub,
            self.keeper,
            self.conversations,
            self._dialer,
            self._tasks,
        )
        way = await leaving.run()
        self.passed = leaving.passed
        return way

    # -- what the parts ask ----------------------------------------------------------------------------------------

    async def _rehearse(self) -> str | None:
        from gateway.lifecycle.rehearsal import rehearse

        unfinished = await asyncio.to_thread(lambda: self._installed.problem(self._installed.inspect()))
        lease = self._start.lease
        return unfinished or obstacle(self.paths.state, lease.fd, self.paths.lock) or await rehearse(REHEARSAL)

    def _device_changed(self, device_id: str) -> None:
        # In the next turn: the device itself may have asked for the change, and is answered first.
        asyncio.get_running_loop().call_soon(self.hub.close_device, device_id)

    def _announce_pairing(self, event: str, payload: dict[str, Any]) -> None:
        """`payload` is the event's, as OpenClaw's protocol has it."""
        self.hub.broadcast(event, payload, drop_if_slow=True, scope=PAIRING)

    def _status_line(self) -> str:
        return self._status.line()
