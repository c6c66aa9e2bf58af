import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.systemd import notify
from gateway.systemd.notify import Notifier, feed_watchdog
from tests.fakes.service_manager import WATCHDOGS, FakeNotifier, ServiceManager
from tests.slack import LIMIT_S


@pytest.fixture
def notifier(manager: ServiceManager) -> Iterator[Notifier]:
    notifier = Notifier(dict(manager.environ))
    yield notifier
    notifier.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    with ServiceManager(tmp_path / "notify") as manager:
        yield manager


def test_the_variables_are_taken_out_and_kept_for_the_next_image(manager: ServiceManager) -> None:
    environ = dict(manager.environ)
    notifier = Notifier(environ)
    assert environ == {} and notifier.environment() == manager.environ
    notifier.close()


def test_ready_carries_its_status_on_one_line(manager: ServiceManager, notifier: Notifier) -> None:
    notifier.ready("two\nlines  READY=0")
    assert manager.receive()[0] == {"READY": "1", "STATUS": "two lines READY=0"}


def test_reloading_carries_the_monotonic_clock(manager: ServiceManager, notifier: Notifier) -> None:
    notifier.reloading()
    message, _ = manager.receive()
    assert message["RELOADING"] == "1" and int(message["MONOTONIC_USEC"]) > 0


def test_stopping_status_and_watchdog(manager: ServiceManager, notifier: Notifier) -> None:
    notifier.stopping("bye")
    notifier.status("busy")
    notifier.watchdog()
    assert [manager.receive()[0] for _ in range(3)] == [
        {"STOPPING": "1", "STATUS": "bye"},
        {"STATUS": "busy"},
        {"WATCHDOG": "1"},
    ]


def test_a_descriptor_is_stored_under_its_name(manager: ServiceManager, notifier: Notifier) -> None:
    memfd = os.memfd_create("x")
    os.write(memfd, b"kept")
    notifier.store("record", memfd)
    message, fds = manager.receive()
    assert message == {"FDSTORE": "1", "FDNAME": "record"}
    assert os.pread(fds[0], 10, 0) == b"kept"
    os.close(memfd)
    os.close(fds[0])


@pytest.mark.parametrize(("change", "interval"), WATCHDOGS)
def test_the_watchdog_is_fed_three_times_in_its_time(
    manager: ServiceManager, change: dict[str, str], interval: float | None
) -> None:
    notifier = Notifier(manager.environ | change)
    assert notifier.watchdog_interval == interval
    notifier.close()


def test_without_a_manager_nothing_happens() -> None:
    notifier = Notifier({})
    notifier.ready("x")
    notifier.watchdog()
    assert not notifier.connected and notifier.watchdog_interval is None and notifier.environment() == {}


def test_a_manager_that_is_gone_is_no_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    notifier.ready("x")
    assert not notifier.connected and "cannot reach the service manager" in caplog.text


def test_a_manager_that_does_not_read_does_not_hold_up_the_loop(manager: ServiceManager, notifier: Notifier) -> None:
    for _ in range(10_000):  # more than any queue takes
        notifier.watchdog()
    assert manager.receive()[0] == {"WATCHDOG": "1"}


def test_an_abstract_address_is_reached() -> None:
    with ServiceManager(f"@openclaw-gateway-test-{os.getpid()}") as manager:
        notifier = Notifier(manager.environ)
        notifier.watchdog()
        assert manager.hear() == "WATCHDOG=1"
        notifier.close()


@pytest.mark.process
def test_children_cannot_speak_for_the_service(manager: ServiceManager) -> None:
    program = (
        "import os, subprocess\nfrom gateway.systemd.notify import Notifier\nNotifier(os.environ)\n"
        "print(subprocess.run(['env'], capture_output=True, text=True).stdout)"
    )
    environ = {**os.environ, **manager.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=30)
    assert "NOTIFY_SOCKET" not in done.stdout and "WATCHDOG" not in done.stdout and done.returncode == 0


def test_a_descriptor_is_forgotten_by_its_name(manager: ServiceManager, notifier: Notifier) -> None:
    assert notifier.remove("conn-7") and notifier.try_remove("conn-8")
    assert [manager.receive() for _ in range(2)] == [
        ({"FDSTOREREMOVE": "1", "FDNAME": "conn-7"}, []),
        ({"FDSTOREREMOVE": "1", "FDNAME": "conn-8"}, []),
    ]


def test_a_manager_without_room_is_not_waited_for_unless_it_must_hear(
    manager: ServiceManager, notifier: Notifier, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notify, "MUST_ARRIVE_S", 0.01)
    memfd = os.memfd_create("x")
    while notifier.try_store("conn-1", memfd):
        pass
    assert not notifier.try_remove("conn-1") and caplog.text == ""
    assert not notifier.store("conn-1", memfd) and not notifier.remove("conn-1")
    assert "did not take FDSTORE=1: timed out" in caplog.text
    for fd in manager.receive()[1]:
        os.close(fd)
    assert notifier.try_store("conn-1", memfd)
    os.close(memfd)


def test_a_descriptor_that_cannot_be_passed_does_not_come_again(
    notifier: Notifier, caplog: pytest.LogCaptureFixture
) -> None:
    memfd = os.memfd_create("x")
    os.close(memfd)
    assert notifier.try_store("conn-1", memfd) and notifier.store("conn-1", memfd)
    assert caplog.text.count("did not take FDSTORE=1: [Errno 9]") == 2


def test_the_watchdog_is_fed_again_and_again() -> None:
    manager = FakeNotifier(watchdog_interval=0.001)

    async def scene() -> None:
        feeding = asyncio.ensure_future(feed_watchdog(manager))
        async with asyncio.timeout(LIMIT_S):
            while len(manager.said) < 3:
                await asyncio.sleep(0.001)
        feeding.cancel()

    asyncio.run(scene())
    assert set(manager.said) == {"WATCHDOG"}


def test_nobody_watches_nobody_is_fed() -> None:
    manager = FakeNotifier()
    asyncio.run(feed_watchdog(manager))
    assert manager.said == []
