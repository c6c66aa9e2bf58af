"""The config of the running process: chosen at start, reloaded, applied, kept, watched, and reported.

It ties the parts of `config` and `reload` to this process: its log files, its clients' secret, its last good copy.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from gateway.access.policy import policy
from gateway.config import files, lastgood
from gateway.config.files import Snapshot
from gateway.config.fingerprint import fingerprint
from gateway.config.guard import guard
from gateway.config.schema import Config
from gateway.config.tree import ConfigTree
from gateway.files.paths import Paths
from gateway.hub.hub import Hub
from gateway.lifecycle.record import Record
from gateway.lifecycle.suspicion import Suspicion, after_death, after_failure, sentence
from gateway.logs.setup import Logs
from gateway.protocol.scopes import READ
from gateway.reload.active import Active, choose
from gateway.reload.again import Again
from gateway.reload.service import Reloader
from gateway.report import ConfigReport, ReloadResult, RestartTicket
from gateway.systemd.notify import Notifier

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.secretref import Known
    from gateway.config.watch import Watch

log = logging.getLogger("gateway.config")

STOP_S = 2.0
"""The longest that leaving waits for a reload that is under way."""


class Configuration:
    """Implements `reload.service.Host`: what a reload needs of the process around it."""

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
        self._retry: asyncio.TimerHandle | None = None
        self._again = Again(self._look_again)
        self._paths = paths
        self._record = record
        self._logs = logs
        self._notifier = notifier
        self._hub = hub
        self._status = status
        self._request_restart = request_restart
        self.reachable = reachable
        """Where others than this machine can connect, whatever the config says; to be set anew once it listens."""
        self._watch: Watch | None = None
        self._watched: tuple[Path, ...] = ()
        self._secrets: Known = {}
        """What references gave when the file was last good."""
        snapshot = self._read()
        active = self._choose(snapshot)
        self._told_hash = snapshot.raw_hash
        self._started_on = snapshot if active.source == "file" else None
        """The file as this process took it: kept as the last known good one, once it has served on it."""
        self._start_logging(active.config)
        self.auth = policy(active.config.gateway, 1, paths.state, reachable=bool(reachable))
        """Who may connect now."""
        self._reloader = Reloader(
            active,
            snapshot,
            host=self,
            read=self._read,
            actions={"logging": self._apply_logging, "auth": self._apply_auth},
            keep=self._keep,
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
            # Only after a death: a start that somebody wants is the one that shows whether it would succeed.
            suspect = suspicion.holds(snapshot.digest, now)
        # Only where it is needed: it asks programs for their secrets once more.
        needed = suspect or snapshot.config is None
        good = lastgood.load(self._paths.state, self._paths.config, os.environ) if needed else None
        fallback = files.without_file(os.environ, snapshot.dotenv)
        active = choose(snapshot, guard(good, self.reachable) if good else None, fallback, suspect=suspect)
        digest = active.digest if active.source == "file" else ""
        self._record.update(ended="starting", digest=digest, began=now, suspicion=suspicion)
        return active

    def _start_logging(self, config: Config) -> None:
        try:
            self._apply_logs(config)
        except OSError as error:
            log.warning("logging.file: %s: %s", config.logging.file, error.strerror)

    def ready(self) -> None:
        """This process serves: whatever was held against its config is over."""
        kept = self._record.memory.suspicion if self._reloader.active.source == "last-good" else Suspicion()
        self._record.update(ended="running", suspicion=kept)

    def tell(self) -> None:
        """Log what is wrong with the config that this process started on."""
        for issue in self.snapshot.issues:
            log.error("%s", issue)
        for warning in self.snapshot.warnings:
            log.warning("%s", warning)
        if self.degraded:
            runs = {"last-good": "last known good", "defaults": "default"}.get(self._reloader.active.source, "previous")
            why = self.suspect or "the file is taken as soon as it is good"
            log.warning("running degraded on the %s config; %s", runs, why)

    async def settle_in(self) -> None:
        """What no client waits for: keep the good config, watch the file, take what was changed meanwhile."""
        self._watch = await asyncio.to_thread(self._start_watch, asyncio.get_running_loop())
        if (await asyncio.to_thread(self._read)).digest != self.snapshot.digest:
            self._reloader.changed()
        if self._started_on is not None:
            await asyncio.to_thread(self._keep, self._started_on)
        if self.suspect:
            wait = max(0.0, self._record.memory.suspicion.until() - self._clock())
            self._retry = asyncio.get_running_loop().call_later(wait, self._reloader.reconsider)
        self._again.seen(self.snapshot.unanswered)

    def _look_again(self) -> None:
        self._reloader.reconsider() if self.snapshot.config is None else self._reloader.changed()

    def _start_watch(self, loop: asyncio.AbstractEventLoop) -> "Watch":
        from gateway.config.watch import Watch  # 40 ms of imports that no client waits for

        def changed() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: we have left
                loop.call_soon_threadsafe(self._reloader.changed)

        self._watched = self.snapshot.files
        watch = Watch(self._watched, changed)
        watch.start()
        return watch

    async def stop(self) -> None:
        """No reload begins after this; one that has begun is over, or hangs on a disk and is not waited for."""
        if self._retry is not None:
            self._retry.cancel()
        self._again.stop()
        self._reloader.close()
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
        """What runs, as it was written, with what stands in the environment put in: it holds secrets."""
        return self._reloader.active.tree

    @property
    def snapshot(self) -> Snapshot:
        return self._reloader.snapshot

    def env(self, name: str) -> str | None:
        """A variable of the process, or of `.env` beside the state."""
        return os.environ.get(name) or self.snapshot.dotenv.get(name)

    @property
    def watching(self) -> Literal["inotify", "polling", "off"]:
        return self._watch.mode if self._watch else "off"

    @property
    def degraded(self) -> bool:
        """The file is not what runs, because of errors in it, because it is gone, or because it failed."""
        active = self._reloader.active
        gone = not self.snapshot.exists and active.source != "defaults"
        return self.snapshot.config is None or gone or active.source == "last-good"

    @property
    def suspect(self) -> str:
        """Why a file without errors is not what runs; empty if that is not so."""
        suspicion = self._record.memory.suspicion
        if self.snapshot.config is None or self._reloader.active.source != "last-good":
            return ""
        return sentence(suspicion, self._clock()) if suspicion.digest == self.snapshot.digest else ""

    @property
    def nobody_can_connect(self) -> bool:
        """No secret is configured, and none could be made up: there is no place for it, or others could try it."""
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

    def begin(self) -> None:
        self._notifier.reloading()

    def end(self, result: ReloadResult) -> None:
        taken = self._reloader.active.digest if self._reloader.active.source == "file" else ""
        if taken and taken == self._record.memory.suspicion.digest and result.outcome != "restart":
            self._record.update(suspicion=Suspicion())  # of a restart the next start will show it
        self._notifier.ready(self._status())
        self._tell_clients()
        self._again.seen(self.snapshot.unanswered)
        wanted = self.snapshot.files
        if self._watch is not None and wanted != self._watched:
            self._watch.retarget(wanted)
            self._watched = wanted
            self._reloader.changed()  # a file that is watched only now may have changed just before

    def _tell_clients(self) -> None:
        """Also of a change that means nothing to us: who edits the file needs its hash."""
        snapshot = self.snapshot
        if snapshot.config is None or not snapshot.exists or snapshot.raw_hash == self._told_hash:
            return
        self._told_hash = snapshot.raw_hash
        hash = fingerprint(self._paths.state, snapshot.raw_hash)
        facts = {"path": str(snapshot.path), "hash": hash, "ts": int(time.time() * 1000)}
        self._hub.broadcast("config.changed", facts, drop_if_slow=True, scope=READ)
        # Models and commands of a chat come from the config, and this is what a page asks for them anew on.
        self._hub.broadcast("chat.metadata.changed", {}, drop_if_slow=True, scope=READ, min_protocol=4)

    def restart(self, reason: str) -> RestartTicket:
        return self._request_restart(reason)

    def failed(self, snapshot: Snapshot, why: str) -> None:
        self._record.update(suspicion=after_failure(snapshot.digest, why, self._clock()))

    def _read(self) -> Snapshot:
        found = files.read(self._paths.config, os.environ, self._paths.state, known=self._secrets)
        if found.config is not None:
            self._secrets = found.secrets
        return guard(found, self.reachable)

    def _keep(self, snapshot: Snapshot) -> None:
        try:
            lastgood.save(self._paths.state, snapshot)
        except OSError as error:
            log.warning("the last known good config cannot be kept: %s", error)

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
