"""One WebSocket client of this process, and the transport below it."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.hub.outbox import Outbox, Pipe
from gateway.protocol.closing import SLOW_CONSUMER
from gateway.protocol.frames import EventFrame, WireError, encode_error
from gateway.protocol.limits import MAX_HANDSHAKE_FRAME, limits
from gateway.protocol.peer import Peer, describe
from gateway.protocol.scopes import Scope, refuse

log = logging.getLogger("gateway.ws")

_ADVANCING = 4
"""From this protocol on, a dropped event takes its number with it, so that the client sees the gap."""


class Carrier(Pipe, Protocol):
    """The transport below one client."""

    on_write_resumed: Callable[[], None] | None
    """Called when writing is paused no more, and at the end of the connection."""

    def abort(self) -> None:
        """Drop it at once, with what is still unsent. Again, or after its end, it does nothing."""
        ...

    def authenticated(self, max_message: int) -> None:
        """The client has said who it is, and may send messages of so many bytes."""
        ...

    def mark_busy(self) -> None:
        """Something is under way for the client that must not be lost: who dies now leaves it to be told."""
        ...

    def checkpoint(self) -> None:
        """Look anew whether anything is under way."""
        ...

    async def wait_closed(self) -> None:
        """Return when nothing of the connection is left."""
        ...


@dataclass(eq=False, slots=True, weakref_slot=True)
class Connection:
    """One client, from the moment its WebSocket is open; `peer` is None until it has said who it is."""

    id: str
    remote: str
    carrier: Carrier
    outbox: Outbox = field(init=False)
    peer: Peer | None = None
    since_ms: int = 0
    seq: int = 0
    opened: float = field(default_factory=time.monotonic)
    answered: bool = False
    """Whether it has had its first answer after the hello."""
    kept: bool = False
    """Whether it outlives this process."""
    announced: int = 0
    """Events that are certain to come: what they tell is being written down."""
    requests: dict[str, asyncio.Task[str]] = field(default_factory=dict)
    """Requests that are not answered yet, by their ids."""

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.carrier, MAX_HANDSHAKE_FRAME, time.monotonic)
        self.carrier.on_write_resumed = self.outbox.flush

    def greet(self, peer: Peer, now_ms: int) -> None:
        self.peer = peer
        self.since_ms = now_ms
        self.outbox.max_bytes = limits(peer.protocol).max_buffered

    def seq_at_rest(self) -> int | None:
        """The number of its last event; None while anything is under way for it."""
        under_way = self.requests or self.announced or self.outbox.queued or self.outbox.closing
        return None if under_way else self.seq

    def fail_requests(self, error: WireError) -> None:
        """Answer what is still being served with this error; an answer that is there is sent in this turn's end."""
        for id, task in list(self.requests.items()):
            if task.cancel():  # else it is done
                del self.requests[id]
                self.outbox.put(encode_error(id, error))

    def offer(self, event: EventFrame, drop_if_slow: bool) -> bool:
        """Queue an event; False if it is not. A client that is too slow for it loses the event, or the connection."""
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
        """This protocol, or a newer one."""
        return not protocol or (self.peer is not None and self.peer.protocol >= protocol)

    def drop_slow(self, why: str) -> None:
        log.warning("slow consumer %s (%s) closed: %s", self.id, self.name, why)
        self.outbox.cut(SLOW_CONSUMER)

    @property
    def name(self) -> str:
        return describe(self.peer) if self.peer else "before hello"
