import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.agent import notify
from gateway.agent.notify import Notifier
from tests.fakes.service_manager import WATCHDOGS, ServiceManager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    with ServiceManager(tmp_path / "notify") as manager:
        yield manager


def test_it_says_what_there_is_to_say_and_its_variables_are_gone(manager: ServiceManager) -> None:
    environ = {**manager.environ, "OTHER": "stays"}
    notifier = Notifier(environ)
    assert environ == {"OTHER": "stays"}
    notifier.ready("0 runs")
    notifier.status("1 run")
    notifier.watchdog()
    notifier.stopping("Ending 1 run")
    assert [manager.hear() for _ in range(4)] == [
        "READY=1\nSTATUS=0 runs",
        "STATUS=1 run",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=Ending 1 run",
    ]
    notifier.close()


@pytest.mark.parametrize(("change", "interval"), WATCHDOGS)
def test_the_watchdog_is_fed_three_times_in_its_time(
    manager: ServiceManager, change: dict[str, str], interval: float | None
) -> None:
    notifier = Notifier(manager.environ | change)
    assert notifier.watchdog_interval == interval
    notifier.close()


def test_without_a_manager_nothing_happens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier({})
    notifier.ready("x")
    assert notifier.watchdog_interval is None and not caplog.messages
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    notifier.ready("x")
    assert "cannot reach the service manager" in caplog.text


def test_a_manager_that_does_not_read_holds_up_only_what_it_must_hear(
    manager: ServiceManager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notify, "MUST_ARRIVE_S", 0.01)
    notifier = Notifier(manager.environ)
    for _ in range(10_000):  # more than any queue takes
        notifier.watchdog()
    assert not caplog.messages
    notifier.stopping("x")
    assert "did not take STOPPING=1: timed out" in caplog.text
    notifier.close()


def test_an_abstract_address_is_reached() -> None:
    with ServiceManager(f"@openclaw-agent-test-{os.getpid()}") as manager:
        notifier = Notifier(manager.environ)
        notifier.watchdog()
        assert manager.hear() == "WATCHDOG=1"
        notifier.close()
