"""Two ends of a TCP connection over loopback: whatever one sends, the other can read at once."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager


def connected(buffer: int | None = None) -> tuple[socket.socket, socket.socket]:
    """Our end and the peer's. `buffer`: bytes that the kernel holds in each direction, about."""
    with socket.socket() as listener:
        if buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        peer = socket.socket()
        if buffer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        peer.connect(listener.getsockname())
        ours, _ = listener.accept()
    for sock in (ours, peer):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, peer


@contextmanager
def pair(buffer: int | None = None) -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, peer = connected(buffer)
    with ours, peer:
        yield ours, peer


def descriptors() -> int:
    """Open ones of this process."""
    return len(os.listdir("/proc/self/fd"))
