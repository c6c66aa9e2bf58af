"""One WebSocket client of this process, and the transport below it."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from gateway.hub.outbox import Outbox, Pipe
from gateway.protocol.closing import SLOW_CONSUMER
from gateway.protocol.frames import EventFrame, WireError, encode_error
from gateway.protocol.limits import MAX_HANDSHAKE_FRAME, limits
from gateway.protocol.peer import Peer, describe
from gateway.protocol.scopes import Scope, refuse

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger("gateway.ws")

_ADVANCING = 4
"""From this protocol on, a dropped event uses up its number, so that the client sees the gap."""


class Carrier(Pipe, Protocol):
    """The transport below one client."""

    on_write_resumed: Callable[[], None] | None
    """Called when writing is no longer paused, and at the end of the connection."""

    def abort(self) -> None:
        """Drop the connection at once, with what is still unsent. After its end this does nothing."""
        ...

    def authenticated(self, max_message: int) -> None:
        """The client has authenticated, and may send messages of up to `max_message` bytes."""
        ...

    def mark_busy(self) -> None:
        """Note that something is under way for the client. If the process dies now, the next one closes the
        connection."""
        ...

    def checkpoint(self) -> None:
        """Write down that the connection is at rest, if nothing is under way."""
        ...

    async def wait_closed(self) -> None:
        """Return when the transport is closed."""
        ...


class Connection:
    """One client, from the moment its WebSocket is open. `peer` is None until the client has authenticated."""

    __slots__ = (
        *("__weakref__", "announced", "answered", "carrier", "id", "kept", "opened", "outbox", "peer", "remote"),
        *("requests", "seq", "since_ms"),
    )

    def __init__(self, id: str, remote: str, carrier: Carrier, peer: Peer | None = None) -> None:
        self.id = id
        self.remote = remote
        self.carrier = carrier
        self.peer = peer
        self.since_ms = 0
        """When the client was greeted; milliseconds since 1970."""
        self.seq = 0
        """The number of its last event."""
        self.opened = time.monotonic()
        """Seconds on the monotonic clock."""
        self.answered = False
        """The client has had its first answer after the hello."""
        self.kept = False
        """The connection outlives this process."""
        self.announced = 0
        """Events that are certain to come, because what they tell is being stored."""
        self.requests: dict[str, asyncio.Task[bytes]] = {}
        """Requests that are not answered yet, by their ids."""
        self.outbox = Outbox(carrier, MAX_HANDSHAKE_FRAME, time.monotonic)
        carrier.on_write_resumed = self.outbox.flush

    def greet(self, peer: Peer, now_ms: int) -> None:
        self.peer = peer
        self.since_ms = now_ms
        self.outbox.max_bytes = limits(peer.protocol).max_buffered

    def seq_at_rest(self) -> int | None:
        """The number of the last event; None while anything is under way for the client."""
        under_way = self.requests or self.announced or self.outbox.queued or self.outbox.closing
        return None if under_way else self.seq

    def fail_requests(self, error: WireError) -> None:
        """Cancel the requests that are not answered yet, and answer them with `error`."""
        for id, task in list(self.requests.items()):
            if task.cancel():  # otherwise its answer is about to be queued
                del self.requests[id]
                self.outbox.put(encode_error(id, error))

    def offer(self, event: EventFrame, drop_if_slow: bool) -> bool:
        """Queue an event; False if it is not queued. A client that is too slow loses the event if `drop_if_slow`,
        otherwise its connection."""
        if self.peer is None or self.outbox.closing:
            return False
        text = event.text(self.seq + 1)
        if self.outbox.fits(text):
            self.seq += 1
            self.outbox.put(text)
            return True
        if drop_if_slow:
            self.seq += self.peer.protocol >= _ADVANCING
        else:
            self.drop_slow(f"{self.outbox.queued} bytes unread")
        return False

    def may_hear(self, scope: Scope) -> bool:
        return self.peer is not None and not refuse(self.peer.protocol, self.peer.role, self.peer.scopes, scope)

    def speaks(self, protocol: int) -> bool:
        """Whether the client speaks this protocol or a newer one."""
        return not protocol or (self.peer is not None and self.peer.protocol >= protocol)

    def drop_slow(self, why: str) -> None:
        log.warning("slow consumer %s (%s) closed: %s", self.id, self.name, why)
        self.outbox.cut(SLOW_CONSUMER)

    @property
    def name(self) -> str:
        return describe(self.peer) if self.peer else "before hello"
