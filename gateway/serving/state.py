"""What all connections of one process share: bounds, admission by address, how long newcomers had waited."""

import asyncio
import ipaddress
import logging
import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache

from uvicorn.server import ServerState

from gateway.config.schema import Limits

# struct tcp_info (linux/tcp.h): eight bytes of flags, then 32-bit counters; this is tcpi_last_data_recv, in ms.
_LAST_DATA_RECV = struct.Struct("=I")
_LAST_DATA_RECV_AT = 52
log = logging.getLogger("gateway.http")

WAITERS_FOR_S = 2.0
"""Connections accepted this soon after the start may have waited for it; later ones have not."""


class GatewayState(ServerState):
    """uvicorn's shared state, with ours."""

    def __init__(self, limits: Callable[[], Limits], apis: Mapping[str, int] = {}) -> None:
        super().__init__()
        self.limits = limits
        """Read for each new connection, so that a changed limit needs no restart."""
        self.apis = apis
        """Paths of APIs, each with the bytes that a body may have there. What is refused there is so in JSON."""
        self.leaving = False
        """Once true, each response is the last on its connection."""
        self.carry = False
        """Once true, whoever is idle stays connected for the next process."""
        self.admission = Admission()
        self.waits = Waits()


class Admission:
    """Counts the connections of each address that have not authenticated yet."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._full: set[str] = set()
        """Addresses of which the log knows that they are at the bound."""

    def admit(self, address: str, most: int) -> bool:
        """Take a place. If True, you must `release` it when the connection authenticates or closes."""
        if self._held[address] >= most:
            if address not in self._full:
                self._full.add(address)
                log.warning("%s holds %d connections without having authenticated; further ones get 503", address, most)
            return False
        self._held[address] += 1
        return True

    def release(self, address: str) -> None:
        self._held[address] -= 1
        if not self._held[address]:
            del self._held[address]
            self._full.discard(address)

    def held(self, address: str) -> int:
        return self._held.get(address, 0)


@lru_cache(maxsize=1024)
def canonical(host: str) -> str:
    """The address itself: a v4 client that came through a v6 listener is the same client."""
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


class Waits:
    """How long the first connections had been in the kernel's queue when we accepted them.

    The kernel knows when a connection's last data came in, and a queued client's request has come before we accept
    it, so this is the client's own wait, not an estimate from our restart times.
    """

    def __init__(self) -> None:
        self.queued = 0
        self.longest_ms = 0.0
        self._until = 0.0

    def begin(self, now: float) -> None:
        self._until = now + WAITERS_FOR_S

    def observe(self, transport: asyncio.BaseTransport, now: float) -> None:
        if now > self._until:
            return
        sock = transport.get_extra_info("socket")
        if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECV_AT + 4)
        except OSError:
            return  # the client has gone already; nobody waited
        waited = _LAST_DATA_RECV.unpack_from(info, _LAST_DATA_RECV_AT)[0]
        if waited > 0:
            self.queued += 1
            self.longest_ms = max(self.longest_ms, float(waited))
