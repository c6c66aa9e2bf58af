"""The running gateway: what methods and faces ask (`core.Core`), what a reload needs (`reload.service.Host`), and the
order in which it starts serving and leaves. Nothing is decided here; the parts decide.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gateway import __version__
from gateway.background import feed_watchdog, rehearse, status_line, tell_status
from gateway.config import files, lastgood
from gateway.config.files import Snapshot
from gateway.config.schema import Config
from gateway.hub import Hub
from gateway.lifecycle import holders, sockets
from gateway.lifecycle.coordinator import Coordinator
from gateway.lifecycle.lease import Lease
from gateway.lifecycle.notify import Notifier
from gateway.lifecycle.phases import Allowance, Budgets, Phase, Way
from gateway.lifecycle.record import Record
from gateway.lifecycle.token import generated_token
from gateway.logs import Logs
from gateway.paths import Paths
from gateway.protocol.auth import AuthPolicy
from gateway.reload.active import choose
from gateway.reload.service import Reloader
from gateway.report import ConfigReport, ReloadResult, RestartTicket, StatusReport
from gateway.serving.server import GatewayServer
from gateway.web.app import create_app, warm_up

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.watch import Watch

log = logging.getLogger("gateway")

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_REPORTED: dict[Phase, Literal["starting", "running", "deferred", "leaving"]] = {
    Phase.STARTING: "starting",
    Phase.RUNNING: "running",
    Phase.DEFERRED: "deferred",
    Phase.LEAVING: "leaving",
    Phase.GONE: "leaving",
}
RESTART_EXPECTED_MS = 1500
"""What OpenClaw tells its clients; ours is faster, and a client that comes back early waits in the queue."""
CLOSE_RESTART = 1012


@dataclass(frozen=True)
class Options:
    """What the command line asked for; None leaves it to the config. Under systemd the socket unit decides."""

    port: int | None = None
    bind: str | None = None


@dataclass(frozen=True)
class Start:
    """What this image was given and has found, before it serves."""

    options: Options
    paths: Paths
    inherited: sockets.Inherited
    notifier: Notifier
    lease: Lease
    record: Record
    logs: Logs
    boot_id: str


class Process:
    def __init__(self, start: Start) -> None:
        self.boot_id = start.boot_id
        self.version = __version__
        self.started = time.monotonic()
        self.paths = start.paths
        self.hub = Hub(self._changed, self._idle)
        self.listeners: tuple[socket.socket, ...] = ()
        self._start = start
        self._started_at = int(time.time() * 1000)
        self._problems = {"state": start.lease.problem} if start.lease.problem else {}
        self._status_wanted = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: Watch | None = None
        self._watched: tuple[Path, ...] = ()
        self._reloader = self._take_config()
        self._auth = self._policy(self.config, 1)
        self._coordinator = self._take_turns()

    # -- putting it together ---------------------------------------------------------------------------------------

    def _take_config(self) -> Reloader:
        record, before = self._start.record, self._start.record.before
        snapshot = self._read()
        avoid = before.avoid if before else ""
        if before and before.ended == "starting" and before.digest == snapshot.digest:
            avoid = snapshot.digest  # the last process died while it started on this very config
        active = choose(snapshot, lastgood.load(self.paths.state, self.paths.config, os.environ), avoid)
        record.update(ended="starting", digest=snapshot.digest, avoid=avoid)
        logging_ = active.config.logging
        try:
            self._start.logs.apply(logging_.level, logging_.console_level, logging_.file)
        except OSError as error:
            log.warning("logging.file: %s: %s", logging_.file, error.strerror)
        return Reloader(
            active,
            snapshot,
            host=self,
            read=self._read,
            actions={"logging": self._apply_logging, "auth": self._apply_auth},
            keep=self._keep,
            held_by_systemd=self._start.inherited.held_by_systemd,
            avoid=avoid,
        )

    def _take_turns(self) -> Coordinator:
        before = self._start.record.before
        tokens = before.tokens if before else None
        return Coordinator(
            self.boot_id,
            busy=lambda: self.hub.busy,
            deferral_s=lambda: self.config.gateway.reload.deferral_timeout_ms / 1000,
            clock=time.monotonic,
            allowance=Allowance() if before is None or tokens is None else Allowance(tokens, before.tokens_at),
            rehearse=rehearse,
        )

    # -- core.Core -------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        return self._coordinator.phase

    @property
    def config(self) -> Config:
        return self._reloader.active.config

    @property
    def snapshot(self) -> Snapshot:
        return self._reloader.snapshot

    @property
    def auth(self) -> AuthPolicy:
        return self._auth

    async def reload(self, trigger: str) -> ReloadResult:
        return await self._reloader.reload(trigger)

    def request_restart(self, reason: str) -> RestartTicket:
        return self._coordinator.request_restart(reason)

    def report(self) -> StatusReport:
        self._note_waits()
        start = self._start
        return StatusReport(
            pid=os.getpid(),
            boot_id=self.boot_id,
            version=self.version,
            phase=_REPORTED[self.phase],
            ready=self.phase in (Phase.RUNNING, Phase.DEFERRED),
            degraded=self._degraded(),
            started_at=self._started_at,
            uptime_ms=int((time.monotonic() - self.started) * 1000),
            listeners=tuple(sockets.spell(sock) for sock in self.listeners),
            port_owner="systemd" if start.inherited.held_by_systemd else "self",
            unit=holders.unit(os.getpid()),
            executable=sys.executable,
            state_dir=str(self.paths.state),
            websockets=self.hub.count,
            connections=len(self._server.server_state.connections),
            config=self._config_report(),
            restarts=start.record.memory.restarts,
            restart_problem=self._coordinator.problem,
            log_file=start.logs.file,
            watching=self._watch.mode if self._watch else "off",
        )

    def _config_report(self) -> ConfigReport:
        snapshot, active = self.snapshot, self._reloader.active
        missing = not snapshot.exists and active.source == "defaults"
        return ConfigReport(
            path=str(self.paths.config),
            state="missing" if missing else "degraded" if "config" in self._degraded() else "good",
            source=active.source,
            issues=snapshot.issues,
            warnings=snapshot.warnings,
            unused=snapshot.unused,
            last_reload=self._reloader.last,
        )

    def _degraded(self) -> tuple[str, ...]:
        snapshot, active = self.snapshot, self._reloader.active
        gone = not snapshot.exists and active.source != "defaults"
        bad = snapshot.config is None or gone or active.source == "last-good"
        return (*(["config"] if bad else []), *self._problems)

    # -- reload.service.Host ---------------------------------------------------------------------------------------

    def begin(self) -> None:
        self._start.notifier.reloading()

    def end(self, result: ReloadResult) -> None:
        self._start.notifier.ready(status_line(self.report()))
        files = self.snapshot.files
        if self._watch is not None and files != self._watched:
            self._watch.retarget(files)
            self._watched = files
            self._reloader.changed()  # a file that is watched only now may have changed just before

    def restart(self, reason: str, avoid: str = "") -> RestartTicket:
        if avoid:
            self._start.record.update(avoid=avoid)
        return self.request_restart(reason)

    def _read(self) -> Snapshot:
        return files.read(self.paths.config, os.environ, self.paths.state)

    def _keep(self, snapshot: Snapshot) -> None:
        try:
            lastgood.save(self.paths.state, snapshot)
        except OSError as error:
            log.warning("the last known good config cannot be kept: %s", error)

    async def _apply_logging(self, old: Config, new: Config) -> None:
        self._start.logs.apply(new.logging.level, new.logging.console_level, new.logging.file)

    async def _apply_auth(self, old: Config, new: Config) -> None:
        before = self._auth
        policy = self._policy(new, before.generation + 1)
        if (policy.mode, policy.secret) == (before.mode, before.secret):
            return
        self._auth = policy
        closed = self.hub.close_generation(before.generation)
        log.info("the secret has changed: %d client(s) that used the old one are closed", closed)

    def _policy(self, config: Config, generation: int) -> AuthPolicy:
        auth = config.gateway.auth
        mode, token = auth.effective_mode, auth.token
        if mode == "token" and token is None:
            token = generated_token(self.paths.state)
        return AuthPolicy(mode, token=token, password=auth.password, generation=generation)

    # -- serving ---------------------------------------------------------------------------------------------------

    async def serve(self) -> Way:
        """Serve until it is time to leave, then leave; returns how."""
        self._server = GatewayServer(create_app(self), lambda: self.config.gateway.http.limits)
        self.listeners = self._listen()
        control = self._listen_for_commands()
        await self._server.start([*self.listeners, *control])
        self._handle_signals()
        self._ready()
        await self._coordinator.leaving()
        await self._leave()
        return self._coordinator.state.way or Way.STOP

    def _listen(self) -> tuple[socket.socket, ...]:
        inherited, options = self._start.inherited, self._start.options
        if inherited.held_by_systemd:
            if options.port or options.bind:
                log.warning("--port and --bind are not used: openclaw-gateway.socket holds the port")
            return inherited.listeners
        gateway = self.config.gateway
        bind = options.bind or gateway.bind
        custom = gateway.custom_bind_host
        if bind not in ("auto", "loopback", "lan", "custom", "tailnet"):
            bind, custom = "custom", bind
        hosts = sockets.addresses(bind, custom)
        return sockets.bind_ourselves(hosts, options.port or gateway.port, inherited.listeners)

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
        await self._reloader.reload("SIGHUP")

    def _ready(self) -> None:
        self._coordinator.ready()
        record = self._start.record
        record.update(ended="running")
        self._count_restart()
        self._start.notifier.ready(status_line(self.report()))
        log.info(
            "listening on %s (pid %d, %s)", ", ".join(map(sockets.spell, self.listeners)), os.getpid(), self.version
        )
        for problem in self._problems.values():
            log.warning("degraded: %s", problem)
        self._tell_config()
        self._spawn(feed_watchdog(self._start.notifier), "watchdog")
        self._spawn(tell_status(self._start.notifier, self._status_wanted, self.report), "status")
        self._spawn(self.hub.run(), "hub")
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

    def _tell_config(self) -> None:
        for issue in self.snapshot.issues:
            log.error("config: %s", issue)
        for warning in self.snapshot.warnings:
            log.warning("config: %s", warning)
        if "config" in self._degraded():
            log.warning(
                "running degraded on the %s config; the file is taken as soon as it is good", self._source_words()
            )

    def _source_words(self) -> str:
        return {"last-good": "last known good", "defaults": "default"}.get(self._reloader.active.source, "previous")

    async def _settle_in(self) -> None:
        """What clients need not wait for: keep the good config, watch the file, see whether it changed meanwhile."""
        await asyncio.to_thread(warm_up)
        if self._reloader.active.source == "file":
            await asyncio.to_thread(self._keep, self.snapshot)
        loop = asyncio.get_running_loop()
        self._watch = await asyncio.to_thread(self._start_watch, loop)
        if (await asyncio.to_thread(self._read)).digest != self.snapshot.digest:
            self._reloader.changed()
        self._changed()

    def _start_watch(self, loop: asyncio.AbstractEventLoop) -> "Watch":
        from gateway.config.watch import Watch  # 40 ms of imports that no client waits for

        def changed() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: we have left
                loop.call_soon_threadsafe(self._reloader.changed)

        self._watched = self.snapshot.files
        watch = Watch(self._watched, changed)
        watch.start()
        return watch

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("%s failed", task.get_name(), exc_info=error)

    def _changed(self) -> None:
        self._status_wanted.set()

    def _idle(self) -> None:
        self._coordinator.idle()

    def _note_waits(self) -> None:
        waits, last = self._server.server_state.waits, self._start.record.memory.restarts.last
        if last is not None and waits.queued != last.queued:
            self._start.record.waited(waits.queued, waits.longest_ms)

    # -- leaving ---------------------------------------------------------------------------------------------------

    async def _leave(self) -> None:
        restarting = self._coordinator.state.way is Way.REEXEC
        if restarting:
            self._start.notifier.reloading()
        else:
            self._start.notifier.stopping(f"Leaving ({self._coordinator.reason})")
        log.info("leaving (%s)", self._coordinator.reason)
        await self._server.leave(Budgets(), self._stopped_accepting, self._close_websockets)
        self._note_waits()
        for task in list(self._tasks):
            task.cancel()
        if self._watch is not None:
            self._watch.stop()
        self._coordinator.left()
        way = self._coordinator.state.way
        allowance = self._coordinator.allowance
        self._start.record.update(
            ended="restart" if way is Way.REEXEC else "stop",
            reason=self._coordinator.reason,
            tokens=allowance.tokens,
            tokens_at=allowance.at,
        )
        if way is Way.STOP:
            self.paths.control.unlink(missing_ok=True)

    def _stopped_accepting(self) -> None:
        self._start.record.update(left_at=time.monotonic())

    async def _close_websockets(self, grace: float) -> None:
        # Where systemd holds the port, a stop is a restart for the client: its next connection starts us again.
        back = self._coordinator.state.way is Way.REEXEC or self._start.inherited.held_by_systemd
        reason = "gateway restarting" if back else "gateway stopping"
        self.hub.broadcast("shutdown", {"reason": reason, "restartExpectedMs": RESTART_EXPECTED_MS if back else None})
        await self.hub.close_all(CLOSE_RESTART, "service restart", grace)
