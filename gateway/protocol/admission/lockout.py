"""Failed credentials, counted by address: after too many the address is locked out for a while. Pure.

A lock is on an address and a kind of credential, never on a name, so that no client can lock out another one. A client
on this machine is not counted, unless it may be a page in a browser that guesses.
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
"""Places that are counted, about 300 bytes each; the one without a failure for the longest time is forgotten first."""
MAX_LOCKED = 65_536
"""Places that are locked, about 250 bytes each. More cannot be locked within `LOCKED_S`, so no lock ends too early."""
SITE_BITS = 64
"""Bits of the IPv6 prefix that one client has to itself, with as many addresses as it likes."""
NETWORK_BITS, MAX_OF_NETWORK = 48, 100
"""A /48, which one customer may have, holds 65,536 places; together they may fail so often in a minute."""
_Key = tuple[str, Kind]


class Lockout:
    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` in seconds."""
        self._clock = clock
        self._counted: OrderedDict[_Key, deque[float]] = OrderedDict()
        """Times of the last failures, in seconds of the clock."""
        self._locked: OrderedDict[_Key, float] = OrderedDict()
        """End of each lock, in seconds of the clock; the first to end stands first."""

    def __len__(self) -> int:
        return len(self._counted) + len(self._locked)

    def wait_ms(self, source: RequestOrigin, kind: Kind) -> int:
        """Milliseconds for which this client is still locked out, 0 if it is not. Ask before its secret is compared."""
        if not self._locked or is_exempt(source):
            return 0
        until = max(self._locked.get((place, kind), 0.0) for place, _ in _places(source.remote_ip))
        return ceil(max(until - self._clock(), 0.0) * 1000)

    def waits(self, source: RequestOrigin) -> dict[Kind, int]:
        """`wait_ms` of each kind."""
        return {kind: self.wait_ms(source, kind) for kind in KINDS}

    def record(self, source: RequestOrigin, attempts: Mapping[Kind, bool]) -> None:
        """Count attempts by kind of credential; True: it was right."""
        for kind, right in attempts.items():
            (self.succeeded if right else self.failed)(source, kind)

    def failed(self, source: RequestOrigin, kind: Kind) -> None:
        if is_exempt(source):
            return
        for place, most in _places(source.remote_ip):
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

    def succeeded(self, source: RequestOrigin, kind: Kind) -> None:
        if self._counted:
            self._counted.pop((site(source.remote_ip), kind), None)


def is_exempt(source: RequestOrigin) -> bool:
    """Whether failures of the client are not counted. It does not depend on `local`: a user of this machine may send a
    wrong Host."""
    address = parse_address(source.remote_ip)
    return address is not None and address.is_loopback and not source.forwarded and source.origin is None


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
    """The place that an address counts for: its canonical form, or its /64 network in IPv6."""
    address = parse_address(remote_ip)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, SITE_BITS), strict=False))
    return str(address or remote_ip)


def _places(remote_ip: str) -> list[tuple[str, int]]:
    """The places that a failure of a client counts for, each with the number of failures that locks it."""
    places = [(site(remote_ip), MAX_FAILURES)]
    address = parse_address(remote_ip)
    if isinstance(address, ipaddress.IPv6Address):
        places.append((str(ipaddress.ip_network((address, NETWORK_BITS), strict=False)), MAX_OF_NETWORK))
    return places
