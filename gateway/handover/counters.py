"""Reads the kernel's counters of a TCP connection: how much was read from it and written to it, by any process.

So the next process need not guess what the one before had done when it died: tcp(7), and `struct tcp_info` of
linux/tcp.h.
"""

import array
import fcntl
import socket
import struct
import termios

from gateway.handover.verdict import Counters

_INFO_BYTES = 136
_STATE = 0
_ACKED_AND_RECEIVED = struct.Struct("=QQ")
_ACKED_AT = 120
"""`tcpi_bytes_acked`, and behind it `tcpi_bytes_received`; Linux 4.1 and newer."""
_ESTABLISHED = 1


def count(fd: int) -> Counters:
    """Count a TCP connection. Raise OSError if `fd` is no TCP socket."""
    sock = socket.socket(fileno=fd)
    try:
        while True:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
            acked, received = _ACKED_AND_RECEIVED.unpack_from(info, _ACKED_AT)
            unread, unacked = _ioctl(fd, termios.FIONREAD), _ioctl(fd, termios.TIOCOUTQ)
            again = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
            if _ACKED_AND_RECEIVED.unpack_from(again, _ACKED_AT) == (acked, received):
                return Counters(received - unread, acked + unacked, info[_STATE] == _ESTABLISHED)
    finally:
        sock.detach()


def _ioctl(fd: int, request: int) -> int:
    number = array.array("i", [0])
    fcntl.ioctl(fd, request, number)
    return number[0]
