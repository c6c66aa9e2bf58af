"""Metrics for Prometheus: the numbers of `status` and of this process, as text or OpenMetrics.

Counts of restarts, and of what they did to clients, go on over restarts; `systemctl stop` resets them. The module is
imported by the first scrape: the library costs 2 MB, and most gateways are never scraped. A scrape that finds the
program replaced is told to come again, and meets the next process.
"""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway.report import DEGRADED, RestartRecord, Restarts
from gateway.rpc.core import Core
from gateway.web.http.responses import Response

PREFIX = "openclaw_gateway_"


def expose(core: Core, accept: str) -> Response:
    """`accept`: the request's header. The library's own ASGI application is not used: it sends header names that ASGI
    forbids."""
    registry = CollectorRegistry()
    registry.register(_Gateway(core))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return Response(encode(registry), headers={"content-type": content_type, "cache-control": "no-store"})


class _Gateway(Collector):
    def __init__(self, core: Core) -> None:
        self._core = core

    def collect(self) -> Iterator[Metric]:
        core, report = self._core, self._core.report()
        build = {"version": report.version, "process_instance_id": report.boot_id}
        # OpenClaw's name and label, so that its dashboards see when another process image begins.
        yield InfoMetricFamily(f"{PREFIX}build", "Of the process image that answers.", value=build)
        yield _gauge("ready", "Whether it serves.", report.ready)
        wrong: dict[str, int] = {reason: int(reason in report.degraded) for reason in DEGRADED}
        yield _labelled(GaugeMetricFamily, "degraded", "What is wrong while it serves.", "reason", wrong)
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
        yield _labelled(GaugeMetricFamily, "runs", "Runs that are not over.", "state", states)
        yield from _restarts(report.restarts)
        if reload := report.config.last_reload:
            yield _gauge("config_last_reload_successful", "Whether the file as it was then runs.", reload.ok)
            yield _gauge("config_last_reload_timestamp_seconds", "Unix time of it.", reload.at / 1000)


def _restarts(restarts: Restarts) -> Iterator[Metric]:
    kinds = {"hot": restarts.hot, "cold": restarts.cold, "crash": restarts.crash}
    yield _labelled(CounterMetricFamily, "restarts", "Starts that another process came before, by kind.", "kind", kinds)
    yield CounterMetricFamily(
        f"{PREFIX}websockets_adopted", "WebSockets that went on in the next process.", value=restarts.adopted
    )
    how = "WebSockets that did not, by why: docs/handover.md."
    yield _labelled(CounterMetricFamily, "websockets_not_adopted", how, "why", restarts.closed)
    yield _gauge("longest_silence_seconds", "Of any client over a planned restart.", restarts.longest_silence_ms / 1000)
    yield _gauge(
        "longest_wait_seconds", "Of any new connection in the kernel's queue.", restarts.longest_wait_ms / 1000
    )
    if restarts.last:
        yield from _last(restarts.last)


def _last(restart: RestartRecord) -> Iterator[Metric]:
    yield _gauge("last_restart_timestamp_seconds", "Unix time of the last restart.", restart.at / 1000)
    if restart.silence_ms is not None:
        yield _gauge("last_restart_silence_seconds", "For how long no client was read.", restart.silence_ms / 1000)
    if restart.gap_ms is not None:
        yield _gauge("last_restart_gap_seconds", "For how long nobody was accepted.", restart.gap_ms / 1000)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=float(value))


def _labelled(
    kind: type[CounterMetricFamily | GaugeMetricFamily], name: str, text: str, label: str, values: Mapping[str, int]
) -> Metric:
    family = kind(PREFIX + name, text, labels=[label])
    for each, value in values.items():
        family.add_metric([each], value)
    return family
