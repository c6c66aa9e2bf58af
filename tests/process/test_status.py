import asyncio

import pytest
from msgspec.structs import replace

from gateway.process import status
from gateway.process.status import status_line, tell_status
from gateway.report import ConfigReport, Issue, ReloadResult
from tests.fakes.report import make_report
from tests.fakes.service_manager import FakeNotifier
from tests.slack import LIMIT_S

REPORT = make_report(websockets=3, connections=5)


def test_status_says_address_clients_and_config() -> None:
    assert status_line(REPORT) == "Serving 127.0.0.1:18789, [::1]:18789 | 3 clients | config good"
    assert "1 client |" in status_line(replace(REPORT, websockets=1))


def test_status_says_what_the_last_reload_did() -> None:
    result = ReloadResult("hot", "applied without a restart: gateway.auth.token", at=1_000)
    line = status_line(replace(REPORT, config=replace(REPORT.config, last_reload=result)))
    assert line.endswith(": applied without a restart: gateway.auth.token") and "| reload " in line
    unchanged = replace(result, outcome="unchanged")
    assert "reload" not in status_line(replace(REPORT, config=replace(REPORT.config, last_reload=unchanged)))


def test_status_says_what_is_wrong_and_what_runs_instead() -> None:
    issues = (Issue("expected an integer", "gateway.port", "/c", 3, 5), Issue("another"))
    config = ConfigReport("/c", "degraded", "last-good", issues=issues)
    line = status_line(replace(REPORT, degraded=("config",), config=config))
    assert "DEGRADED config: /c:3:5: gateway.port: expected an integer (+1 more)" in line
    assert "running on the last known good one" in line


def test_status_of_a_missing_config() -> None:
    line = status_line(replace(REPORT, config=ConfigReport("/c", "missing", "defaults")))
    assert line.endswith("no config at /c, defaults")


def test_status_is_sent_when_it_changes_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "STATUS_EVERY_S", 0)
    manager = FakeNotifier()

    async def scene() -> None:
        wanted, reports = asyncio.Event(), [REPORT, REPORT, replace(REPORT, websockets=4)]
        task = asyncio.ensure_future(tell_status(manager, wanted, lambda: reports.pop(0)))
        async with asyncio.timeout(LIMIT_S):
            while reports:
                wanted.set()
                await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(scene())
    assert [line.split(" | ")[1] for line in manager.said] == ["3 clients", "4 clients"]
