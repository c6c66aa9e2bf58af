"""Connections of which nobody knows whose they are: how many there may be, and how much they may make us hold.

Nobody is refused because others came first. Where a bound is met, the oldest stranger gives way to the newest: a client
says who it is within a few round trips, and who has not done so is the one to go. A stranger whose request is being
answered does not give way; only where all are such, newcomers get 503.

A site is an IPv4 address, or the /64 of an IPv6 address, which is one client's.
"""

import logging
import resource
from collections.abc import Callable

from gateway.protocol.admission.lockout import site as site_of

log = logging.getLogger("gateway.http")

MAX_STRANGERS = 2048
"""For all sites together. One takes some 25 KB beside what it sends."""
MAX_BYTES = 32 * 1024 * 1024
"""Held for all of them together: heads and messages that are not whole."""
LOOKS = 64
"""The oldest that are asked to give way before a newcomer is refused."""
SPARE_DESCRIPTORS = 64
"""Kept from the port, so that the control socket, the database and the agent can be reached at the descriptor limit."""


class QuotaSlot:
    """What one stranger has; `leave` it when the client authenticates or goes, and again does no harm."""

    __slots__ = ("give_way", "held", "site", "strangers")

    def __init__(self, strangers: "UnauthenticatedQuota", site: str, give_way: Callable[[], bool]) -> None:
        self.strangers = strangers
        self.site = site
        self.held = 0
        """Bytes."""
        self.give_way = give_way
        """Ends the connection, unless it is being answered; says whether it has."""

    def hold(self, size: int) -> None:
        """From now on so many bytes are held for it."""
        if size != self.held:
            self.strangers.hold(self, size)

    def move(self, address: str, most: int) -> bool:
        """The client is another one than the address of the connection says. False: it has no place left."""
        return self.strangers.move(self, site_of(address), most)

    def leave(self) -> None:
        self.strangers.leave(self)


class UnauthenticatedQuota:
    def __init__(self) -> None:
        self.bytes = 0
        self._places: dict[QuotaSlot, None] = {}
        """Oldest first, as those of each site."""
        self._sites: dict[str, dict[QuotaSlot, None]] = {}
        self._full: set[str] = set()
        """Sites of which the log knows that they are at their bound; "" for all together."""

    def __len__(self) -> int:
        return len(self._places)

    def at(self, address: str) -> int:
        return len(self._sites.get(site_of(address), ()))

    def enter(self, address: str, most: int, give_way: Callable[[], bool]) -> QuotaSlot | None:
        """None: there is no place, for this address or at all."""
        place = QuotaSlot(self, site_of(address), give_way)
        if not self._admit(place, most):
            return None
        if len(self._places) >= MAX_STRANGERS:
            self._say("", f"{MAX_STRANGERS} connections have not authenticated; the oldest give way to further ones")
            if not _make_room(self._places):
                return None
        self._places[place] = None
        self._sites.setdefault(place.site, {})[place] = None
        return place

    def move(self, place: QuotaSlot, site: str, most: int) -> bool:
        if place not in self._places or place.site == site:
            return True
        self._leave_site(place)
        place.site = site
        admitted = self._admit(place, most)
        self._sites.setdefault(site, {})[place] = None
        return admitted

    def hold(self, place: QuotaSlot, size: int) -> None:
        if place not in self._places:
            return
        self.bytes += size - place.held
        place.held = size
        while self.bytes > MAX_BYTES and _make_room(self._places):
            self._say("", f"connections that have not authenticated have sent {MAX_BYTES} bytes; the oldest give way")

    def leave(self, place: QuotaSlot) -> None:
        if place not in self._places:
            return
        del self._places[place]
        self._leave_site(place)
        self.bytes -= place.held
        place.held = 0
        if len(self._places) < MAX_STRANGERS // 2 and self.bytes < MAX_BYTES // 2:
            self._full.discard("")

    def _leave_site(self, place: QuotaSlot) -> None:
        places = self._sites[place.site]
        del places[place]
        if not places:
            del self._sites[place.site]
            self._full.discard(place.site)

    def _admit(self, place: QuotaSlot, most: int) -> bool:
        places = self._sites.get(place.site, {})
        if len(places) < most:
            return True
        self._say(
            place.site,
            f"{place.site} holds {most} connections without having authenticated; the oldest give way to further ones."
            " If it is a proxy, name it in gateway.trustedProxies: then its clients are counted",
        )
        return _make_room(places)

    def _say(self, site: str, line: str) -> None:
        if site not in self._full:
            self._full.add(site)
            log.warning("%s", line)


def _make_room(places: dict[QuotaSlot, None]) -> bool:
    """Have the oldest go that gives way. Who does not is not asked again before all the others."""
    for _ in range(min(LOOKS, len(places))):
        place = next(iter(places))
        if place.give_way():
            place.leave()
            return True
        del places[place]
        places[place] = None
    return False


def is_spare(fd: int) -> bool:
    """Whether the descriptor is one of the last: the kernel gives out the lowest that is free."""
    return fd >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS
