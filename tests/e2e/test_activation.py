"""The port is there before the gateway, and the first connection starts it."""

import pytest

from tests.e2e.gateway import PORT, SERVICE, SOCKET, TOKEN, Gateway
from tests.e2e.load import load
from tests.e2e.manager import until

CURL_REFUSED = 7


def refused(gateway: Gateway) -> bool:
    return gateway.manager.run("curl", "-s", f"http://127.0.0.1:{PORT}/", check=False).returncode == CURL_REFUSED


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_first_connection_starts_the_service(installed: Gateway, host: str) -> None:
    installed.start()
    assert installed.manager.show(SOCKET, "SubState")["SubState"] == "listening"
    assert installed.state() == "inactive"
    answer = installed.get(host=host)
    assert (answer.status, answer.json()) == (200, {"ok": True, "status": "live"})
    assert installed.until_ready() == installed.report()["pid"]


def test_a_crowd_of_first_connections_is_answered(installed: Gateway) -> None:
    installed.start()
    with load(installed.manager, "fresh", workers=200, pace=0.5) as clients:
        pass
    assert clients.lost == {}
    assert clients.outcomes["ok"] >= 200


def test_first_websocket_starts_the_service(installed: Gateway) -> None:
    installed.start()
    with load(installed.manager, "ws", workers=4, token=TOKEN) as clients:
        pass
    assert clients.statuses == {"ok": clients.outcomes["ok"]}
    assert not clients.failures


def test_readiness(gateway: Gateway) -> None:
    answer = gateway.get("/readyz")
    assert (answer.status, answer.json()["ready"], answer.json()["failing"]) == (200, True, [])
    assert "127.0.0.1:18789" in gateway.manager.show(SERVICE, "StatusText")["StatusText"]


def test_status_names_the_owner_of_the_port(gateway: Gateway) -> None:
    report = gateway.report()
    assert gateway.command("status").returncode == 0
    assert report["port_owner"] == "systemd"
    assert set(report["listeners"]) == {"127.0.0.1:18789", "[::1]:18789"}
    assert report["unit"] == SERVICE


def test_service_stopped_alone_comes_back_with_the_next_connection(gateway: Gateway) -> None:
    before = gateway.pid()
    gateway.manager.systemctl("stop", SERVICE)
    assert gateway.state() == "inactive"
    assert gateway.get().status == 200
    assert gateway.until_ready(other_than=before)


def test_stop_closes_the_port_and_start_opens_it(gateway: Gateway) -> None:
    gateway.command("stop")
    assert (gateway.state(SOCKET), gateway.state()) == ("inactive", "inactive")
    assert refused(gateway)
    gateway.command("start")
    assert gateway.get().status == 200


def test_manager_reexecutes_without_a_loss(gateway: Gateway) -> None:
    """What an upgrade of systemd does: the manager carries the listeners and our descriptors over its own re-exec."""
    with load(gateway.manager, "fresh") as clients:
        gateway.manager.systemctl("daemon-reexec")
        until(lambda: gateway.state() == "active", "the manager again")
        gateway.manager.systemctl("restart", SERVICE)
    assert clients.lost == {}


def test_comes_back_when_the_user_manager_boots_again(gateway: Gateway) -> None:
    gateway.manager.stop()
    gateway.manager.start()
    assert gateway.state(SOCKET) == "active"
    assert gateway.get().status == 200
