"""The running gateway: what methods and faces ask (`core.Core`), and the order in which it starts serving and leaves.
Nothing is decided here; the parts decide.
"""

import asyncio
import gc
import importlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, cast

from gateway import __version__
from gateway.access.devices import Devices
from gateway.config.files import Snapshot
from gateway.config.schema import Config
from gateway.config.tree import ConfigTree
from gateway.config.validate import REFUSING
from gateway.errors import ConfigInvalid
from gateway.files.installed import Installation
from gateway.files.paths import Paths
from gateway.handover.keeper import Keeper
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.hub.leaving import close_all, finish_requests, serve_newcomers
from gateway.lifecycle.coordinator import Coordinator
from gateway.lifecycle.lease import Lease, obstacle
from gateway.lifecycle.phases import Allowance, Budgets, Phase, Way
from gateway.lifecycle.record import Record
from gateway.logs.setup import Logs
from gateway.machine import container, holders
from gateway.machine.listeners import address_text, bind_listeners, hosts_of
from gateway.process.background import (
    is_being_stopped,
    rehearse,
    status_line,
    store_size,
    tell_status,
    watch_installation,
)
from gateway.process.configuration import Configuration
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.closing import SERVICE_RESTART
from gateway.protocol.frames import WireError
from gateway.protocol.scopes import PAIRING
from gateway.report import Degradation, ReloadResult, RestartTicket, StatusReport
from gateway.serving.server import GatewayServer
from gateway.systemd.descriptors import Inherited
from gateway.systemd.notify import Notifier, feed_watchdog
from gateway.text.addresses import is_loopback
from gateway.web.app import create_app, warm_up
from gateway.web.openai.paths import MAX_BODY

if TYPE_CHECKING:
    from gateway.conversations.service import Conversations
    from gateway.handover.keeper import KeepableConnection
    from gateway.link.dialer import Dialer
    from gateway.process.adoption import Tally
    from gateway.rpc.config_writer import ConfigWriter

log = logging.getLogger("gateway")

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
MAIN_THREAD_ONLY = (*SIGNALS, signal.SIGABRT)
"""A signal goes to any thread that does not block it, so every thread but the main one blocks these.

With SIGABRT the watchdog ends a process that was stopped, and SIGCONT, which follows it, wakes all threads: if another
one took the signal, the loop would read requests while that one writes the stacks, and they would die with it."""
_REPORTED: dict[Phase, Literal["starting", "running", "deferred", "leaving"]] = {
    Phase.STARTING: "starting",
    Phase.RUNNING: "running",
    Phase.DEFERRED: "deferred",
    Phase.LEAVING: "leaving",
    Phase.GONE: "leaving",
}
SIGNAL_TURNS = 3
RESTARTING = WireError("UNAVAILABLE", "gateway restarting; ask again", retryable=True, retry_after_ms=500)
"""For a request that takes longer than a restart waits for."""
RESTART_EXPECTED_MS = 1500
"""What OpenClaw tells its clients; ours is faster, and a client that comes back early waits in the queue."""


@dataclass(frozen=True)
class Options:
    """What the command line asked for; None leaves it to the config. Under systemd the socket unit decides."""

    port: int | None = None
    bind: str | None = None


@dataclass(frozen=True)
class Startup:
    """What this image was given and has found, before it serves."""

    options: Options
    paths: Paths
    inherited: Inherited
    notifier: Notifier
    lease: Lease
    record: Record
    logs: Logs
    boot_id: str


class Process:
    def __init__(self, start: Startup) -> None:
        self.boot_id = start.boot_id
        self.version = __version__
        self.started = time.monotonic()
        self._installed = Installation()
        self.paths = start.paths
        # Versions of presence and health that clients have seen must not come again over a restart; the monotonic
        # clock is all processes' and no jump of the time of day turns it back.
        self.hub = Hub(self._changed, self._idle, first_version=int(time.monotonic() * 1000))
        self.keeper = Keeper(start.notifier, start.inherited)
        self.devices = Devices(start.paths.state, self._announce_pairing)
        self.devices.on_revoked = self._device_changed
        self.listeners: tuple[socket.socket, ...] = ()
        self.passed: list[tuple[str, int]] = []
        """What the next image in this process gets beside the listeners, once `serve` has returned."""
        self._start = start
        self._unit = holders.unit(os.getpid())
        self._started_at = int(time.time() * 1000)
        self._problems: dict[Degradation, str] = {"state": start.lease.problem} if start.lease.problem else {}
        self._status_wanted = asyncio.Event()
        self._settled = False
        self._calls_answered = asyncio.Event()
        self._adopted: Tally | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._configuration = Configuration(
            start.paths,
            start.record,
            start.logs,
            start.notifier,
            self.hub,
            held_by_systemd=start.inherited.held_by_systemd,
            reachable=_reachable(start),
            status=self._status_line,
            request_restart=self.request_restart,
        )
        self._coordinator = self._take_turns()

    def _take_turns(self) -> Coordinator:
        before = self._start.record.before
        tokens = before.tokens if before else None
        return Coordinator(
            self.boot_id,
            busy=lambda: self.hub.busy,
            deferral_s=lambda: self.config.gateway.reload.deferral_timeout_ms / 1000,
            clock=time.monotonic,
            allowance=Allowance() if before is None or tokens is None else Allowance(tokens, before.tokens_at),
            rehearse=self._rehearse,
        )

    # -- conversations ---------------------------------------------------------------------------------------------

    @cached_property
    def conversations(self) -> "Conversations":
        """Imported by whoever asks first, at the latest in the quiet after READY."""
        from gateway.conversations.service import Conversations
        from gateway.handover.told import Told

        return Conversations(
            self.paths,
            self.hub,
            tree=lambda: self._configuration.tree,
            environment=self._configuration.env,
            dial=self._dialer,
            told=Told(self.keeper.ledger.spare),
        )

    @cached_property
    def config_writer(self) -> "ConfigWriter":
        from gateway.rpc.config_writer import ConfigWriter

        return ConfigWriter(self)

    @cached_property
    def _dialer(self) -> "Dialer":
        from gateway.link.dialer import Dialer

        start = self._start
        unit = self.paths.agent_socket if self._unit and start.notifier.connected else None
        return Dialer(unit, os.environ, start.inherited.others)

    async def _converse(self) -> None:
        """Go on with the runs that another process has left."""
        await asyncio.to_thread(importlib.import_module, "gateway.conversations.service")
        self.conversations.begin()

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
        self.keeper.keep(connection, cast("KeepableConnection", connection.carrier), self.auth)

    def report(self) -> StatusReport:
        self._note_waits()
        start = self._start
        return StatusReport(
            pid=os.getpid(),
            boot_id=self.boot_id,
            version=self.version,
            phase=_REPORTED[self.phase],
            ready=self.phase in (Phase.RUNNING, Phase.DEFERRED),
            degraded=self.degraded,
            started_at=self._started_at,
            uptime_ms=int((time.monotonic() - self.started) * 1000),
            listeners=tuple(address_text(sock) for sock in self.listeners),
            port_owner="systemd" if start.inherited.held_by_systemd else "self",
            unit=self._unit,
            executable=sys.executable,
            state_dir=str(self.paths.state),
            websockets=self.hub.count,
            connections=self._server.clients,
            config=self._configuration.report(),
            restarts=start.record.memory.restarts,
            restart_problem=self._coordinator.problem,
            conversations_problem=self._conversations_problem,
            state_problem=self._problems.get("state"),
            log_file=start.logs.file,
            watching=self._configuration.watching,
            settled=self._settled,
        )

    @property
    def degraded(self) -> tuple[Degradation, ...]:
        found: dict[Degradation, bool] = {
            "config": self._configuration.degraded,
            "auth": self._configuration.nobody_can_connect,
            "restart": self._coordinator.problem is not None,
            "conversations": self._conversations_problem is not None,
        }
        return (*(name for name, wrong in found.items() if wrong), *self._problems)

    @property
    def _conversations_problem(self) -> str | None:
        """None also while nobody has asked for them: a report is no reason to import them."""
        return self.conversations.degraded if "conversations" in self.__dict__ else None

    @property
    def watching(self) -> bool:
        return self._configuration.watching != "off"

    def _status_line(self) -> str:
        return status_line(self.report())

    # -- serving ---------------------------------------------------------------------------------------------------

    async def serve(self) -> Way:
        """Serve until it is time to leave, then leave; returns how."""
        asyncio.get_running_loop().set_default_executor(
            # Threads that these start, such as the watcher's, inherit what they block.
            ThreadPoolExecutor(initializer=signal.pthread_sigmask, initargs=(signal.SIG_BLOCK, MAIN_THREAD_ONLY))
        )
        self._server = GatewayServer(
            create_app(self),
            lambda: self.config.gateway.http.limits,
            MAX_BODY,
            lambda: self.config.gateway.trusted_proxies,
        )
        self.listeners = self._listen()
        self._configuration.reachable = _open_to_others(self.listeners)
        control = self._listen_for_commands()
        if self._start.inherited.has_clients:
            self.hub.begin_adoption()  # before anybody can ask
        await self._server.start([*self.listeners, *control])
        await self._adopt()
        self._handle_signals()
        self._ready()
        await self._coordinator.leaving()
        await self._leave()
        return self._coordinator.state.way or Way.STOP

    async def _adopt(self) -> None:
        if not self._start.inherited.has_clients:
            return
        from gateway.process.adoption import adopt  # what it imports, a start without clients need not wait for

        self._adopted = await adopt(self._server, self, self.keeper)

    def _listen(self) -> tuple[socket.socket, ...]:
        inherited, options = self._start.inherited, self._start.options
        if inherited.held_by_systemd:
            if options.port or options.bind:
                log.warning("--port and --bind are not used: openclaw-gateway.socket holds the port")
            return inherited.listeners
        gateway = self.config.gateway
        bind = options.bind or gateway.bind
        if self._configuration.nobody_can_connect and self._configuration.reachable and not inherited.listeners:
            # Only what the command line asks for comes here: a config file that asks for it is one with an error.
            raise ConfigInvalid(
                f"{REFUSING} gateway to {bind} without auth. Set gateway.auth.token in {self.paths.config} or "
                f"OPENCLAW_GATEWAY_TOKEN, or leave --bind away."
            )
        custom = gateway.custom_bind_host
        if bind not in ("auto", "loopback", "lan", "custom", "tailnet"):
            bind, custom = "custom", bind
        hosts = hosts_of(bind, custom)
        return bind_listeners(hosts, options.port or gateway.port, inherited.listeners)

    def _listen_for_commands(self) -> list[socket.socket]:
        """The control socket. The lease makes us the only one, so a file in its place is a dead predecessor's."""
        path = self.paths.control
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.parent.stat().st_uid != os.getuid() or path.parent.stat().st_mode & 0o077:
                raise PermissionError(1, "the folder is not private to this user", str(path.parent))
            path.unlink(missing_ok=True)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.bind(str(path))
            path.chmod(0o600)  # a drop-in may have another UMask=
            sock.listen()
        except OSError as error:
            self._problems["control"] = f"no control socket at {path}: {error.strerror}"
            log.warning("no control socket at %s: %s; status, reload and restart cannot reach us", path, error.strerror)
            return []
        return [sock]

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._coordinator.request_stop, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload_on_signal(), "SIGHUP"))
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            loop.add_signal_handler(number, self.request_restart, signal.Signals(number).name)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    async def _reload_on_signal(self) -> None:
        await self.reload("SIGHUP")

    def _ready(self) -> None:
        self._coordinator.ready()
        self._configuration.ready()
        self._count_restart()
        self._start.notifier.ready(self._status_line())
        log.info(
            "listening on %s (pid %d, %s)", ", ".join(map(address_text, self.listeners)), os.getpid(), self.version
        )
        for problem in self._problems.values():
            log.warning("degraded: %s", problem)
        if container.inside() and not (self._start.inherited.held_by_systemd or self.reachable):
            log.info(
                "in a container, and only it can connect: a port that is published needs --bind auto, and a secret"
            )
        self._configuration.tell()
        self._spawn(feed_watchdog(self._start.notifier), "watchdog")
        self._spawn(tell_status(self._start.notifier, self._status_wanted, self.report), "status")
        self._spawn(self.hub.run(), "hub")
        self._spawn(self._converse(), "conversations")
        self._spawn(watch_installation(self._installed, self.request_restart), "installation")
        self._spawn(self._settle_in(), "settling in")

    def _count_restart(self) -> None:
        record = self._start.record
        if kind := record.kind_of_start():
            left_at = record.before.left_at if record.before and kind != "crash" else None
            gap = None if left_at is None else round((time.monotonic() - left_at) * 1000, 1)
            record.count(kind, self._started_at, gap)
            log.info(
                "%s restart: clients waited %s", kind, "an unknown time" if gap is None else f"at most {gap:.0f} ms"
            )
            if self._adopted is not None:
                record.carried(self._adopted.websockets, self._adopted.closed, self._adopted.silence_ms)
                log.info("%s", self._adopted)

    async def _settle_in(self) -> None:
        if self._adopted is not None:
            # To the oldest generation: as the youngest, a thousand clients would be searched at once, for 40 ms.
            gc.freeze()
            gc.unfreeze()
        gc.enable()  # __main__ has disabled it
        await asyncio.to_thread(warm_up)
        await self._configuration.settle_in()
        if self._unit and self._start.notifier.connected:
            self.keeper.store_size = await store_size(self._unit)
        self._settled = True
        self._changed()

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("%s failed", task.get_name(), exc_info=error)

    async def _rehearse(self) -> str | None:
        unfinished = await asyncio.to_thread(lambda: self._installed.problem(self._installed.inspect()))
        return unfinished or obstacle(self.paths.state, self._start.lease.fd, self.paths.lock) or await rehearse()

    def _device_changed(self, device_id: str) -> None:
        """In the next turn: whoever asked for it may be that device, and shall have its answer."""
        asyncio.get_running_loop().call_soon(self.hub.close_device, device_id)

    def _announce_pairing(self, event: str, payload: dict[str, Any]) -> None:
        self.hub.broadcast(event, payload, drop_if_slow=True, scope=PAIRING)

    def _changed(self) -> None:
        self._status_wanted.set()

    def _idle(self) -> None:
        self._calls_answered.set()
        self._coordinator.idle()

    def _note_waits(self) -> None:
        waits, last = self._server.server_state.waits, self._start.record.memory.restarts.last
        if last is not None and waits.queued != last.queued:
            self._start.record.waited(waits.queued, waits.longest_ms)

    # -- leaving ---------------------------------------------------------------------------------------------------

    async def _leave(self) -> None:
        coordinator, notifier = self._coordinator, self._start.notifier
        if coordinator.state.way is Way.REEXEC:
            notifier.reloading()
        else:
            notifier.stopping(f"Leaving ({coordinator.reason})")
        log.info("leaving (%s)", coordinator.reason)
        gc.disable()  # what is left here is nobody's soon; to search it would take clients 50 ms for each thousand
        await self._configuration.stop()
        budgets = Budgets()
        drained = asyncio.gather(self._server.drain(budgets), self._answer_calls(budgets.drain))
        way = coordinator.state.way
        carry = self._server.server_state.carry = await self._comes_back()
        if carry:
            await self.keeper.caught_up(budgets.drain)
        await drained
        self.conversations.release_waiters()
        await self._server.leave(
            budgets, self._stopped_accepting, partial(self._close_websockets, carry=carry), carry=carry
        )
        self._note_waits()
        carry = carry and await self._comes_back_still(way)
        left_at, way = time.monotonic(), coordinator.state.way
        if carry:
            self.keeper.stop_reading()
            await finish_requests(self.hub, budgets.finish, RESTARTING)
            carry = await self._comes_back_still(way)
        # Runs tell what they say until here; what is queued for clients by now goes along with their connections.
        await self.conversations.close(budgets.store, for_good=not carry)
        for task in list(self._tasks):
            task.cancel()
        # The loop takes its handlers with it. What comes from here on is for the next image, or comes too late. What
        # has come already sits in the loop's pipe, and needs a few turns of it to reach us.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for _ in range(SIGNAL_TURNS):
            await asyncio.sleep(0)
        coordinator.left()
        if carry:  # nothing is read or written from here on
            self.passed = self.keeper.part(left_at, *self._server.carried()) + self._dialer.passed
        stopping = coordinator.state.way is Way.STOP
        self._start.record.update(
            ended="stop" if stopping else "restart",
            reason=coordinator.reason,
            tokens=coordinator.allowance.tokens,
            tokens_at=coordinator.allowance.at,
        )
        if stopping:
            self.paths.control.unlink(missing_ok=True)
            self._start.lease.leave()

    async def _answer_calls(self, budget: float) -> None:
        """Until the calls of WebSocket clients are answered, while newcomers are served."""
        try:
            async with asyncio.timeout(budget):
                while self.hub.busy:
                    self._calls_answered.clear()
                    await self._calls_answered.wait()
        except TimeoutError:
            log.warning("leaving although %d call(s) are unanswered: the drain budget is spent", self.hub.busy)

    def _stopped_accepting(self) -> None:
        self._start.record.update(left_at=time.monotonic())

    async def _comes_back(self) -> bool:
        """Whether another process goes on with our clients: ours, or the one that systemd starts after this one."""
        if self._coordinator.state.way is Way.REEXEC:
            return True
        kept = self._start.inherited.held_by_systemd and self.keeper.all_stored
        return kept and not (self._unit and await is_being_stopped(self._unit))

    async def _comes_back_still(self, way: Way | None) -> bool:
        """The same, if we wanted to leave this way; a stop that has come in the middle of it closes the clients."""
        if way is self._coordinator.state.way or await self._comes_back():
            return True
        self._server.server_state.carry = False
        await self._server.give_up()
        await self._close_websockets(Budgets().close, carry=False)
        return False

    async def _close_websockets(self, grace: float, *, carry: bool) -> None:
        await serve_newcomers(self.hub, Budgets().newcomers)
        # Where systemd holds the port, even a stop is a restart for the client: its next connection starts us again.
        back = carry or self._start.inherited.held_by_systemd
        if not carry:
            reason = "gateway restarting" if back else "gateway stopping"
            payload = {"reason": reason, "restartExpectedMs": RESTART_EXPECTED_MS if back else None}
            self.hub.broadcast("shutdown", payload)
        await close_all(self.hub, SERVICE_RESTART.code, SERVICE_RESTART.reason, grace, but_kept=carry)


def _reachable(start: Startup) -> tuple[str, ...]:
    """Where others than this machine will reach us by what the config does not decide: the unit, the command line."""
    bind = start.options.bind
    if start.inherited.held_by_systemd:
        return _open_to_others(start.inherited.listeners)
    return (bind,) if bind and bind != "loopback" and not is_loopback(bind) else ()


def _open_to_others(listeners: tuple[socket.socket, ...]) -> tuple[str, ...]:
    return tuple(address_text(sock) for sock in listeners if not is_loopback(sock.getsockname()[0]))
