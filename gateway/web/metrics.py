"""Metrics for Prometheus: the numbers of `status` and of this process.

Counts of restarts, and of what they did to clients, go on over restarts; `systemctl stop` resets them.
"""

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from gateway.report import DEGRADED, RestartRecord, Restarts
from gateway.rpc.core import Core
from gateway.web.exposition import Family, choose_format, render
from gateway.web.http.responses import Response

PREFIX = "openclaw_gateway_"


def expose(core: Core, accept: str) -> Response:
    """`accept`: the request's header."""
    content_type = choose_format(accept)
    text = render((*_gateway(core), *_process()), content_type)
    return Response(text, 200, {"content-type": content_type, "cache-control": "no-store"})


def _gateway(core: Core) -> Iterator[Family]:
    report = core.report()
    build = {"version": report.version, "process_instance_id": report.boot_id}
    # OpenClaw's name and label, so that its dashboards see when another process image begins.
    yield Family(f"{PREFIX}build", "info", "Of the process image that answers.", [(build, 1)])
    yield _gauge("ready", "Whether it serves.", report.ready)
    wrong: dict[str, int] = {reason: int(reason in report.degraded) for reason in DEGRADED}
    yield _labelled("gauge", "degraded", "What is wrong while it serves.", "reason", wrong)
    yield _gauge("websockets", "Clients that have said who they are.", report.websockets)
    yield _gauge("connections", "Established connections, WebSockets among them.", report.connections)
    yield _gauge("requests", "Requests of WebSocket clients that are not answered yet.", core.hub.busy)
    yield _gauge(
        "event_loop_delay_seconds",
        "How late the event loop was when it was last looked at, once a second.",
        core.hub.lag.latest.delay_max_ms / 1000,
    )
    runs = core.conversations.runs
    states = {"running": runs.busy, "queued": runs.queued}
    yield _labelled("gauge", "runs", "Runs that are not over.", "state", states)
    yield from _restarts(report.restarts)
    if reload := report.config.last_reload:
        yield _gauge("config_last_reload_successful", "Whether the file as it was then runs.", reload.ok)
        yield _gauge("config_last_reload_timestamp_seconds", "Unix time of it.", reload.at / 1000)


def _restarts(restarts: Restarts) -> Iterator[Family]:
    kinds = {"hot": restarts.hot, "cold": restarts.cold, "crash": restarts.crash}
    yield _labelled("counter", "restarts", "Starts that another process came before, by kind.", "kind", kinds)
    adopted = "WebSockets that went on in the next process."
    yield Family(f"{PREFIX}websockets_adopted", "counter", adopted, [({}, restarts.adopted)])
    how = "WebSockets that did not, by why: docs/handover.md."
    yield _labelled("counter", "websockets_not_adopted", how, "why", restarts.closed)
    yield _gauge("longest_silence_seconds", "Of any client over a planned restart.", restarts.longest_silence_ms / 1000)
    yield _gauge(
        "longest_wait_seconds", "Of any new connection in the kernel's queue.", restarts.longest_wait_ms / 1000
    )
    if restarts.last:
        yield from _last(restarts.last)


def _last(restart: RestartRecord) -> Iterator[Family]:
    yield _gauge("last_restart_timestamp_seconds", "Unix time of the last restart.", restart.at / 1000)
    if restart.silence_ms is not None:
        yield _gauge("last_restart_silence_seconds", "For how long no client was read.", restart.silence_ms / 1000)
    if restart.gap_ms is not None:
        yield _gauge("last_restart_gap_seconds", "For how long nobody was accepted.", restart.gap_ms / 1000)


def _process() -> Iterator[Family]:
    """What programs with Prometheus' own library tell of their process, under the same names; see proc_pid_stat(5)."""
    try:
        stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
        descriptors = len(os.listdir("/proc/self/fd"))
    except OSError:  # a sandbox shows nothing of it
        return
    ticks = os.sysconf("SC_CLK_TCK")
    cpu, started = (int(stat[11]) + int(stat[12])) / ticks, int(boot.split()[1]) + int(stat[19]) / ticks
    yield Family("process_cpu_seconds", "counter", "Total user and system CPU time spent in seconds.", [({}, cpu)])
    gauges: tuple[tuple[str, str, float], ...] = (
        ("start_time_seconds", "Start time of the process since unix epoch in seconds.", started),
        ("virtual_memory_bytes", "Virtual memory size in bytes.", int(stat[20])),
        ("resident_memory_bytes", "Resident memory size in bytes.", int(stat[21]) * resource.getpagesize()),
        ("open_fds", "Number of open file descriptors.", descriptors),
        ("max_fds", "Maximum number of open file descriptors.", resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    )
    yield from (Family(f"process_{name}", "gauge", text, [({}, value)]) for name, text, value in gauges)


def _gauge(name: str, text: str, value: float) -> Family:
    return Family(PREFIX + name, "gauge", text, [({}, value)])


def _labelled(kind: Literal["gauge", "counter"], name: str, text: str, label: str, values: Mapping[str, int]) -> Family:
    return Family(PREFIX + name, kind, text, [({label: each}, value) for each, value in values.items()])
