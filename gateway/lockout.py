"""Failed secrets, counted for each address: who guesses too often is not heard for a while. Pure; the clock is given.

What is locked is an address and a kind of credential, never a name, so nobody can lock another one out. A client of
this machine itself is not counted, unless a page in its browser may be the one that guesses.
"""

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Literal, get_args

from gateway.protocol.frames import WireError
from gateway.protocol.visitor import Visitor, parse_address

Kind = Literal["shared-secret", "device-token"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MAX_FAILURES = 10
WINDOW_S = 60.0
LOCKED_S = 300.0
MAX_ENTRIES = 4096
"""Addresses that are remembered, about 300 bytes each; the one that was idle longest is forgotten first."""
SITE_BITS = 64
"""An IPv6 client has that much to itself, and as many addresses as it likes."""


@dataclass
class _Entry:
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_FAILURES))
    locked_until: float = 0.0


class Lockout:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: OrderedDict[tuple[str, Kind], _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def wait_ms(self, visitor: Visitor, kind: Kind) -> int:
        """How long this client is not heard yet; 0 for one that is. Ask before its secret is looked at."""
        entry = None if is_exempt(visitor) else self._entries.get((site(visitor.remote_ip), kind))
        return ceil(max(entry.locked_until - self._clock(), 0.0) * 1000) if entry else 0

    def waits(self, visitor: Visitor) -> dict[Kind, int]:
        """`wait_ms` of each kind."""
        return {kind: self.wait_ms(visitor, kind) for kind in KINDS}

    def settle(self, visitor: Visitor, guesses: Mapping[Kind, bool]) -> None:
        """Count what was tried: True was right."""
        for kind, right in guesses.items():
            (self.succeeded if right else self.failed)(visitor, kind)

    def failed(self, visitor: Visitor, kind: Kind) -> None:
        if is_exempt(visitor):
            return
        key, now = (site(visitor.remote_ip), kind), self._clock()
        entry = self._entries.setdefault(key, _Entry())
        self._entries.move_to_end(key)
        entry.failures.append(now)
        if len(entry.failures) == MAX_FAILURES and now - entry.failures[0] <= WINDOW_S:
            entry.failures.clear()
            entry.locked_until = now + LOCKED_S
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    def succeeded(self, visitor: Visitor, kind: Kind) -> None:
        if self._entries:
            self._entries.pop((site(visitor.remote_ip), kind), None)


def is_exempt(visitor: Visitor) -> bool:
    """Not by `local`: a wrong Host is no reason to count what this machine's own user does."""
    address = parse_address(visitor.remote_ip)
    return address is not None and address.is_loopback and not visitor.forwarded and visitor.origin is None


def too_many(protocol: int, retry_after_ms: int) -> WireError:
    details = None
    if protocol >= 4:
        details = {
            "code": "AUTH_RATE_LIMITED",
            "authReason": "rate_limited",
            "canRetryWithDeviceToken": False,
            "recommendedNextStep": "wait_then_retry",
        }
    return WireError(
        "INVALID_REQUEST",
        "unauthorized: too many failed authentication attempts (retry later)",
        details,
        retryable=True,
        retry_after_ms=retry_after_ms,
    )


def site(remote_ip: str) -> str:
    """What counts as one place: an address, however it is written; of IPv6 the network of one household."""
    address = parse_address(remote_ip)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, SITE_BITS), strict=False))
    return str(address or remote_ip)
