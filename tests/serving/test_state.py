import asyncio
import logging
import socket

import pytest

from gateway.serving.state import WAITERS_FOR_S, Admission, Waits, canonical


def test_places_are_counted_by_address() -> None:
    admission = Admission()
    assert admission.admit("a", 2) and admission.admit("a", 2)
    assert not admission.admit("a", 2)
    assert admission.admit("b", 2)
    admission.release("a")
    assert admission.admit("a", 2)
    assert (admission.held("a"), admission.held("b"), admission.held("c")) == (2, 1, 0)


def test_the_bound_is_said_once_until_the_address_has_gone(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("gateway"), "propagate", True)
    admission = Admission()
    for _ in range(2):
        admission.admit("a", 1)
        for _ in range(5):
            assert not admission.admit("a", 1)
        admission.release("a")
    assert len(caplog.records) == 2


def test_an_address_that_left_costs_nothing() -> None:
    admission = Admission()
    for n in range(100):
        admission.admit(f"10.0.0.{n}", 1)
        admission.release(f"10.0.0.{n}")
    assert not admission._held


@pytest.mark.parametrize(
    ("host", "same"),
    [
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("not an address", "not an address"),
    ],
)
def test_one_client_has_one_address(host: str, same: str) -> None:
    assert canonical(host) == same


class Transport(asyncio.BaseTransport):
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.sock


def test_the_wait_in_the_queue_is_the_kernels_own_measure() -> None:
    """A real connection that really waits: the only way to see tcp_info's field move."""
    waits = Waits()
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        wait_ms(60)
        accepted, _ = listener.accept()
        waits.begin(now=0.0)
        waits.observe(Transport(accepted), now=0.1)
        accepted.close()
    assert waits.queued == 1
    assert 40 <= waits.longest_ms < 5000


def wait_ms(milliseconds: int) -> None:
    one, two = socket.socketpair()
    one.settimeout(milliseconds / 1000)
    with one, two, pytest.raises(TimeoutError):
        one.recv(1)


def test_later_connections_have_not_waited_for_the_start() -> None:
    waits = Waits()
    waits.begin(now=0.0)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        waits.observe(Transport(accepted), now=WAITERS_FOR_S + 0.1)
        accepted.close()
    assert waits.queued == 0
