import asyncio
import socket

import pytest

from gateway.serving.state import WAITERS_FOR_S, Waits


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
