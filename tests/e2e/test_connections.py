"""Established connections outlive the process: the same TCP connection, the next seq, each request answered once.

PEERS and RESTARTS set how many clients there are, and how many restarts of each kind: `PEERS=300 RESTARTS=50` is a long
run. SEED sets their order.
"""

import os
import random
import time
from collections.abc import Iterable

import pytest

from tests.e2e.faults import RESTARTERS, cold
from tests.e2e.gateway import SERVICE, Gateway
from tests.e2e.load import Peers, load, peers
from tests.e2e.manager import until
from tests.effort import daily, share

PEERS = int(os.environ.get("PEERS", share(40, 20)))
RESTARTS = int(os.environ.get("RESTARTS", share(4, 2)))
SEED = int(os.environ.get("SEED", "1"))
SHARES = {"ours": 5, "library": 5, "pings": 5, "listens": 10, "pipelines": 5, "trickles": 5, "never_reads": share(2)}
"""How many of 40 clients are of each kind; the rest connect and disconnect."""
BEHIND = 1.0
"""Seconds after a crash in which a client may learn that its request is lost."""
Spans = list[tuple[float, float]]


def crowd() -> dict[str, int]:
    counts = {kind: max(1, share * PEERS // 40) for kind, share in SHARES.items()}
    return counts | {"speaks": 1, "comes_and_goes": max(1, PEERS - 1 - sum(counts.values()))}


def links(gateway: Gateway) -> set[str]:
    """The other end of each connection to the port, as the kernel has it."""
    out = gateway.manager.run("ss", "-tnH", "state", "established", "sport = :18789").stdout
    return {line.split()[3] for line in out.splitlines()}


def stored(gateway: Gateway) -> int:
    return int(*gateway.manager.ask(SERVICE, "NFileDescriptorStore"))


def assert_true_to_the_wire(found: Peers) -> None:
    """Nothing twice, nothing out of order, no request on an open connection without its answer."""
    for wrong in ("doubled", "strange", "open_losses", "failed"):
        assert found.all(wrong) == {}, wrong
    # Who does not read loses events, and sees it in the numbers.
    assert found.all("gaps", "never-reads") == {}


def assert_nobody_noticed(found: Peers) -> None:
    assert_true_to_the_wire(found)
    for sign in ("closes", "turned_away", "lost", "retryable"):
        assert found.all(sign) == {}, sign
    for kind, book in found.books.items():
        assert "shutdown" not in book["events"]
        assert set(book["goodbyes"]) == {"1000"}, kind


@pytest.mark.timeout(180 + 30 * RESTARTS)
@pytest.mark.parametrize("how", daily(["hot", "cold"], "hot"))
def test_planned_restart_is_not_noticed(unrationed: Gateway, how: str) -> None:
    counts = crowd()
    with peers(unrationed.manager, **counts) as found:
        before = links(unrationed)
        for _ in range(RESTARTS):
            RESTARTERS[how](unrationed)
        lasting = PEERS - counts["comes_and_goes"]
        after, restarts = links(unrationed), unrationed.report()["restarts"]
        assert len(before & after) >= lasting, restarts
        assert restarts["adopted"] >= RESTARTS * lasting
        # Those that come and go may leave while the gateway is away; that none of the others did, they say themselves.
        assert set(restarts["closed"]) <= {"gone"}
    assert_nobody_noticed(found)
    assert found["listens"]["events"]["presence"] > RESTARTS


@pytest.mark.serial
@pytest.mark.timeout(180 + 30 * RESTARTS)
def test_restarts_of_all_kinds_in_any_order(unrationed: Gateway) -> None:
    order = [*RESTARTERS] * RESTARTS
    chance = random.Random(SEED)
    chance.shuffle(order)
    crashes: Spans = []
    with peers(unrationed.manager, "--return", **crowd()) as found:
        before = links(unrationed)
        for kind in order:
            time.sleep(chance.random() * 0.3)
            begun = time.monotonic()
            RESTARTERS[kind](unrationed)
            if kind == "crash":
                crashes.append((begun, time.monotonic() + BEHIND))
            last = unrationed.report()["restarts"]["last"]
            print(f"{begun:.3f} {kind} {last}")
            assert kind == "crash" or set(last.get("closed", {})) <= {"gone"}, "by itself, that is"
        same = before & links(unrationed)
        restarts = unrationed.report()["restarts"]
    tell(found, restarts)
    assert {kind: restarts[kind] for kind in RESTARTERS} == dict.fromkeys(RESTARTERS, RESTARTS)
    assert_true_to_the_wire(found)
    assert len(same) >= found["listens"]["clients"]
    assert found["listens"]["closes"] == {}
    assert_closed_by(crashes, found)


def test_metrics_count_over_restarts(unrationed: Gateway) -> None:
    with peers(unrationed.manager, "--return", listens=5):
        for restart in RESTARTERS.values():
            restart(unrationed)
        metrics, restarts = unrationed.metrics(), unrationed.report()["restarts"]
        assert metrics["websockets",] == 5
    counted = {kind: metrics["restarts_total", kind] for kind in RESTARTERS}
    assert counted == {kind: restarts[kind] for kind in RESTARTERS} == {"hot": 1, "cold": 1, "crash": 1}
    assert metrics["websockets_adopted_total",] == restarts["adopted"] == 15
    assert metrics["longest_silence_seconds",] == pytest.approx(restarts["longest_silence_ms"] / 1000)
    assert metrics["ready",] == 1


def assert_closed_by(crashes: Spans, found: Peers) -> None:
    """Only a crash closes, and only with 1012; a request is lost only with its connection."""
    for kind, book in found.books.items():
        # Whoever the dead process had accepted and not let in is known to nobody.
        assert set(book["turned_away"]) <= {"1012", "1006"}, kind
        if kind == "never-reads":  # it learns of its end long afterwards; half a message may be the last that it gets
            assert set(book["closes"]) <= {"1012", "1006"}
            continue
        assert set(book["closes"]) <= {"1012"}, kind
        assert [end for end in book["ended"] if not within(end[0], crashes)] == [], kind
        assert book["lost"] == 0 or book["closes"], kind


def within(moment: float, spans: Iterable[tuple[float, float]]) -> bool:
    return any(begin <= moment <= end for begin, end in spans)


def tell(found: Peers, restarts: dict[str, object]) -> None:
    """For a long run with -s."""
    print({name: restarts[name] for name in (*RESTARTERS, "adopted", "closed", "longest_silence_ms")})
    for kind, book in found.books.items():
        print(kind, {name: value for name, value in book.items() if value and name not in ("slow", "ended", "kind")})


@pytest.mark.parametrize("how", daily(["hot", "cold"], "cold"))
def test_idle_http_connections_stay(unrationed: Gateway, how: str) -> None:
    workers = 8
    with load(unrationed.manager, "keepalive", workers=workers) as clients:
        before = links(unrationed)
        for _ in range(RESTARTS):
            RESTARTERS[how](unrationed)
        after = links(unrationed)
    assert clients.lost == {}
    assert (clients.outcomes.get("closed_idle", 0), clients.outcomes.get("closed_racing", 0)) == (0, 0)
    assert clients.outcomes["opened"] == workers
    assert len(before & after) >= workers


def test_two_restarts_at_once(unrationed: Gateway) -> None:
    counts = crowd()
    manager = unrationed.manager
    with peers(manager, **counts) as found:
        for _ in range(RESTARTS):
            asked = [
                manager.popen("systemctl", "--user", "restart", SERVICE),
                manager.popen("openclaw-gateway", "restart"),
                manager.popen("systemctl", "--user", "restart", SERVICE),
            ]
            assert [process.wait(timeout=30) for process in asked] == [0, 0, 0]
            unrationed.until_ready()
    assert_nobody_noticed(found)


def test_manager_reexecutes(gateway: Gateway) -> None:
    """What an upgrade of systemd does: the store goes over its re-exec, too."""
    with peers(gateway.manager, ours=3, listens=3, speaks=1) as found:
        before = links(gateway)
        gateway.manager.systemctl("daemon-reexec")
        until(lambda: gateway.state() == "active", "the manager again")
        cold(gateway)
        assert links(gateway) == before
    assert_nobody_noticed(found)
