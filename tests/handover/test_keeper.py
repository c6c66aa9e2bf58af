import asyncio
import gc
import os
from collections.abc import Callable, Iterator

import msgspec
import pytest
from msgspec.structs import replace

from gateway.handover import keeper as module
from gateway.handover.handoff import MAX_BYTES, Handoff, PendingAnswer, read_handoff
from gateway.handover.keeper import ClientRecord, Keeper
from gateway.handover.ledger import MAX_CLIENT_BYTES, SLOTS, Entry, Ledger
from gateway.handover.verdict import InFlight
from gateway.hub.connection import Connection
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.closing import Close
from gateway.protocol.peer import ClientInfo, Peer
from gateway.systemd.descriptors import Inherited
from gateway.systemd.notify import Notifier
from gateway.systemd.parcels import PARCEL, Parcel
from tests.carrier import FakeCarrier
from tests.fakes.service_manager import FakeNotifier, FdStore, stored

NOTHING = os.open("/dev/null", os.O_RDONLY)
"""Nobody looks into what is passed on."""
POLICY = AuthPolicy("token", token="s3cret", generation=1)
PEER = Peer(4, "operator", ("operator.admin",), ClientInfo("cli", "1", "linux", "backend"), auth_mode="token")


class Carrier(FakeCarrier):
    """A connection that tells what it is told, and has so much under way."""

    def __init__(self, rest: InFlight | None = None) -> None:
        super().__init__()
        self.rest = rest
        self.fd = NOTHING
        self.keepable = True
        self.uncounted = False
        self.reading = True
        self.dropped = False
        self.release: Callable[[], None] | None = None

    def record_points(self, entry: Entry, seq: Callable[[], int | None], release: Callable[[], None]) -> None:
        if self.uncounted:
            raise OSError(95, "Operation not supported")
        self.release = release

    def stop_reading(self) -> None:
        self.reading = False

    def in_flight(self, seq: int, queued: list[bytes]) -> InFlight | None:
        return self.rest

    def drop(self) -> None:
        self.dropped = True
        assert self.release is not None
        self.release()


@pytest.fixture(autouse=True)
def closed_parcels() -> Iterator[None]:
    yield
    for each in gc.get_objects():
        if type(each) is Parcel:
            each.close()
    gc.collect()  # others count descriptors


@pytest.fixture
def store() -> Iterator[FdStore]:
    made = FdStore()
    yield made
    made.close()


@pytest.fixture
def keeper(store: FdStore) -> Iterator[Keeper]:
    made = Keeper(FakeNotifier(store), Inherited())
    yield made
    made.ledger.close()


def client(number: int, carrier: Carrier, peer: Peer = PEER) -> Connection:
    async def made() -> Connection:
        connection = Connection(f"client-{number}", "r", carrier)
        connection.greet(peer, 123)
        return connection

    return asyncio.run(made())


def kept(keeper: Keeper, number: int = 0, rest: InFlight | None = None) -> tuple[Connection, Carrier]:
    carrier = Carrier(rest)
    connection = client(number, carrier)
    keeper.register(connection, carrier, POLICY)
    return connection, carrier


def known(passed: list[tuple[str, int]]) -> list[str]:
    return sorted(name for name, _ in passed if not name.startswith(PARCEL))


def entries(keeper: Keeper) -> int:
    return len(list(keeper.ledger.inherited()))


def test_a_client_is_kept_until_it_is_forgotten(keeper: Keeper, store: FdStore) -> None:
    connection, carrier = kept(keeper)
    assert connection.kept and stored(store, keeper._parcels) == ["conn-1", "ledger"]
    (found,) = keeper.ledger.inherited()
    who = msgspec.json.decode(found.client, type=ClientRecord)
    assert (who.id, who.peer, who.since_ms) == ("client-0", PEER, 123)
    assert b"s3cret" not in found.client
    assert carrier.release is not None
    carrier.release()
    assert not connection.kept and stored(store, keeper._parcels) == ["ledger"] and not entries(keeper)


def test_what_the_kernel_does_not_count_is_served_and_not_kept(
    keeper: Keeper, store: FdStore, caplog: pytest.LogCaptureFixture
) -> None:
    carrier = Carrier()
    carrier.uncounted = True
    connection = client(1, carrier)
    keeper.register(connection, carrier, POLICY)
    assert (
        not connection.kept
        and stored(store, keeper._parcels) == ["ledger"]
        and not entries(keeper)
        and not carrier.dropped
    )
    assert "client-1 cannot be kept" in caplog.text


def test_what_is_no_tcp_connection_or_ends_is_not_kept(keeper: Keeper, store: FdStore) -> None:
    carrier = Carrier()
    carrier.keepable = False
    connection = client(1, carrier)
    keeper.register(connection, carrier, POLICY)
    assert not connection.kept and stored(store, keeper._parcels) == ["ledger"] and not entries(keeper)


def test_one_that_ends_before_it_is_resumed_leaves_nothing(keeper: Keeper, store: FdStore) -> None:
    carrier = Carrier()
    connection = client(1, carrier)
    entry = keeper.ledger.add(b"{}")
    assert entry is not None
    store.put("conn-1", carrier.fd)
    carrier.keepable = False
    keeper.register_inherited(connection, carrier, entry)
    assert not connection.kept and stored(store, keeper._parcels) == ["ledger"] and not entries(keeper)


def test_more_than_there_is_room_for_are_served_and_not_kept(
    keeper: Keeper, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper.ledger, "_untouched", keeper.ledger._untouched[:2])
    connections = [kept(keeper, number)[0] for number in range(4)]
    assert [each.kept for each in connections] == [True, True, False, False]
    assert caplog.text.count("no more connections can be kept") == 1


def test_who_says_too_much_of_itself_is_not_kept(keeper: Keeper) -> None:
    for length, fits in ((200, True), (MAX_CLIENT_BYTES, False)):
        carrier = Carrier()
        peer = replace(PEER, caps=("c" * length,))
        connection = client(length, carrier, peer)
        keeper.register(connection, carrier, POLICY)
        assert connection.kept is fits


def test_a_secret_is_known_by_its_fingerprint_alone(keeper: Keeper) -> None:
    kept(keeper)
    (found,) = keeper.ledger.inherited()
    who = msgspec.json.decode(found.client, type=ClientRecord)
    assert keeper.knows_secret(who, POLICY)
    assert keeper.knows_secret(who, AuthPolicy("token", token="s3cret", password="other", generation=9))
    for other in (AuthPolicy("token", token="x"), AuthPolicy("password", password="s3cret"), AuthPolicy("none")):
        assert not keeper.knows_secret(who, other)
    stranger = Keeper(Notifier({}), Inherited())
    assert not stranger.knows_secret(who, POLICY), "each ledger has a key of its own"


def test_leaving_passes_everything_on(keeper: Keeper, store: FdStore) -> None:
    held = InFlight(1, 2, 3, b"tail", b"unsent")
    _, resting = kept(keeper, 0)
    _, busy = kept(keeper, 1, held)
    keeper.stop_reading()
    assert not resting.reading and not busy.reading
    passed = keeper.hand_off(5.0, {"http-0": NOTHING})
    assert known(passed) == stored(store, keeper._parcels) == ["conn-1", "conn-2", "http-0", "ledger", "parting"]
    assert read_handoff(dict(passed)["parting"]) == Handoff(5.0, {2: held})
    assert not resting.dropped and not busy.dropped


@pytest.mark.parametrize("why", ["closing", "ending", "asking"])
def test_who_is_being_closed_or_unanswered_is_dropped_at_leaving(keeper: Keeper, store: FdStore, why: str) -> None:
    async def scene() -> None:
        connection, carrier = Connection("a", "r", Carrier()), Carrier()
        connection.greet(PEER, 0)
        keeper.register(connection, carrier, POLICY)
        task = asyncio.ensure_future(asyncio.sleep(60, "answer"))
        if why == "closing":
            connection.outbox.finish(Close(1008, "go"))
        elif why == "ending":
            carrier.keepable = False
        else:
            connection.requests["r1"] = task
        passed = keeper.hand_off(5.0, {})
        assert carrier.dropped and known(passed) == stored(store, keeper._parcels) == ["ledger", "parting"]
        assert not entries(keeper)
        task.cancel()

    asyncio.run(scene())


def test_what_is_under_way_has_a_bound(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    carriers = [
        kept(keeper, number, InFlight(0, 0, 0, b"t" * tail, b"u" * unsent))[1]
        for number, (tail, unsent) in enumerate([(50, 10), (41, 0), (20, 20), (0, 1)])
    ]
    kept(keeper, 9)
    passed = dict(keeper.hand_off(5.0, {}))
    assert [each.dropped for each in carriers] == [False, True, False, True]
    said = read_handoff(passed["parting"])
    assert said is not None and set(said.held) == {1, 3} and "conn-5" in passed
    assert MAX_BYTES == 64 * 1024 * 1024


def test_no_memory_at_leaving_costs_only_those_with_something_under_way(
    keeper: Keeper, store: FdStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, resting = kept(keeper, 0)
    _, busy = kept(keeper, 1, InFlight(1, 2, 3, b"tail", b""))

    def full(said: Handoff) -> int:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(module, "write_handoff", full)
    passed = keeper.hand_off(5.0, {"http-0": 0})
    assert known(passed) == stored(store, keeper._parcels) == ["conn-1", "ledger"]
    assert busy.dropped and not resting.dropped and "1 clients cannot be passed on" in caplog.text


def test_http_connections_get_the_room_that_is_left(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOTS", 5)
    for number in range(2):
        kept(keeper, number)
    names = known(keeper.hand_off(5.0, {f"http-{number}": 0 for number in range(9)}))
    assert names == ["conn-1", "conn-2", "http-0", "http-1", "http-2", "ledger", "parting"]


def answer(size: int) -> PendingAnswer:
    return PendingAnswer("/v1/x", b"s" * (size - size // 2), True, True, b"u" * (size // 2))


def test_answers_go_with_their_connections_as_far_as_there_is_room(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    kept(keeper, 0, InFlight(0, 0, 0, b"t" * 40, b""))
    answers = {"http-0": answer(50), "http-1": answer(11), "http-2": answer(10)}
    passed = dict(keeper.hand_off(5.0, dict.fromkeys(["http-0", "http-1", "http-2", "http-3"], 0), answers))
    assert sorted(name for name in passed if name.startswith("http")) == ["http-0", "http-2", "http-3"]
    said = read_handoff(passed["parting"])
    assert said is not None and sorted(said.answers) == ["http-0", "http-2"]


# -- coming ------------------------------------------------------------------------------------------------------------


def test_a_successor_finds_them_with_what_was_said(keeper: Keeper, store: FdStore) -> None:
    held = InFlight(1, 2, 3, b"tail", b"")
    kept(keeper, 0)
    kept(keeper, 1, held)
    keeper.hand_off(5.0, {"http-0": NOTHING, "http-1": NOTHING}, {"http-0": answer(9)})
    after = Keeper(FakeNotifier(store), store.inherited())
    assert after.handoff is not None and after.handoff.left_at == 5.0
    assert [(left.found is not None, left.in_flight) for left in after.take_websockets()] == [
        (True, None),
        (True, held),
    ]
    assert after.take_websockets() == [] and after.gone == 0
    assert sorted(after.inherited.http) == ["http-0", "http-1"]
    taken = {name: left for (_, left), name in zip(after.take_http(), after.inherited.http, strict=True)}
    assert taken == {"http-0": answer(9), "http-1": None} and after.handoff.answers == {}
    assert stored(store, after._parcels) == ["conn-1", "conn-2", "ledger"]
    assert kept(after, 7)[0].kept and stored(store, after._parcels)[-2:] == ["conn-3", "ledger"]


def test_idle_http_connections_of_one_that_died_are_closed(keeper: Keeper, store: FdStore) -> None:
    """It may have read half a request from them, or have sent half an answer."""
    keeper.hand_off(5.0, {"http-0": NOTHING})
    taken, dying = store.inherited(), store.inherited()
    read_handoff(taken.others["parting"])
    after = Keeper(FakeNotifier(store), dying)
    assert after.handoff is None and list(after.take_http()) == []
    with pytest.raises(OSError):
        os.fstat(dying.http["http-0"])
    assert stored(store, after._parcels) == ["ledger"]


def test_entries_whose_connection_did_not_come_are_freed_even_if_nobody_else_came(
    keeper: Keeper, store: FdStore
) -> None:
    for number in range(3):
        kept(keeper, number)
    keeper._parcels.release()
    after = Keeper(FakeNotifier(store), store.inherited())
    assert after.gone == 3 and not entries(after) and len(after.ledger._free) + len(after.ledger._untouched) == SLOTS


def test_a_newcomer_is_not_taken_for_one_that_was_left(keeper: Keeper, store: FdStore) -> None:
    """It may be served before the predecessor's connections are looked at."""
    kept(keeper)
    after = Keeper(FakeNotifier(store), store.inherited())
    newcomer, _ = kept(after, 1)
    assert len(after.take_websockets()) == 1 and newcomer.kept and entries(after) == 2


def test_connections_in_no_ledger_are_taken_out_of_the_store(
    store: FdStore, keeper: Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    held = InFlight(1, 2, 3, b"", b"unsent")
    kept(keeper, 0, held)
    kept(keeper, 1)
    keeper.hand_off(5.0, {})
    keeper.ledger.memory[8] = 99
    after = Keeper(FakeNotifier(store), store.inherited())
    assert [(left.found, left.in_flight) for left in after.take_websockets()] == [(None, held), (None, None)]
    assert "version 99" in caplog.text and stored(store, after._parcels) == ["ledger"]
    Ledger(dict(store.fds)["ledger"])  # the new one


def test_without_a_manager_only_an_exec_passes_them_on() -> None:
    keeper = Keeper(Notifier({}), Inherited())
    connection, _ = kept(keeper)
    assert connection.kept
    assert [name for name, _ in keeper.hand_off(5.0, {})] == ["ledger", "parting", "conn-1"]
