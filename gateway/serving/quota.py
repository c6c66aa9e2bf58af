"""Connections whose client has not authenticated: how many there may be, and how many bytes may be held for them.

A new connection is not refused because others came first. Where a bound is met, the oldest unauthenticated connection
is evicted for the newest: a client authenticates within a few round trips. A connection whose request is being answered
is not evicted; where all are such, new ones get 503.

A site is an IPv4 address, or the /64 of an IPv6 address, which belongs to one client.
"""

import logging
import resource
from collections.abc import Callable

from gateway.protocol.admission.lockout import site as site_of

log = logging.getLogger("gateway.http")

MAX_UNAUTHENTICATED = 2048
"""Connections of all sites together. One takes some 25 KB beside what it sends."""
MAX_BYTES = 32 * 1024 * 1024
"""Held for all of them together: heads and messages that are not whole."""
MAX_ASKED = 64
"""The oldest connections that may decline to be evicted before a new one is refused."""
SPARE_DESCRIPTORS = 64
"""Kept from the port, so that the control socket, the database and the agent can be reached at the descriptor limit."""


class QuotaSlot:
    """The share of one connection. `release` it when the client authenticates or goes; a second time does no harm."""

    __slots__ = ("evict", "held", "quota", "site")

    def __init__(self, quota: "UnauthenticatedQuota", site: str, evict: Callable[[], bool]) -> None:
        self.quota = quota
        self.site = site
        self.held = 0
        """Bytes."""
        self.evict = evict
        """Ends the connection and returns True, or returns False because it is being answered."""

    def set_held(self, size: int) -> None:
        """So many bytes are held for the connection now. It may be evicted by this."""
        if size != self.held:
            self.quota.set_held(self, size)

    def move(self, address: str, most: int) -> bool:
        """Count the connection for another address, that of the client a proxy names; False if it has no room."""
        return self.quota.move(self, site_of(address), most)

    def release(self) -> None:
        self.quota.release(self)


class UnauthenticatedQuota:
    def __init__(self) -> None:
        self.bytes = 0
        self._slots: dict[QuotaSlot, None] = {}
        """Oldest first."""
        self._sites: dict[str, dict[QuotaSlot, None]] = {}
        """The slots of each site, oldest first."""
        self._full: set[str] = set()
        """Sites at their bound that are in the log; "" stands for the bound of all together."""

    def __len__(self) -> int:
        return len(self._slots)

    def at(self, address: str) -> int:
        """The number of connections of the address's site."""
        return len(self._sites.get(site_of(address), ()))

    def admit(self, address: str, most: int, evict: Callable[[], bool]) -> QuotaSlot | None:
        """Return a slot, or None if there is none for this address, of which `most` are admitted, or at all."""
        slot = QuotaSlot(self, site_of(address), evict)
        if not self._has_room(slot, most):
            return None
        if len(self._slots) >= MAX_UNAUTHENTICATED:
            self._warn(
                "", f"{MAX_UNAUTHENTICATED} connections have not authenticated; the oldest give way to further ones"
            )
            if not _evict_oldest(self._slots):
                return None
        self._slots[slot] = None
        self._sites.setdefault(slot.site, {})[slot] = None
        return slot

    def move(self, slot: QuotaSlot, site: str, most: int) -> bool:
        if slot not in self._slots or slot.site == site:
            return True
        self._leave_site(slot)
        slot.site = site
        has_room = self._has_room(slot, most)
        self._sites.setdefault(site, {})[slot] = None
        return has_room

    def set_held(self, slot: QuotaSlot, size: int) -> None:
        if slot not in self._slots:
            return
        self.bytes += size - slot.held
        slot.held = size
        while self.bytes > MAX_BYTES and _evict_oldest(self._slots):
            self._warn("", f"connections that have not authenticated have sent {MAX_BYTES} bytes; the oldest give way")

    def release(self, slot: QuotaSlot) -> None:
        if slot not in self._slots:
            return
        del self._slots[slot]
        self._leave_site(slot)
        self.bytes -= slot.held
        slot.held = 0
        if len(self._slots) < MAX_UNAUTHENTICATED // 2 and self.bytes < MAX_BYTES // 2:
            self._full.discard("")

    def _leave_site(self, slot: QuotaSlot) -> None:
        slots = self._sites[slot.site]
        del slots[slot]
        if not slots:
            del self._sites[slot.site]
            self._full.discard(slot.site)

    def _has_room(self, slot: QuotaSlot, most: int) -> bool:
        """Whether the site has room for one more, perhaps because its oldest has been evicted."""
        slots = self._sites.get(slot.site, {})
        if len(slots) < most:
            return True
        self._warn(
            slot.site,
            f"{slot.site} holds {most} connections without having authenticated; the oldest give way to further ones."
            " If it is a proxy, name it in gateway.trustedProxies: then its clients are counted",
        )
        return _evict_oldest(slots)

    def _warn(self, site: str, line: str) -> None:
        """Log the line once, until the site is below its bound again."""
        if site not in self._full:
            self._full.add(site)
            log.warning("%s", line)


def _evict_oldest(slots: dict[QuotaSlot, None]) -> bool:
    """Evict the oldest that does not decline. One that declines is asked again after all the others."""
    for _ in range(min(MAX_ASKED, len(slots))):
        slot = next(iter(slots))
        if slot.evict():
            slot.release()
            return True
        del slots[slot]
        slots[slot] = None
    return False


def is_spare(fd: int) -> bool:
    """Whether the descriptor is one of the last: the kernel gives out the lowest that is free."""
    return fd >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS
