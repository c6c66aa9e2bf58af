import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.handover.counters import count
from gateway.handover.verdict import Counters
from tests.tcp import descriptors, pair


def test_of_a_new_connection() -> None:
    with pair() as (ours, peer):
        assert count(ours.fileno()).established and count(peer.fileno()).established
        assert count(ours.fileno()).read == 0


def test_what_is_unread_is_not_counted_as_read() -> None:
    with pair() as (ours, peer):
        start = count(ours.fileno())
        peer.sendall(b"x" * 1000)
        assert count(ours.fileno()) == start
        ours.recv(300)
        assert count(ours.fileno()) == start._replace(read=start.read + 300)


def test_what_the_peer_has_not_read_is_counted_as_written() -> None:
    with pair() as (ours, peer):
        start = count(ours.fileno())
        ours.sendall(b"x" * 1000)
        assert count(ours.fileno()) == start._replace(written=start.written + 1000)
        peer.recv(1000)
        assert count(ours.fileno()) == start._replace(written=start.written + 1000)


def test_what_the_network_does_not_take_yet_is_counted_as_written() -> None:
    with pair(buffer=4096) as (ours, peer):
        start = count(ours.fileno())
        ours.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            while True:
                sent += ours.send(b"x" * 100_000)
        assert count(ours.fileno()).written == start.written + sent
        taken = 0
        peer.settimeout(5)
        while taken < sent:
            taken += len(peer.recv(100_000))
            assert count(ours.fileno()).written == start.written + sent


def test_the_counters_are_the_connections_and_not_the_descriptors() -> None:
    with pair() as (ours, peer):
        peer.sendall(b"x" * 10)
        ours.recv(4)
        before = count(ours.fileno())
        other = os.dup(ours.fileno())
        ours.close()
        assert count(other) == before
        assert os.read(other, 100) == b"x" * 6 and count(other).read == before.read + 6
        os.close(other)


@pytest.mark.parametrize("how", ["half-closed", "closed", "reset", "by us"])
def test_a_connection_that_either_side_has_closed_is_not_established(how: str) -> None:
    with pair() as (ours, peer):
        ours.sendall(b"unread")
        if how == "half-closed":
            peer.shutdown(socket.SHUT_WR)
        elif how == "closed":
            peer.recv(100)
            peer.close()
        elif how == "reset":
            peer.close()  # with something unread
        else:
            ours.shutdown(socket.SHUT_WR)
        assert not count(ours.fileno()).established


def test_what_is_no_tcp_connection_is_refused_and_nothing_is_closed() -> None:
    one, other = socket.socketpair()
    memfd = os.memfd_create("x")
    before = descriptors()
    for fd in (one.fileno(), memfd):
        with pytest.raises(OSError):
            count(fd)
    assert descriptors() == before
    os.close(memfd)
    one.close()
    other.close()


STEPS = st.lists(
    st.tuples(st.sampled_from(["ours sends", "ours reads", "peer sends", "peer reads"]), st.integers(1, 3000)),
    max_size=30,
)


@given(STEPS)
@settings(deadline=None)
def test_they_agree_with_what_was_read_and_written(steps: list[tuple[str, int]]) -> None:
    with pair(buffer=8192) as (ours, peer):
        ours.setblocking(False)
        peer.setblocking(False)
        start = count(ours.fileno())
        read = written = 0
        for what, size in steps:
            try:
                match what:
                    case "ours sends":
                        written += ours.send(b"x" * size)
                    case "ours reads":
                        read += len(ours.recv(size))
                    case "peer sends":
                        peer.send(b"x" * size)
                    case _:
                        peer.recv(size)
            except BlockingIOError:
                pass  # full, or empty: nothing has moved
            assert count(ours.fileno()) == Counters(start.read + read, start.written + written, True)
