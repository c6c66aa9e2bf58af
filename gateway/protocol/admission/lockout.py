"""Failed secrets, counted for each address: who guesses too often is not heard for a while. Pure; the clock is given.

What is locked is an address and a kind of credential, never a name, so nobody can lock another one out. A client of
this machine itself is not counted, unless a page in its browser may be the one that guesses.
"""

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from math import ceil
from typing import Literal, get_args

from gateway.protocol.admission.origin import RequestOrigin
from gateway.protocol.frames import WireError
from gateway.protocol.limits import LOCKED_S, MAX_FAILURES, WINDOW_S
from gateway.text.addresses import parse_address

Kind = Literal["shared-secret", "device-token"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MAX_ENTRIES = 4096
"""Places that are counted, about 300 bytes each; the one that was idle longest is forgotten first."""
MAX_LOCKED = 65_536
"""Places that are locked, about 250 bytes each: more than can be locked in `LOCKED_S`, so none is freed by others."""
SITE_BITS = 64
"""An IPv6 client has that much to itself, and as many addresses as it likes."""
NETWORK_BITS, MAX_OF_NETWORK = 48, 100
"""Many have 65,536 such places: together they may fail so often in a minute."""
_Key = tuple[str, Kind]


class Lockout:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counted: OrderedDict[_Key, deque[float]] = OrderedDict()
        """When each failed lately."""
        self._locked: OrderedDict[_Key, float] = OrderedDict()
        """Until when; who is free first stands first."""

    def __len__(self) -> int:
        return len(self._counted) + len(self._locked)

    def wait_ms(self, visitor: RequestOrigin, kind: Kind) -> int:
        """How long this client is not heard yet; 0 for one that is. Ask before its secret is looked at."""
        if not self._locked or is_exempt(visitor):
            return 0
        until = max(self._locked.get((place, kind), 0.0) for place, _ in _places(visitor.remote_ip))
        return ceil(max(until - self._clock(), 0.0) * 1000)

    def waits(self, visitor: RequestOrigin) -> dict[Kind, int]:
        """`wait_ms` of each kind."""
        return {kind: self.wait_ms(visitor, kind) for kind in KINDS}

    def settle(self, visitor: RequestOrigin, guesses: Mapping[Kind, bool]) -> None:
        """Count what was tried: True was right."""
        for kind, right in guesses.items():
            (self.succeeded if right else self.failed)(visitor, kind)

    def failed(self, visitor: RequestOrigin, kind: Kind) -> None:
        if is_exempt(visitor):
            return
        for place, most in _places(visitor.remote_ip):
            self._count((place, kind), most, self._clock())

    def _count(self, key: _Key, most: int, now: float) -> None:
        failures = self._counted.setdefault(key, deque(maxlen=most))
        self._counted.move_to_end(key)
        failures.append(now)
        if len(failures) == most and now - failures[0] <= WINDOW_S:
            del self._counted[key]
            self._lock(key, now)
        if len(self._counted) > MAX_ENTRIES:
            self._counted.popitem(last=False)

    def _lock(self, key: _Key, now: float) -> None:
        self._locked[key] = now + LOCKED_S
        self._locked.move_to_end(key)
        while len(self._locked) > MAX_LOCKED or next(iter(self._locked.values())) <= now:
            self._locked.popitem(last=False)

    def succeeded(self, visitor: RequestOrigin, kind: Kind) -> None:
        if self._counted:
            self._counted.pop((site(visitor.remote_ip), kind), None)


def is_exempt(visitor: RequestOrigin) -> bool:
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


def _places(remote_ip: str) -> list[tuple[str, int]]:
    """What is counted when a client fails, each with the failures that lock it."""
    places = [(site(remote_ip), MAX_FAILURES)]
    address = parse_address(remote_ip)
    if isinstance(address, ipaddress.IPv6Address):
        places.append((str(ipaddress.ip_network((address, NETWORK_BITS), strict=False)), MAX_OF_NETWORK))
    return places
