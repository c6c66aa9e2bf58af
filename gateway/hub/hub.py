"""All WebSocket clients of this process: broadcasts, bounds on clients, and the count of unanswered requests.

Nothing here waits for a client; `hub/leaving` does.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from gateway.aio.flag import Flag
from gateway.aio.lag import LoopLag
from gateway.hub.broadcast import Broadcast, all_alike
from gateway.hub.connection import Connection
from gateway.hub.devices import DeviceClients
from gateway.hub.outbox import LOW_WATER, Outbox
from gateway.hub.roster import Roster, tracked
from gateway.machine.clock import now_ms
from gateway.protocol.admission.admission import DEVICE_TOKEN
from gateway.protocol.closing import DEVICE_CHANGED, SECRET_CHANGED, Close
from gateway.protocol.frames import StateVersion
from gateway.protocol.limits import TICK_INTERVAL_MS
from gateway.protocol.peer import Peer
from gateway.protocol.scopes import Scope

log = logging.getLogger("gateway.ws")

STALL_S = 60.0
"""Seconds after which a client that has taken no frame is closed. Each tick looks at it."""
MAX_UNREAD = 64 * 1024 * 1024
"""Bytes that wait for all clients together. Beyond it, clients that have taken nothing for the longest time are
closed."""
SAMPLE_S = 1.0
REFRESH_TICKS = 2
"""Ticks between two `health` events: one a minute."""


class Hub:
    """`on_change` is called when a client comes or goes; `on_idle` when the last request in flight is answered."""

    def __init__(
        self,
        on_change: Callable[[], None] | None = None,
        on_idle: Callable[[], None] | None = None,
        first_version: int = 1,
    ) -> None:
        """`first_version` begins the counts of `stateVersion`. It must be above the last one of the process before."""
        self.on_change = on_change
        self.on_idle = on_idle
        self.on_presence: Callable[[], None] | None = None
        """Called when the presence list has changed."""
        self.on_refresh: Callable[[], None] | None = None
        """Called every `REFRESH_TICKS`."""
        self.roster = Roster()
        self.lag = LoopLag()
        self.busy = 0
        """Requests that have been read and are not answered yet."""
        self.connections: set[Connection] = set()
        """All that are open, also those whose client has not authenticated yet."""
        self._devices = DeviceClients()
        self._adopted = Flag(is_set=True)
        self._missed: list[Broadcast[Any]] = []
        """Events that clients still to be adopted have missed."""
        self.closing: Close | None = None
        """Why every connection is closed, those that come later too."""
        self._versions = {"presence": first_version, "health": first_version}

    @property
    def clients(self) -> list[Connection]:
        """Connections whose client has authenticated and is not being closed."""
        return [each for each in self.connections if each.peer and not each.outbox.closing]

    @property
    def count(self) -> int:
        return len(self.clients)

    @property
    def state_version(self) -> StateVersion:
        return StateVersion(**self._versions)

    @contextmanager
    def registered(self, connection: Connection) -> Iterator[None]:
        """Around the life of a connection, from its opening to the end of its transport."""
        self.connections.add(connection)
        if self.closing:
            connection.outbox.finish(self.closing)
        try:
            yield
        finally:
            self.connections.discard(connection)
            if connection.peer:
                self._devices.remove(connection, connection.peer.device_id)
                self._changed(connection, connection.peer, self.roster.leave, now_ms())

    def greet(self, connection: Connection, peer: Peer, now_ms: int) -> None:
        """The client of a registered connection has authenticated; from here on it gets broadcasts."""
        connection.greet(peer, now_ms)
        self._devices.add(connection, peer.device_id)
        self._changed(connection, peer, self.roster.come, now_ms)

    def adopt(self, connection: Connection, peer: Peer, since_ms: int, seq: int) -> None:
        """The client of a registered connection was greeted by the process before. No presence event is sent, because
        nothing has changed for the others.

        `since_ms`: when it was greeted, milliseconds since 1970. `seq`: the number of its last event.
        """
        connection.greet(peer, since_ms)
        self._devices.add(connection, peer.device_id)
        connection.seq = seq
        connection.answered = True
        if tracked(peer):
            self.roster.come(peer, connection.id, since_ms)

    def bound_unread(self) -> None:
        """Close the slowest readers until what waits for all clients together is within `MAX_UNREAD`."""
        unread = sum(each.outbox.unread for each in self.connections)
        if unread <= MAX_UNREAD:
            return
        full = (each for each in self.connections if each.outbox.unread >= LOW_WATER)
        for slowest in sorted(full, key=lambda each: each.outbox.stalled_for(), reverse=True):
            unread -= slowest.outbox.unread
            slowest.drop_slow(f"{slowest.outbox.unread} bytes unread, and more than {MAX_UNREAD} of all clients")
            slowest.carrier.abort()  # most of it is in the transport, which would never send it
            if unread <= MAX_UNREAD:
                return

    def begin_adoption(self) -> None:
        """Connections of the process before are about to be adopted. Broadcasts are kept for them until
        `end_adoption`."""
        self._adopted.clear()

    def offer_missed(self, connection: Connection) -> None:
        """Send an adopted client the events that were broadcast before its turn."""
        for news in self._missed:
            news.offer(connection)

    def end_adoption(self) -> None:
        self._missed.clear()
        self._adopted.set()

    async def wait_adopted(self) -> None:
        """Return when all connections are adopted. An event that is sent otherwise than by a broadcast must wait for
        it."""
        await self._adopted.wait()

    def _changed(
        self, connection: Connection, peer: Peer, enter: Callable[[Peer, str, int], None], now_ms: int
    ) -> None:
        if tracked(peer):
            enter(peer, connection.id, now_ms)
            self.presence_changed()
        if self.on_change:
            self.on_change()

    def presence_changed(self) -> None:
        self._versions["presence"] += 1
        if self.on_presence and not self.closing:
            self.on_presence()

    def next_health(self) -> StateVersion:
        self._versions["health"] += 1
        return self.state_version

    def begin_request(self) -> None:
        """A request has been read. You must call `end_request` when it is answered or given up."""
        self.busy += 1

    def end_request(self) -> None:
        self.busy -= 1
        if not self.busy and self.on_idle:
            self.on_idle()

    @contextmanager
    def not_counted(self) -> Iterator[None]:
        """Around a request that only waits for something else: it holds up no restart."""
        self.end_request()
        try:
            yield
        finally:
            self.begin_request()

    @contextmanager
    def announcing(self, scope: Scope) -> Iterator[None]:
        """Around an event that is stored first and then sent to all clients who have the scope. If the process dies in
        between, the next one closes these clients, and they ask how things are."""
        hearers = [each for each in self.clients if each.may_hear(scope)]
        for connection in hearers:
            connection.announced += 1
            connection.carrier.mark_busy()
        try:
            yield
        finally:
            for connection in hearers:
                connection.announced -= 1
                connection.carrier.checkpoint()

    def broadcast(
        self,
        event: str,
        payload: object,
        *,
        drop_if_slow: bool = False,
        state_version: StateVersion | None = None,
        scope: Scope | None = None,
        min_protocol: int = 0,
    ) -> None:
        """Send all clients the same payload; `scope` and `min_protocol` choose them as `all_alike` does."""
        kind_of = all_alike(scope, min_protocol)
        self.broadcast_by_kind(Broadcast(event, kind_of, lambda _: payload, drop_if_slow, state_version))

    def broadcast_by_kind(self, news: Broadcast[Any], *, drop_if_broken: bool = False) -> set[Connection]:
        """Send an event whose payload differs by kind of client; return the clients for whom it is queued.

        `drop_if_broken`: a client for whom it cannot be made or queued loses its connection; otherwise the error is
        raised.
        """
        if not self._adopted.is_set():
            self._missed.append(news)
        reached: set[Connection] = set()
        for connection in self.clients:
            try:
                if news.offer(connection):
                    reached.add(connection)
            except Exception:
                if not drop_if_broken:
                    raise
                log.exception("client %s cannot be told and is dropped: it has to ask again", connection.id)
                connection.carrier.abort()
        return reached

    def reaches_anyone(self, scope: Scope, min_protocol: int) -> bool:
        """Whether any client would get such an event."""
        return any(each.speaks(min_protocol) and each.may_hear(scope) for each in self.clients)

    def answer(self, id: str, request: str, text: bytes) -> bool:
        """Send a second answer to a client's request, after the first one. False if the client has gone."""
        for connection in self.connections:
            if connection.id == id and connection.peer is not None:
                first = connection.requests.get(request)
                if first is None:
                    connection.outbox.put(text)
                else:
                    first.add_done_callback(partial(_put, connection.outbox, text))
                return True
        return False

    def close_generation(self, old_generation: int) -> int:
        """Close clients that were admitted by secrets of this generation or an older one, in any mode; return how
        many."""
        stale = [
            each
            for each in self.clients
            if each.peer and each.peer.auth_mode != DEVICE_TOKEN and each.peer.auth_generation <= old_generation
        ]
        for connection in stale:
            connection.outbox.finish(SECRET_CHANGED)
        return len(stale)

    def close_device(self, device_id: str) -> int:
        """Close clients that authenticated as this device, by any secret; return how many."""
        gone = [each for each in self.clients if each.peer and each.peer.device_id == device_id]
        for connection in gone:
            connection.outbox.finish(DEVICE_CHANGED)
        return len(gone)

    def tick(self) -> None:
        for connection in self.clients:
            stalled = connection.outbox.stalled_for()
            if stalled > STALL_S:
                connection.drop_slow(f"nothing read for {stalled:.0f} s")
        self.broadcast("tick", {"ts": now_ms()}, drop_if_slow=True)

    async def run(self, interval_s: float = TICK_INTERVAL_MS / 1000) -> None:
        """Tick until cancelled. Between the ticks, sample how late the event loop is."""
        step_s = min(SAMPLE_S, interval_s)
        steps = round(interval_s / step_s)
        for number in itertools.count(1):
            await asyncio.sleep(step_s)
            self.lag.sample(step_s)
            self.bound_unread()
            if number % steps == 0:
                self.tick()
            if self.on_refresh and number % (steps * REFRESH_TICKS) == 0:
                self.on_refresh()


def _put(outbox: Outbox, text: bytes, first: asyncio.Task[bytes]) -> None:
    outbox.put(text)
