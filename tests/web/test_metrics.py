"""What Prometheus is told, read by its own library's parser."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed
from prometheus_client import ProcessCollector
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway.report import DEGRADED, ReloadResult, RestartRecord, Restarts
from tests.fakes.core import FakeCore
from tests.web.asgi import ask, bearer

PREFIX = "openclaw_gateway_"
RESTARTS = Restarts(
    hot=3,
    cold=2,
    crash=1,
    longest_wait_ms=210.5,
    adopted=40,
    closed={"unread": 2, "asked": 1},
    longest_silence_ms=250.0,
    last=RestartRecord("cold", at=1_800_000_000_500, gap_ms=190.0, silence_ms=180.0),
)


def scrape(core: FakeCore, path: str = "/metrics") -> Mapping[str, float]:
    """By name, with the labels in braces."""
    answer = ask(core, path, headers=bearer("t0k"))
    assert answer.status == 200
    assert answer.headers[b"content-type"].startswith(b"text/plain; version=")
    samples = [sample for family in parse_text(answer.body.decode()) for sample in family.samples]
    names = [
        "".join((each.name.removeprefix(PREFIX), *(f"{{{value}}}" for value in each.labels.values())))
        for each in samples
    ]
    return dict(zip(names, [each.value for each in samples], strict=True))


def test_what_status_says() -> None:
    found = scrape(FakeCore(shown={"restarts": RESTARTS, "websockets": 7, "connections": 9, "degraded": ("auth",)}))
    assert (found["ready"], found["websockets"], found["connections"], found["requests"]) == (1, 7, 9, 0)
    assert {reason: found[f"degraded{{{reason}}}"] for reason in DEGRADED} == dict.fromkeys(DEGRADED, 0) | {"auth": 1}
    assert [found[f"restarts_total{{{kind}}}"] for kind in ("hot", "cold", "crash")] == [3, 2, 1]
    assert found["websockets_adopted_total"] == 40
    assert (found["websockets_not_adopted_total{unread}"], found["websockets_not_adopted_total{asked}"]) == (2, 1)
    assert (found["longest_wait_seconds"], found["longest_silence_seconds"]) == (0.2105, 0.25)
    assert found["last_restart_timestamp_seconds"] == 1_800_000_000.5
    assert (found["last_restart_gap_seconds"], found["last_restart_silence_seconds"]) == (0.19, 0.18)
    assert (found["runs{running}"], found["runs{queued}"]) == (0, 0)
    assert found["build_info{boot-1}{0.1.0}"] == 1


def test_what_has_not_happened_is_left_out() -> None:
    found = scrape(FakeCore())
    assert not [name for name in found if name.startswith(("last_restart", "config_last_reload", "websockets_not"))]
    assert found["restarts_total{hot}"] == found["longest_silence_seconds"] == 0


def test_a_crash_says_nothing_of_a_silence() -> None:
    found = scrape(FakeCore(shown={"restarts": Restarts(crash=1, last=RestartRecord("crash", at=1))}))
    assert [name for name in found if name.startswith("last_restart")] == ["last_restart_timestamp_seconds"]


@pytest.mark.parametrize(("outcome", "good"), [("hot", 1), ("unchanged", 1), ("invalid", 0), ("failed", 0)])
def test_the_last_reload(outcome: Any, good: int) -> None:
    core = FakeCore()
    result = ReloadResult(outcome, "", at=1_700_000_000_000)
    core.shown = {"config": changed(core.report().config, last_reload=result)}
    found = scrape(core)
    assert found["config_last_reload_successful"] == good
    assert found["config_last_reload_timestamp_seconds"] == 1_700_000_000


def test_the_process_itself() -> None:
    found = scrape(FakeCore())
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert 0 < found["process_open_fds"] <= found["process_max_fds"]


def test_the_process_is_told_under_the_names_of_prometheus_own_library() -> None:
    families = list(ProcessCollector(registry=None).collect())
    samples = {sample.name: sample.value for family in families for sample in family.samples}
    found = {name: value for name, value in scrape(FakeCore()).items() if name.startswith("process_")}
    assert found.keys() == samples.keys()
    assert found["process_start_time_seconds"] == samples["process_start_time_seconds"]
    assert found["process_max_fds"] == samples["process_max_fds"]


def test_each_scrape_reads_anew() -> None:
    core = FakeCore()
    before = scrape(core)
    core.hub.begin_request()
    core.shown = {"phase": "leaving", "ready": False}
    after = scrape(core)
    assert (before["ready"], before["requests"]) == (1, 0)
    assert (after["ready"], after["requests"]) == (0, 1)


def test_openclaws_path_and_openmetrics() -> None:
    assert scrape(FakeCore(), "/api/diagnostics/prometheus").keys() == scrape(FakeCore()).keys()
    headers = [*bearer("t0k"), (b"accept", b"application/openmetrics-text; version=1.0.0")]
    answer = ask(FakeCore(shown={"restarts": RESTARTS}), "/metrics", headers=headers)
    assert answer.headers[b"content-type"].startswith(b"application/openmetrics-text")
    families = [*parse_openmetrics(answer.body.decode())]
    assert len(families) > 15
    assert all(family.documentation for family in families)


@pytest.mark.parametrize("path", ["/metrics", "/api/diagnostics/prometheus"])
def test_who_may_scrape(path: str) -> None:
    core = replace(FakeCore(), config=FakeCore().config)
    assert ask(core, path).status == 401
    assert ask(core, path, headers=bearer("wrong")).status == 401
    assert ask(core, path, "POST", headers=bearer("t0k")).status == 405
