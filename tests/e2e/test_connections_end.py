"""Connections that do not go on: after a stop, of clients that leave or are not let in any more, or kept by nobody."""

import json
import signal
import time

import pytest

from tests.e2e.faults import cold, hot
from tests.e2e.gateway import SERVICE, SOCKET, TOKEN, Gateway
from tests.e2e.load import Peers, peers
from tests.e2e.manager import UserManager, until
from tests.e2e.test_connections import assert_nobody_noticed, assert_true_to_the_wire, links, stored
from tests.effort import daily

CROWD = {"ours": 3, "library": 3, "pings": 3, "listens": 3, "trickles": 3, "pipelines": 3}
AWAY_S = 1
AWAY = f"[Service]\nExecStartPre=/bin/sleep {AWAY_S}\n"
NO_STORE = "[Service]\nFileDescriptorStoreMax=0\n"
OURS = 2
"""Descriptors of the store that are no client's: the record and the ledger."""
PARCEL = 2
"""Those of the parcel in which a crowd is."""


def assert_told_of_the_end(found: Peers) -> None:
    """The event first, then the close frame."""
    assert_true_to_the_wire(found)
    for kind, book in found.books.items():
        assert book["closes"] == {"1012": book["clients"]}, kind
        assert book["events"]["shutdown"] == book["clients"], kind


@pytest.mark.parametrize(
    "command",
    [
        ["systemctl", "--user", "stop", SERVICE],
        ["systemctl", "--user", "stop", SOCKET, SERVICE],
        ["openclaw-gateway", "stop"],
    ],
)
def test_stop_closes_everybody_and_leaves_nothing(gateway: Gateway, command: list[str]) -> None:
    with peers(gateway.manager, **CROWD) as found:
        assert stored(gateway) == OURS + PARCEL and links(gateway)
        gateway.manager.run(*command)
        assert (gateway.state(), stored(gateway)) == ("inactive", 0)
        assert links(gateway) == set()
        still = gateway.manager.run("ss", "-tnaH", "sport = :18789").stdout
        # Ended by us; a client that does not read is slow to notice.
        assert {line.split()[0] for line in still.splitlines()} <= {"LISTEN", "TIME-WAIT", "FIN-WAIT-1", "FIN-WAIT-2"}
    assert_told_of_the_end(found)
    assert gateway.manager.show(SERVICE, "Result")["Result"] == "success"


@pytest.fixture
def slow(gateway: Gateway) -> Gateway:
    """A gateway that is away for a while in each restart."""
    gateway.drop_in(SERVICE, AWAY)  # now: its own start need not be slow
    return gateway


def begin(gateway: Gateway, how: str) -> int:
    """Begins a restart; returns the pid that is gone."""
    pid = gateway.pid()
    if how == "crash":
        gateway.kill()
    else:
        gateway.manager.systemctl("--no-block", "restart", SERVICE)
    until(lambda: gateway.manager.ask(SERVICE, "ControlPID") != [0], "a gateway that is away")
    return pid


@pytest.mark.parametrize("how", daily(["cold", "crash"], "crash"))
def test_client_that_is_gone_before_the_gateway_is_back(slow: Gateway, how: str) -> None:
    with peers(slow.manager, ours=3, listens=3, pace=5) as staying:
        with peers(slow.manager, listens=5) as leaving:
            pid = begin(slow, how)
            leaving.process.kill()
            leaving.books = {"listens": {}}
            slow.until_ready(other_than=pid)
        report = slow.report()
        assert report["restarts"]["last"]["closed"] == {"gone": 5}
        assert report["websockets"] == 6
        until(lambda: stored(slow) == OURS + PARCEL, "a store without those who are gone")
    assert_true_to_the_wire(staying)
    assert staying.all("closes") == {}


@pytest.mark.parametrize("how", daily(["cold", "crash"], "cold"))
def test_client_that_says_goodbye_while_the_gateway_is_away(slow: Gateway, how: str) -> None:
    """The successor reads it, and answers."""
    with peers(slow.manager, ours=3, listens=5, pace=5) as leaving:
        pid = begin(slow, how)
        leaving.end()
        slow.until_ready(other_than=pid)
    assert (leaving["listens"]["goodbyes"], leaving["ours"]["closes"]) == ({"1000": 5}, {})
    until(lambda: stored(slow) == OURS, "a store without those who have left")
    assert links(slow) == set()


@pytest.mark.parametrize("how", daily(["cold", "crash"], "cold"))
def test_secret_that_changes_while_the_gateway_is_away(slow: Gateway, how: str) -> None:
    with peers(slow.manager, ours=3, listens=3, library=3, pace=5) as found:
        pid = begin(slow, how)
        slow.configure(json.dumps({"gateway": {"auth": {"token": f"{TOKEN}-changed"}}}))
        slow.until_ready(other_than=pid)
        until(lambda: not links(slow), "nobody connected")
        assert slow.report()["restarts"]["last"]["closed"] == {"auth": 9}
    assert found.all("closes") == {kind: {"1008": 3} for kind in ("ours", "listens", "library")}
    assert stored(slow) == OURS


def test_secret_that_changes_over_a_hot_restart(gateway: Gateway) -> None:
    """The config is read by the new image only: reloading is off."""
    config = {"gateway": {"auth": {"token": TOKEN}, "reload": {"mode": "off"}}}
    gateway.configure(json.dumps(config))
    cold(gateway)
    with peers(gateway.manager, listens=3) as found:
        config["gateway"]["auth"] = {"token": f"{TOKEN}-changed"}
        gateway.configure(json.dumps(config))
        hot(gateway)
        until(lambda: not links(gateway), "nobody connected")
    assert found["listens"]["closes"] == {"1008": 3}


# -- a unit without a store, and no unit -------------------------------------------------------------------------------


@pytest.fixture
def storeless(installed: Gateway) -> Gateway:
    installed.drop_in(SERVICE, NO_STORE)
    installed.manager.systemctl("start", SERVICE)
    until(lambda: "listening on" in "".join(installed.manager.messages(SERVICE)), "a gateway")
    time.sleep(1)  # in which it asks for the size of the store
    return installed


def test_without_a_store_a_cold_restart_says_so_to_everybody(storeless: Gateway) -> None:
    with peers(storeless.manager, **CROWD) as found:
        cold(storeless)
        assert links(storeless) == set()
    assert_told_of_the_end(found)


def test_without_a_store_a_hot_restart_keeps_everybody(storeless: Gateway) -> None:
    with peers(storeless.manager, **CROWD) as found:
        before = links(storeless)
        hot(storeless)
        assert len(before & links(storeless)) == sum(CROWD.values())
    assert_nobody_noticed(found)


def test_in_the_foreground(manager: UserManager) -> None:
    """Without systemd: a hot restart keeps everybody, and Ctrl-C says goodbye."""
    gateway = Gateway(manager)
    gateway.configure()
    process = manager.popen("openclaw-gateway", "run")
    until(gateway.runs, "a gateway in the foreground")
    with peers(manager, **CROWD) as found:
        before = links(gateway)
        for _ in range(3):
            hot(gateway)
        assert len(before & links(gateway)) == sum(CROWD.values())
    assert_nobody_noticed(found)
    with peers(manager, **CROWD) as found:
        hot(gateway)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        assert links(gateway) == set()
    assert_told_of_the_end(found)
