"""The one owner of the running config: every trigger of a reload comes here, and a caller gets the result.

read → validate → diff by meaning → plan → swap → apply each action once, in order → remember as last known good.
A config with errors changes nothing. If an applier fails, the old config is back and a restart is requested, because a
start may succeed where a change of the running process did not. Reloads run one after the other; requests that come
while one waits for its turn share its result.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from msgspec.structs import replace

from gateway.config.compare import same
from gateway.config.configfile import ConfigFile
from gateway.config.files import Snapshot
from gateway.config.schema import Config
from gateway.machine.clock import now_ms
from gateway.reload.active import Active
from gateway.reload.plan import Plan, describe, make_plan
from gateway.report import ReloadResult, RestartTicket

log = logging.getLogger("gateway.reload")

MISSING_RETRIES = 2
MISSING_RETRY_S = 0.15
"""The pause before each further reading of a file that is gone: an editor may delete it before it writes."""
LONGEST_BURST_S = 5.0
"""The longest time without a reading for a file that changes all the time."""

Applier = Callable[[Config, Config], Awaitable[None]]
"""Takes over what differs between the old config and the new one. Any exception undoes the reload."""


class Host(Protocol):
    """The process around a reload."""

    def reload_begins(self) -> None:
        """Tell systemd (RELOADING=1)."""

    def reload_ended(self, result: ReloadResult) -> None:
        """Tell systemd (READY=1) and clients, whatever the result is."""

    def request_restart(self, reason: str) -> RestartTicket: ...

    def apply_failed(self, snapshot: Snapshot, why: str) -> None:
        """Remember that this config could not be applied, so that one death of a start on it is enough to avoid it."""


class Reloader:
    """Duty: call `file_changed` when the file may have changed, and `stop` before the process ends."""

    def __init__(
        self,
        active: Active,
        snapshot: Snapshot,
        *,
        host: Host,
        file: ConfigFile,
        appliers: Mapping[str, Applier],
        held_by_systemd: bool,
        avoid: str = "",
    ) -> None:
        self.active = active
        self.snapshot = snapshot
        """The file as it was last read, good or bad."""
        self._warned = snapshot.warnings
        self.last: ReloadResult | None = None
        self._host = host
        self._file = file
        self._appliers = appliers
        self._held_by_systemd = held_by_systemd
        self._avoid = avoid
        """Digest of the config that a change of the file does not make us take: it has failed."""
        self._lock = asyncio.Lock()
        self._queued: asyncio.Task[ReloadResult] | None = None
        self._stopped = False
        self._restart_due = ""
        """The reason of a requested restart that has not happened yet, so that a part of the config does not run."""
        self._timer: asyncio.TimerHandle | None = None
        self._burst_began: float | None = None

    # -- triggers --------------------------------------------------------------------------------------------------

    def file_changed(self) -> None:
        """Reload once no further change has come for `gateway.reload.debounceMs`."""
        if self._stopped:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._timer is None:
            self._burst_began = now
        else:
            self._timer.cancel()
        assert self._burst_began is not None
        quiet = now + self.active.config.gateway.reload.debounce_ms / 1000
        self._timer = loop.call_at(max(now, min(quiet, self._burst_began + LONGEST_BURST_S)), self._file_at_rest)

    def retry_avoided(self) -> None:
        """Reload, and take the config that was avoided if the file still has it."""
        if not self._stopped:
            self._avoid = ""
            self._enqueue("retry")

    def begin_no_more(self) -> None:
        """Refuse further reloads: the next process reads the file."""
        self._stopped = True

    async def stop(self) -> None:
        """Refuse further reloads, and wait for the running one."""
        self.begin_no_more()
        if self._timer is not None:
            self._timer.cancel()
        async with self._lock:
            pass

    def _file_at_rest(self) -> None:
        self._timer = None
        self._enqueue("watch")

    async def reload(self, trigger: str) -> ReloadResult:
        """Read the file now. A caller that is cancelled stops waiting; the reload goes on."""
        return await asyncio.shield(self._enqueue(trigger))

    def _enqueue(self, trigger: str) -> asyncio.Task[ReloadResult]:
        if self._queued is None:
            self._queued = asyncio.get_running_loop().create_task(
                self._run_in_turn(trigger), name=f"reload ({trigger})"
            )
        return self._queued

    async def _run_in_turn(self, trigger: str) -> ReloadResult:
        async with self._lock:
            if self._stopped:
                return ReloadResult("restart", "the gateway is leaving; the next process reads the file")
            self._queued = None  # a later caller may have written a newer file than the one that is read now
            return await self._reload(trigger)

    # -- one reload ------------------------------------------------------------------------------------------------

    async def _reload(self, trigger: str) -> ReloadResult:
        began = time.monotonic()
        self._host.reload_begins()
        result = ReloadResult("failed", "the reload did not come to its end")
        try:
            result = await self._evaluate(trigger)
        except Exception as error:
            log.exception("reload failed; the running config stays")
            result = ReloadResult("failed", f"{type(error).__name__}: {error}")
        finally:
            at, duration = now_ms(), round((time.monotonic() - began) * 1000, 1)
            self.last = replace(result, at=at, duration_ms=duration)
            self._host.reload_ended(self.last)
        return self.last

    async def _evaluate(self, trigger: str) -> ReloadResult:
        snapshot = await self._read_existing()
        self.snapshot = snapshot
        if not snapshot.exists and self.active.source != "defaults":
            log.warning("config reload skipped (config file not found)")
            return ReloadResult("invalid", f"{snapshot.path} not found; the running config stays")
        if snapshot.config is None:
            return self._refuse(snapshot)
        self._warn(snapshot)
        if snapshot.digest == self._avoid and trigger == "watch":
            return ReloadResult("unchanged", "this config has failed; it is not taken by itself for a while")
        if self._runs_already(snapshot):
            if self._restart_due:
                return self._request_restart(self._restart_due)
            return ReloadResult("unchanged", "the config means the same as before")
        return await self._carry_out(snapshot, snapshot.config, trigger)

    def _runs_already(self, snapshot: Snapshot) -> bool:
        # The typed values are compared as well: `.env` can change one while the tree stays the same.
        active = self.active
        source = "file" if snapshot.exists else "defaults"
        return active.source == source and active.config == snapshot.config and same(active.tree, snapshot.tree)

    async def _read_existing(self) -> Snapshot:
        snapshot = await asyncio.to_thread(self._file.read)
        for _ in range(MISSING_RETRIES):
            if snapshot.exists or self.active.source == "defaults":
                break
            await asyncio.sleep(MISSING_RETRY_S)
            snapshot = await asyncio.to_thread(self._file.read)
        return snapshot

    def _warn(self, snapshot: Snapshot) -> None:
        """Log the warnings that were not logged before: each edit in a watched folder causes a reading."""
        for warning in snapshot.warnings:
            if warning not in self._warned:
                log.warning("%s", warning)
        self._warned = snapshot.warnings

    def _refuse(self, snapshot: Snapshot) -> ReloadResult:
        for issue in snapshot.issues:
            log.error("config reload skipped (invalid config): %s", issue)
        count = len(snapshot.issues)
        message = f"{count} error{'s' if count != 1 else ''} in {snapshot.path}; the running config stays"
        return ReloadResult("invalid", message, issues=snapshot.issues)

    async def _carry_out(self, snapshot: Snapshot, config: Config, trigger: str) -> ReloadResult:
        mode = config.gateway.reload.mode
        if mode == "off" and trigger != "watch":
            mode = "hybrid"  # off is for edits alone; this reload was requested
        plan = make_plan(self.active.tree, snapshot.tree, self.active.config, config, mode, self._held_by_systemd)
        log.info("%s", describe(plan.changes))
        for path in plan.unit:
            log.warning("%s belongs to the socket unit: run `openclaw-gateway install` to move the port", path)
        if plan.outcome == "off":
            log.info("config reload disabled (gateway.reload.mode=off)")
            return _result(plan, snapshot, "gateway.reload.mode is off; `openclaw-gateway reload` applies it")
        if failure := await self._apply(plan, snapshot, config):
            return failure
        if plan.restart:
            # The hot part is applied already: a restart may have to wait for minutes, and a changed secret should not.
            asked = self._request_restart(f"config change requires gateway restart ({_needing(plan)})")
            return _result(plan, snapshot, asked.message)
        await asyncio.to_thread(self._file.keep, snapshot)
        return _result(plan, snapshot, self._message(plan))

    def _request_restart(self, reason: str) -> ReloadResult:
        # Kept until this process ends: if the restart is not possible, the next reading of the file requests it again.
        self._restart_due = reason
        log.info("%s", reason)
        ticket = self._host.request_restart(reason)
        return ReloadResult("restart", f"{reason}: {ticket.message or ticket.state}")

    async def _apply(self, plan: Plan, snapshot: Snapshot, config: Config) -> ReloadResult | None:
        """Swap the config and call the plan's appliers. If one fails, put the old config back; return the failure."""
        before = self.active
        self.active = Active(config, snapshot.tree, snapshot.digest, "file")
        for name in plan.actions:
            began = time.monotonic()
            try:
                await self._appliers[name](before.config, config)
            except Exception as error:
                why = f"applying {name} failed: {error}"
                self.active, self._avoid = before, snapshot.digest
                if self._stopped:  # it has failed because the process leaves
                    return ReloadResult("failed", f"{why}; the next process tries it")
                log.exception("%s; a restart tries it from the start", why)
                self._host.apply_failed(snapshot, why)
                self._host.request_restart(f"hot reload failed ({name})")
                return ReloadResult("failed", f"{why}; a restart tries it from the start")
            log.debug("applied %s in %.1f ms", name, (time.monotonic() - began) * 1000)
        self._avoid = ""
        return None

    def _message(self, plan: Plan) -> str:
        said = []
        if hot := ", ".join(plan.hot):
            log.info("config hot reload applied (%s)", hot)
            said.append(f"applied without a restart: {hot}")
        if ignored := ", ".join(plan.ignored):
            log.warning("config change needs a restart, ignored (gateway.reload.mode=hot): %s", ignored)
            said.append(f"not applied, because gateway.reload.mode=hot forbids the restart it needs: {ignored}")
        if not said:
            log.info("config change applied (nothing to do)")
        return "; ".join(said) or ("" if plan.unit else "nothing that this gateway uses has changed")


def _needing(plan: Plan) -> str:
    return ", ".join(change.path for change in plan.changes if change.effect in ("restart", "unit")) or "mode restart"


def _result(plan: Plan, snapshot: Snapshot, message: str) -> ReloadResult:
    if plan.unit:
        unit = f"{', '.join(plan.unit)}: run `openclaw-gateway install` to move the port"
        message = f"{message}; {unit}" if message else unit
    return ReloadResult(plan.outcome, message, changes=plan.changes, warnings=snapshot.warnings)
