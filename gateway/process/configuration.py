"""The config of the running process: chosen at the start, reloaded, applied, watched, and reported.

It ties the parts of `config` and `reload` to this process: to its log files, its clients' secret, its record.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from gateway.access.policy import policy
from gateway.config import files
from gateway.config.configfile import ConfigFile
from gateway.config.files import Snapshot
from gateway.config.fingerprint import fingerprint
from gateway.config.schema import Config
from gateway.config.tree import ConfigTree
from gateway.files.paths import Paths
from gateway.hub.hub import Hub
from gateway.lifecycle.record import Record
from gateway.lifecycle.suspicion import Suspicion, after_death, after_failure, sentence
from gateway.logs.setup import Logs
from gateway.machine.clock import now_ms
from gateway.protocol.scopes import READ
from gateway.reload.active import Active, choose
from gateway.reload.retry import SecretRetry
from gateway.reload.service import Reloader
from gateway.report import ConfigReport, ReloadResult, RestartTicket
from gateway.systemd.notify import Notifier

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.watch import Watch

log = logging.getLogger("gateway.config")

STOP_S = 2.0
"""The longest that leaving waits for a reload that is under way, which may hang on a disk."""


class Configuration:
    """The `Host` of the reloader. Duty: call `ready` once the process serves, and `stop` before it ends."""

    def __init__(
        self,
        paths: Paths,
        record: Record,
        logs: Logs,
        notifier: Notifier,
        hub: Hub,
        *,
        held_by_systemd: bool,
        reachable: tuple[str, ...],
        status: Callable[[], str],
        request_restart: Callable[[str], RestartTicket],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._suspect_timer: asyncio.TimerHandle | None = None
        self._secret_retry = SecretRetry(self._read_again)
        self._file = ConfigFile(paths.config, os.environ, paths.state, reachable)
        self._paths = paths
        self._record = record
        self._logs = logs
        self._notifier = notifier
        self._hub = hub
        self._status = status
        self._request_restart = request_restart
        self._watch: Watch | None = None
        self._watched: tuple[Path, ...] = ()
        snapshot = self._file.read()
        active = self._choose(snapshot)
        self._announced_hash = snapshot.raw_hash
        self._started_on = snapshot if active.source == "file" else None
        """The file on which this process has started: the last known good one, once the process serves."""
        self._start_logging(active.config)
        self.auth = policy(active.config.gateway, 1, paths.state, reachable=bool(reachable))
        """The policy of who may connect now; a change of it gets the next generation."""
        self._reloader = Reloader(
            active,
            snapshot,
            host=self,
            file=self._file,
            appliers={"logging": self._apply_logging, "auth": self._apply_auth},
            held_by_systemd=held_by_systemd,
            avoid=snapshot.digest if snapshot.config is not None and active.source == "last-good" else "",
        )

    # -- at start --------------------------------------------------------------------------------------------------

    def _choose(self, snapshot: Snapshot) -> Active:
        before, now = self._record.before, self._clock()
        suspicion, suspect = before.suspicion if before else Suspicion(), False
        if before and before.ended == "starting" and before.digest:
            suspicion = after_death(suspicion, before.digest, before.began, now)
        if before and before.ended in ("starting", "running"):
            # Only after a death: a start that was requested tries the config.
            suspect = suspicion.holds(snapshot.digest, now)
        # Only if it is needed: programs are asked for their secrets once more.
        needed = suspect or snapshot.config is None
        good = self._file.last_good() if needed else None
        fallback = files.config_from_environment(os.environ, snapshot.dotenv)
        active = choose(snapshot, good, fallback, suspect=suspect)
        digest = active.digest if active.source == "file" else ""
        self._record.update(ended="starting", digest=digest, began=now, suspicion=suspicion)
        return active

    def _start_logging(self, config: Config) -> None:
        try:
            self._apply_logs(config)
        except OSError as error:
            log.warning("logging.file: %s: %s", config.logging.file, error.strerror)

    def ready(self) -> None:
        """This process serves, so the suspicion against its config ends."""
        kept = self._record.memory.suspicion if self._reloader.active.source == "last-good" else Suspicion()
        self._record.update(ended="running", suspicion=kept)

    def log_problems(self) -> None:
        """Log errors and warnings of the config file, and what runs in its place."""
        for issue in self.snapshot.issues:
            log.error("%s", issue)
        for warning in self.snapshot.warnings:
            log.warning("%s", warning)
        if self.degraded:
            runs = {"last-good": "last known good", "defaults": "default"}.get(self._reloader.active.source, "previous")
            why = self.suspect or "the file is taken as soon as it is good"
            log.warning("running degraded on the %s config; %s", runs, why)

    async def begin_watching(self) -> None:
        """Watch the file, take what has changed since the start, and keep what the process has started on."""
        self._watch = await asyncio.to_thread(self._start_watch, asyncio.get_running_loop())
        if (await asyncio.to_thread(self._file.read)).digest != self.snapshot.digest:
            self._reloader.file_changed()
        if self._started_on is not None:
            await asyncio.to_thread(self._file.keep, self._started_on)
        if self.suspect:
            wait_s = max(0.0, self._record.memory.suspicion.until() - self._clock())
            self._suspect_timer = asyncio.get_running_loop().call_later(wait_s, self._reloader.retry_avoided)
        self._secret_retry.schedule(self.snapshot.unanswered)

    def _read_again(self) -> None:
        self._reloader.retry_avoided() if self.snapshot.config is None else self._reloader.file_changed()

    def _start_watch(self, loop: asyncio.AbstractEventLoop) -> "Watch":
        from gateway.config.watch import Watch  # 40 ms of imports that no client waits for

        def changed() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: we have left
                loop.call_soon_threadsafe(self._reloader.file_changed)

        self._watched = self.snapshot.files
        watch = Watch(self._watched, changed)
        watch.start()
        return watch

    async def stop(self) -> None:
        """End reloads: none begins after this. One that has begun is waited for, at most `STOP_S`."""
        if self._suspect_timer is not None:
            self._suspect_timer.cancel()
        self._secret_retry.cancel()
        self._reloader.begin_no_more()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                if self._watch is not None:
                    await asyncio.to_thread(self._watch.stop)  # joins threads
                await self._reloader.stop()

    # -- what is asked of it ---------------------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        return self._reloader.active.config

    @property
    def tree(self) -> ConfigTree:
        """The config that runs, as it was written but resolved (includes, `${VAR}`, secrets): never log it."""
        return self._reloader.active.tree

    @property
    def snapshot(self) -> Snapshot:
        """The file as it was last read, good or bad."""
        return self._reloader.snapshot

    @property
    def reachable(self) -> tuple[str, ...]:
        """Addresses at which other machines can connect, whatever the config says."""
        return self._file.reachable

    def listens_on(self, reachable: tuple[str, ...]) -> None:
        """The process listens now, so `reachable` is known and no longer what options and unit promise."""
        self._file.reachable = reachable

    def env(self, name: str) -> str | None:
        """A variable of the process, else of `.env` in the state folder."""
        return os.environ.get(name) or self.snapshot.dotenv.get(name)

    @property
    def watching(self) -> Literal["inotify", "polling", "off"]:
        return self._watch.mode if self._watch else "off"

    @property
    def degraded(self) -> bool:
        """True if something else than the file runs: the file has errors, is gone, or has failed."""
        active = self._reloader.active
        gone = not self.snapshot.exists and active.source != "defaults"
        return self.snapshot.config is None or gone or active.source == "last-good"

    @property
    def suspect(self) -> str:
        """Why a file without errors does not run; empty if it runs, or has errors."""
        suspicion = self._record.memory.suspicion
        if self.snapshot.config is None or self._reloader.active.source != "last-good":
            return ""
        return sentence(suspicion, self._clock()) if suspicion.digest == self.snapshot.digest else ""

    @property
    def nobody_can_connect(self) -> bool:
        """Whether no secret is configured and none could be generated: it cannot be stored, or others could try it."""
        return self.auth.mode in ("token", "password") and self.auth.secret is None

    async def reload(self, trigger: str) -> ReloadResult:
        return await self._reloader.reload(trigger)

    def report(self) -> ConfigReport:
        snapshot, active = self.snapshot, self._reloader.active
        missing = not snapshot.exists and active.source == "defaults" and not snapshot.issues
        return ConfigReport(
            path=str(self._paths.config),
            state="missing" if missing else "degraded" if self.degraded else "good",
            source=active.source,
            issues=snapshot.issues,
            warnings=snapshot.warnings,
            unused=snapshot.unused,
            suspect=self.suspect,
            last_reload=self._reloader.last,
        )

    # -- reload.service.Host ---------------------------------------------------------------------------------------

    def reload_begins(self) -> None:
        self._notifier.reloading()

    def reload_ended(self, result: ReloadResult) -> None:
        taken = self._reloader.active.digest if self._reloader.active.source == "file" else ""
        if taken and taken == self._record.memory.suspicion.digest and result.outcome != "restart":
            self._record.update(suspicion=Suspicion())  # after a restart the next start ends it
        self._notifier.ready(self._status())
        self._announce()
        self._secret_retry.schedule(self.snapshot.unanswered)
        wanted = self.snapshot.files
        if self._watch is not None and wanted != self._watched:
            self._watch.retarget(wanted)
            self._watched = wanted
            self._reloader.file_changed()  # a file that is watched only now may have changed just before

    def _announce(self) -> None:
        """Tell clients of a new text, also of one that changes nothing here: an editor of the file needs its hash."""
        snapshot = self.snapshot
        if snapshot.config is None or not snapshot.exists or snapshot.raw_hash == self._announced_hash:
            return
        self._announced_hash = snapshot.raw_hash
        hash = fingerprint(self._paths.state, snapshot.raw_hash)
        facts = {"path": str(snapshot.path), "hash": hash, "ts": now_ms()}
        self._hub.broadcast("config.changed", facts, drop_if_slow=True, scope=READ)
        # Models and commands of a chat come from the config; this event makes a page ask for them again.
        self._hub.broadcast("chat.metadata.changed", {}, drop_if_slow=True, scope=READ, min_protocol=4)

    def request_restart(self, reason: str) -> RestartTicket:
        return self._request_restart(reason)

    def apply_failed(self, snapshot: Snapshot, why: str) -> None:
        self._record.update(suspicion=after_failure(snapshot.digest, why, self._clock()))

    async def _apply_logging(self, old: Config, new: Config) -> None:
        self._apply_logs(new)

    def _apply_logs(self, config: Config) -> None:
        logging = config.logging
        self._logs.apply(logging.level, logging.console_level, logging.file, logging.max_file_bytes)

    async def _apply_auth(self, old: Config, new: Config) -> None:
        before = self.auth
        now = policy(new.gateway, before.generation + 1, self._paths.state, reachable=bool(self.reachable))
        if now.admitted == before.admitted:
            return
        self.auth = now
        closed = self._hub.close_generation(before.generation)
        log.info("who may connect has changed: %d client(s) that came in before are closed", closed)
