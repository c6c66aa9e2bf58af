import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.agent import notify
from gateway.agent.notify import Notifier


class Manager:
    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(5)
        self.environ = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}

    def receive(self) -> str:
        return self.socket.recv(4096).decode()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.socket.close()


def test_it_says_what_there_is_to_say_and_its_variables_are_gone(manager: Manager) -> None:
    environ = {**manager.environ, "OTHER": "stays"}
    notifier = Notifier(environ)
    assert environ == {"OTHER": "stays"}
    notifier.ready("0 runs")
    notifier.status("1 run")
    notifier.watchdog()
    notifier.stopping("Ending 1 run")
    assert [manager.receive() for _ in range(4)] == [
        "READY=1\nSTATUS=0 runs",
        "STATUS=1 run",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=Ending 1 run",
    ]
    notifier.close()


@pytest.mark.parametrize(
    ("change", "interval"),
    [
        ({}, 1.0),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_PID": "me"}, None),
    ],
)
def test_the_watchdog_is_fed_three_times_in_its_time(
    manager: Manager, change: dict[str, str], interval: float | None
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
    manager: Manager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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
    name = f"openclaw-agent-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name)
        receiver.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": "@" + name})
        notifier.watchdog()
        assert receiver.recv(100) == b"WATCHDOG=1"
        notifier.close()
