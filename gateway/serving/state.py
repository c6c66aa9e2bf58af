"""The state that all connections of one process share: bounds, quotas, and how long the first clients had waited."""

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping, Sequence

from uvicorn.server import ServerState

from gateway.config.schema import Limits
from gateway.serving.partials import PartialMessages
from gateway.serving.quota import UnauthenticatedQuota

# struct tcp_info (linux/tcp.h): eight bytes of flags, then 32-bit counters; this is tcpi_last_data_recv, in ms.
_LAST_DATA_RECV = struct.Struct("=I")
_LAST_DATA_RECV_AT = 52
WAITERS_FOR_S = 2.0
"""Connections accepted this soon after the start may have waited for it; later ones have not."""


class GatewayState(ServerState):
    """uvicorn's shared state, with ours."""

    def __init__(
        self, limits: Callable[[], Limits], apis: Mapping[str, int] = {}, proxies: Callable[[], Sequence[str]] = tuple
    ) -> None:
        super().__init__()
        self.limits = limits
        """Called for each new connection, so that a changed limit needs no restart."""
        self.apis = apis
        """Paths of APIs, each with the bytes that a body may have there. A refusal there is an error in JSON."""
        self.proxies = proxies
        """`gateway.trustedProxies`: what these say of the client for whom they forward is believed."""
        self.leaving = False
        """True: each response is the last on its connection."""
        self.carry = False
        """True: idle connections stay open for the next process."""
        self.unauthenticated = UnauthenticatedQuota()
        self.partials = PartialMessages()
        self.waits = Waits()


class Waits:
    """How long the first connections had been in the kernel's queue when we accepted them.

    The kernel knows when a connection's last data came in, and the request of a queued client has come before it is
    accepted: so this is the client's own wait, and no estimate from our restart times.
    """

    def __init__(self) -> None:
        self.queued = 0
        """Connections that had waited."""
        self.longest_ms = 0.0
        self._until = 0.0

    def begin(self, now: float) -> None:
        """`now` is the loop's time in seconds, as in `observe`."""
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
            return  # the client has gone already
        waited = _LAST_DATA_RECV.unpack_from(info, _LAST_DATA_RECV_AT)[0]
        if waited > 0:
            self.queued += 1
            self.longest_ms = max(self.longest_ms, float(waited))
