"""A rate limit for methods that change the gateway, with OpenClaw 2026.9.6's numbers. The clock is given."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from gateway.protocol.frames import WireError
from gateway.rpc.registry import Call
from gateway.text.addresses import is_loopback

log = logging.getLogger("gateway.rpc")

LIMIT = 30
WINDOW_S = 60.0
"""The window begins with the first call; the first call after its end begins another one."""
MAX_ENTRIES = 4096
"""Clients that are remembered for each method, about 300 bytes each; the oldest window is forgotten first."""


class Budget:
    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` in seconds."""
        self._clock = clock
        self._spent: OrderedDict[tuple[str, str, str], tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._spent)

    def spend(self, method: str, call: Call) -> WireError | None:
        """Count a call. Returns the refusal; None: the call is allowed."""
        key, now = (method, *_client(call)), self._clock()
        since, count = self._spent.get(key, (now, 0))
        if now - since >= WINDOW_S:
            del self._spent[key]
            since, count = now, 0
        self._spent[key] = since, count + 1
        if len(self._spent) > MAX_ENTRIES:
            self._spent.popitem(last=False)
        if count < LIMIT:
            return None
        if count == LIMIT:  # log once a window
            log.warning("client %s (%s): too many calls of %s", call.connection.id, call.connection.name, method)
        return _refusal(method, since + WINDOW_S - now)


def _client(call: Call) -> tuple[str, str]:
    """Device and address of a client, or its connection if it is on this machine and has no device."""
    device, host = call.peer.device_id or "", call.connection.remote.rpartition(":")[0]
    return device, call.connection.id if not device and is_loopback(host) else host


def _refusal(method: str, wait_s: float) -> WireError:
    return WireError(
        "UNAVAILABLE",
        f"rate limit exceeded for {method}; retry after {ceil(wait_s)}s",
        {"method": method, "limit": f"{LIMIT} per {WINDOW_S:g}s"},
        retryable=True,
        retry_after_ms=ceil(wait_s * 1000),
    )
