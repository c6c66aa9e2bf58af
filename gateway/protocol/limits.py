"""Limits of the wire by protocol version: sizes in bytes, times in milliseconds unless a name says `_S`."""

from msgspec import Struct

KIB = 1024
MIB = 1024 * KIB

MAX_HANDSHAKE_FRAME = 64 * KIB
"""Largest frame before hello in both versions: a client that has not authenticated gets little memory."""
MAX_FRAME = 25 * MIB
"""Largest frame in any version, for clients that may send attachments."""
MAX_PLAIN_FRAME = MIB
"""Largest frame of a client without `operator.write`: no method that it may call takes attachments."""
MAX_VALUES = 64 * KIB
"""JSON values in one message. Each becomes an object in memory, however few bytes it has."""
MAX_CLOSE_REASON = 120
"""Bytes; RFC 6455 leaves 123."""
MAX_IN_FLIGHT = 32
"""Requests of one client that run at the same time. The next one is read when one of them is answered."""
TICK_INTERVAL_MS = 30_000
MAX_FAILURES = 10
"""Wrong secrets of one address within `WINDOW_S` seconds; after them it is locked out for `LOCKED_S` seconds."""
WINDOW_S = 60.0
LOCKED_S = 300.0


class WireLimits(Struct, frozen=True):
    max_payload: int
    """Largest frame from the client after hello."""
    max_buffered: int
    """Most bytes that wait for a client that reads slowly."""


_LIMITS = {3: WireLimits(512 * KIB, 1536 * KIB), 4: WireLimits(MAX_FRAME, 50 * MIB)}


def limits(protocol: int) -> WireLimits:
    return _LIMITS[protocol]
