"""The state of the process in words: the report of `status`, the reasons of `/readyz`, and systemd's STATUS=."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from gateway import __version__
from gateway.hub.hub import Hub
from gateway.lifecycle.coordinator import Coordinator
from gateway.lifecycle.phases import Phase
from gateway.machine.clock import now_ms
from gateway.process.configuration import Configuration
from gateway.process.startup import Startup
from gateway.report import Degradation, StatusReport
from gateway.serving.server import GatewayServer
from gateway.systemd.notify import Notifier

if TYPE_CHECKING:
    from gateway.process.adoption import Tally

log = logging.getLogger("gateway")

STATUS_EVERY_S = 1.0
"""STATUS= is sent at most this often."""
_PHASES: dict[Phase, Literal["starting", "running", "deferred", "leaving"]] = {
    Phase.STARTING: "starting",
    Phase.RUNNING: "running",
    Phase.DEFERRED: "deferred",
    Phase.LEAVING: "leaving",
    Phase.GONE: "leaving",
}


class ProcessStatus:
    """Duty: call `changed` when what the line says may have changed."""

    def __init__(
        self,
        start: Startup,
        configuration: Configuration,
        coordinator: Coordinator,
        hub: Hub,
        server: GatewayServer,
        conversations_problem: Callable[[], str | None],
    ) -> None:
        self.started = time.monotonic()
        self.started_at = now_ms()
        """Unix time in milliseconds."""
        self.problems: dict[Degradation, str] = {"state": start.lease.problem} if start.lease.problem else {}
        """Reasons of `degraded` that last until the process ends, each with its sentence."""
        self.listeners: tuple[str, ...] = ()
        self.settled = False
        self._start = start
        self._configuration = configuration
        self._coordinator = coordinator
        self._hub = hub
        self._server = server
        self._conversations_problem = conversations_problem
        self._wanted = asyncio.Event()

    def report(self) -> StatusReport:
        self.record_waits()
        start, phase = self._start, self._coordinator.phase
        return StatusReport(
            pid=os.getpid(),
            boot_id=start.boot_id,
            version=__version__,
            phase=_PHASES[phase],
            ready=phase in (Phase.RUNNING, Phase.DEFERRED),
            degraded=self.degraded,
            started_at=self.started_at,
            uptime_ms=int((time.monotonic() - self.started) * 1000),
            listeners=self.listeners,
            port_owner="systemd" if start.inherited.held_by_systemd else "self",
            unit=start.unit,
            executable=sys.executable,
            state_dir=str(start.paths.state),
            websockets=self._hub.count,
            connections=self._server.clients,
            config=self._configuration.report(),
            restarts=start.record.memory.restarts,
            restart_problem=self._coordinator.problem,
            conversations_problem=self._conversations_problem(),
            state_problem=self.problems.get("state"),
            log_file=start.logs.file,
            watching=self._configuration.watching,
            settled=self.settled,
        )

    @property
    def degraded(self) -> tuple[Degradation, ...]:
        found: dict[Degradation, bool] = {
            "config": self._configuration.degraded,
            "auth": self._configuration.nobody_can_connect,
            "restart": self._coordinator.problem is not None,
            "conversations": self._conversations_problem() is not None,
        }
        return (*(name for name, wrong in found.items() if wrong), *self.problems)

    def record_waits(self) -> None:
        """Write into the record how long clients have waited in the kernel's queue for this process."""
        waits, last = self._server.server_state.waits, self._start.record.memory.restarts.last
        if last is not None and waits.queued != last.queued:
            self._start.record.note_waits(waits.queued, waits.longest_ms)

    def count_restart(self, adopted: "Tally | None") -> None:
        """Write into the record which restart led to this process, and what became of connections: `adopted`."""
        record = self._start.record
        if kind := record.kind_of_start():
            left_at = record.before.left_at if record.before and kind != "crash" else None
            gap_ms = None if left_at is None else round((time.monotonic() - left_at) * 1000, 1)
            record.count_restart(kind, self.started_at, gap_ms)
            waited = "an unknown time" if gap_ms is None else f"at most {gap_ms:.0f} ms"
            log.info("%s restart: clients waited %s", kind, waited)
            if adopted is not None:
                record.note_adoption(adopted.websockets, adopted.closed, adopted.silence_ms)
                log.info("%s", adopted)

    def line(self) -> str:
        return status_line(self.report())

    def changed(self) -> None:
        self._wanted.set()

    async def run(self) -> None:
        """Send STATUS= until cancelled."""
        await tell_status(self._start.notifier, self._wanted, self.report)


async def tell_status(notifier: Notifier, wanted: asyncio.Event, report: Callable[[], StatusReport]) -> None:
    """Send STATUS= whenever `wanted` is set and the line has changed. Runs until cancelled."""
    sent = ""
    while True:
        await wanted.wait()
        wanted.clear()
        if (line := status_line(report())) != sent:
            sent = line
            notifier.status(line)
        await asyncio.sleep(STATUS_EVERY_S)


def status_line(report: StatusReport) -> str:
    """The line that `systemctl status` shows: address, clients, config, last reload.

    `Serving 127.0.0.1:18789, [::1]:18789 | 3 clients | config good | reload 12:03:11: applied …`
    """
    clients = f"{report.websockets} client{'s' if report.websockets != 1 else ''}"
    parts = [f"Serving {', '.join(report.listeners)}", clients, _config(report)]
    last = report.config.last_reload
    if last is not None and last.outcome != "unchanged":
        parts.append(f"reload {time.strftime('%H:%M:%S', time.localtime(last.at / 1000))}: {last.message}")
    return " | ".join(parts)


def _config(report: StatusReport) -> str:
    config = report.config
    if config.state == "missing":
        return f"no config at {config.path}, defaults"
    if "config" not in report.degraded:
        return "config good"
    runs = {"last-good": "running on the last known good one", "defaults": "running on safe defaults"}
    why = f"{config.issues[0]}" if config.issues else config.suspect or "it is not what runs"
    more = f" (+{len(config.issues) - 1} more)" if len(config.issues) > 1 else ""
    return f"DEGRADED config: {why}{more}; {runs.get(config.source, 'running on the one before')}"
