import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from gateway.systemd import parcels as module
from gateway.systemd.fdstore import FdStore
from gateway.systemd.parcels import MOST_REMOVED, PARCEL, Parcel, Parcels, open_parcels
from tests.fakes import service_manager
from tests.fakes.service_manager import FakeNotifier


class KeptConnections:
    """systemd, and one process after another that keeps connections with it."""

    def __init__(self) -> None:
        self.store = service_manager.FdStore()
        self.parcels = Parcels(FdStore(FakeNotifier(self.store)))
        self.connections: list[tuple[socket.socket, socket.socket]] = []

    def connect(self, name: str) -> socket.socket:
        """The client's end of a new connection that is kept."""
        ours, theirs = socket.socketpair()
        self.connections.append((ours, theirs))
        self.parcels.put(name, ours.fileno())
        return theirs

    def ends(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for name, fd in self.store.fds:
            found.setdefault(name, []).append(os.dup(fd))
        return found

    def crash(self) -> dict[str, int]:
        """What the next process finds; the one before has closed all that it had."""
        for ours, _ in self.connections:
            ours.close()
        close(self.parcels)
        opened, held = open_parcels(self.ends(), duplicate=True)
        self.parcels = Parcels(FdStore(FakeNotifier(self.store)), opened)
        return held

    def close(self) -> None:
        for pair in self.connections:
            for end in pair:
                end.close()
        self.store.close()
        close(self.parcels)


def close(parcels: Parcels) -> None:
    for parcel in parcels._parcels:
        parcel.close()


@pytest.fixture
def world() -> Iterator[KeptConnections]:
    with closing(KeptConnections()) as made:
        yield made


def says(fd: int, client: socket.socket) -> bool:
    """The descriptor is the other end of the client's connection."""
    with socket.socket(fileno=fd) as ours:
        ours.send(b"x")
        return client.recv(9) == b"x"


def test_the_manager_has_two_descriptors_for_hundreds(world: KeptConnections) -> None:
    clients = {f"conn-{number}": world.connect(f"conn-{number}") for number in range(200)}
    assert len(world.store.fds) == world.parcels.stored == 2
    held = world.crash()
    assert held.keys() == clients.keys()
    assert all(says(fd, clients[name]) for name, fd in held.items())


def test_a_reader_that_dies_half_way_has_taken_nothing(world: KeptConnections) -> None:
    for number in range(5):
        world.connect(f"conn-{number}")
    ((name, ends),) = world.ends().items()
    reader = module.inherit_parcel(name, ends)
    looks = reader.peek(duplicate=True)
    for _ in range(3):
        os.close(next(looks)[1])
    reader.close()
    held = world.crash()
    assert sorted(held) == [f"conn-{number}" for number in range(5)]
    for fd in held.values():
        os.close(fd)


def test_one_that_is_full_is_followed_by_another(world: KeptConnections) -> None:
    names = {f"conn-{number}" for number in range(1000)}
    with socket.socket() as sock:
        for name in names:
            world.parcels.put(name, sock.fileno())
    assert 2 <= len(world.store.fds) < 30
    held = world.crash()
    assert held.keys() == names
    world.connect("conn-1000")
    world.parcels.remove("conn-7")
    for fd in (held | world.crash()).values():
        os.close(fd)
    assert "conn-1000" in world.parcels


def test_what_was_removed_does_not_stay_for_ever(world: KeptConnections) -> None:
    staying = world.connect("conn-0")
    for number in range(1, 10 * MOST_REMOVED):
        client = world.connect(name := f"conn-{number}")
        world.parcels.remove(name)
        for end in world.connections.pop():
            end.close()
        assert client.fileno() == -1
    held = world.crash()
    assert "conn-0" in held and len(held) <= MOST_REMOVED + 2
    assert says(held.pop("conn-0"), staying)
    for fd in held.values():
        os.close(fd)


def test_a_parcel_is_not_emptied_before_all_that_is_in_it_is_known(world: KeptConnections) -> None:
    for number in range(2 * MOST_REMOVED + 2):
        world.connect(f"conn-{number}")
    held = world.crash()
    before = world.store.names()
    for number in range(2 * MOST_REMOVED):
        world.parcels.remove(f"conn-{number}")
    assert world.store.names() == before
    for number in range(2 * MOST_REMOVED, 2 * MOST_REMOVED + 2):
        world.parcels.know(name := f"conn-{number}", held[name])
    world.parcels.remove(name)
    assert world.store.names() != before
    for fd in held.values():
        os.close(fd)
    assert list(found := world.crash()) == [f"conn-{2 * MOST_REMOVED}"]
    os.close(found.popitem()[1])


def test_one_that_is_there_twice_comes_once(world: KeptConnections) -> None:
    """A process may die after it has put a connection into another parcel, and before it has dropped the first."""
    client = world.connect("conn-1")
    world.parcels._last = None
    world.parcels.put("conn-1", world.connections[0][0].fileno())
    assert len(world.store.fds) == 4
    held = world.crash()
    assert list(held) == ["conn-1"] and sum(len(each.names) for each in world.parcels._parcels) == 1
    assert says(held["conn-1"], client)


def test_a_connection_that_was_given_up_ends_although_it_is_in_flight(world: KeptConnections) -> None:
    client, other = world.connect("conn-1"), world.connect("conn-2")
    opened, _ = open_parcels(world.ends(), duplicate=False)
    after = Parcels(FdStore(FakeNotifier(world.store)), opened)
    after.retain({"conn-2"})
    assert "conn-1" not in after and "conn-2" in after
    for ours, _ in world.connections:
        ours.close()
    after.shut_down_removed()
    assert client.recv(9) == b""
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.recv(9)
    close(after)


def test_where_no_more_may_be_in_flight_the_manager_has_each(
    world: KeptConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Parcel, name: str, fd: int) -> bool:
        raise OSError(109, "Too many references: cannot splice")

    monkeypatch.setattr(Parcel, "put", full)
    client = world.connect("conn-1")
    singles = [name for name in world.store.names() if not name.startswith(PARCEL)]
    assert singles == ["conn-1"] and world.parcels.stored == 3
    world.parcels.remove("conn-1")
    assert [name for name in world.store.names() if not name.startswith(PARCEL)] == []
    assert client.fileno() >= 0


def test_half_a_pair_is_read_and_not_written_to(world: KeptConnections) -> None:
    world.connect("conn-1")
    name, number = world.store.fds[0][0], 0
    opened, held = open_parcels({name: [os.dup(world.store.fds[1][1])]}, duplicate=True)
    after = Parcels(FdStore(FakeNotifier(world.store)), opened)
    assert list(held) == ["conn-1"]
    after.put("conn-2", world.connections[number][0].fileno())
    assert len({parcel.name for parcel in after._parcels}) == 2
    close(after)
    os.close(held["conn-1"])
