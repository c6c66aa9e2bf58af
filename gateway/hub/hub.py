"""All WebSocket clients of this process: what everybody gets, who must go, and whether anyone waits for an answer.

Nothing here waits for a client, except `close_all`, and that for no longer than its grace.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from gateway.aio.flag import Flag
from gateway.aio.lag import LoopLag
from gateway.hub.broadcast import Broadcast, all_alike
from gateway.hub.connection import Connection
from gateway.hub.outbox import LOW_WATER, Outbox
from gateway.hub.roster import Roster, tracked
from gateway.protocol.admission.admission import DEVICE_TOKEN
from gateway.protocol.closing import DEVICE_CHANGED, SECRET_CHANGED, TOO_MANY_OF_A_DEVICE, Close
from gateway.protocol.frames import StateVersion
from gateway.protocol.limits import TICK_INTERVAL_MS
from gateway.protocol.params import cut
from gateway.protocol.peer import Peer
from gateway.protocol.scopes import Scope

log = logging.getLogger("gateway.ws")

STALL_S = 60.0
"""A client that has not taken a single frame for this long is not coming back; looked at with every tick."""
MAX_UNREAD = 64 * 1024 * 1024
"""Bytes that wait for all clients together. Beyond it those are closed who have taken nothing for the longest time."""
MAX_OF_A_DEVICE = 256
"""Clients of one device; the oldest is closed for the next."""
SAMPLE_S = 1.0
REFRESH_TICKS = 2
"""Health is told anew every minute."""


class Hub:
    """`on_change` is called when a client comes or goes, `on_idle` when the last request in flight is answered."""

    def __init__(
        self,
        on_change: Callable[[], None] | None = None,
        on_idle: Callable[[], None] | None = None,
        first_version: int = 1,
    ) -> None:
        """`first_version`: of what `stateVersion` counts; above the last one of the process before."""
        self.on_change = on_change
        self.on_idle = on_idle
        self.on_presence: Callable[[], None] | None = None
        """Called when what presence lists has changed."""
        self.on_refresh: Callable[[], None] | None = None
        """Called every `REFRESH_TICKS`."""
        self.roster = Roster()
        self.lag = LoopLag()
        self.busy = 0
        """Requests that have been read and not answered yet."""
        self.connections: set[Connection] = set()
        """All that are open, also those whose client has not authenticated yet."""
        self._devices: dict[str, dict[Connection, None]] = {}
        """Oldest first."""
        self._adopted = Flag(is_set=True)
        self._missed: list[Broadcast[Any]] = []
        """What was broadcast while clients were still to come."""
        self.closing: Close | None = None
        """Why every connection is closed, those that come later too."""
        self._versions = {"presence": first_version, "health": first_version}

    @property
    def clients(self) -> list[Connection]:
        """Those who have said who they are and are not being closed."""
        return [each for each in self.connections if each.peer and not each.outbox.closing]

    @property
    def count(self) -> int:
        return len(self.clients)

    @property
    def state_version(self) -> StateVersion:
        return StateVersion(**self._versions)

    @contextmanager
    def registered(self, connection: Connection) -> Iterator[None]:
        """Keep a connection here for as long as its transport may live."""
        self.connections.add(connection)
        if self.closing:
            connection.outbox.finish(self.closing)
        try:
            yield
        finally:
            self.connections.discard(connection)
            if connection.peer:
                self._leave_device(connection, connection.peer.device_id)
                self._changed(connection, connection.peer, self.roster.leave, int(time.time() * 1000))

    def greet(self, connection: Connection, peer: Peer, now_ms: int) -> None:
        """From here on a held connection is a client."""
        connection.greet(peer, now_ms)
        self._join_device(connection, peer.device_id)
        self._changed(connection, peer, self.roster.come, now_ms)

    def adopt(self, connection: Connection, peer: Peer, since_ms: int, seq: int) -> None:
        """A held connection is a client that another process has greeted; nobody is told, because nothing changed."""
        connection.greet(peer, since_ms)
        self._join_device(connection, peer.device_id)
        connection.seq = seq
        connection.answered = True
        if tracked(peer):
            self.roster.come(peer, connection.id, since_ms)

    def _join_device(self, connection: Connection, device: str | None) -> None:
        if device is None:
            return
        others = self._devices.setdefault(device, {})
        if len(others) >= MAX_OF_A_DEVICE:
            oldest = next(iter(others))
            self._leave_device(oldest, device)
            log.warning("%d clients of device %s; the oldest is closed", MAX_OF_A_DEVICE, cut(device))
            oldest.outbox.finish(TOO_MANY_OF_A_DEVICE)
        self._devices.setdefault(device, {})[connection] = None

    def _leave_device(self, connection: Connection, device: str | None) -> None:
        clients = self._devices.get(device or "", {})
        clients.pop(connection, None)
        if not clients:
            self._devices.pop(device or "", None)

    def bound_unread(self) -> None:
        """Close the slowest readers until what waits for all together is within its bound."""
        unread = sum(each.outbox.unread for each in self.connections)
        if unread <= MAX_UNREAD:
            return
        full = (each for each in self.connections if each.outbox.unread >= LOW_WATER)
        for slowest in sorted(full, key=lambda each: each.outbox.stalled_for(), reverse=True):
            unread -= slowest.outbox.unread
            slowest.drop_slow(f"{slowest.outbox.unread} bytes unread, and more than {MAX_UNREAD} of all clients")
            slowest.carrier.abort()  # what the transport has is the most of it, and nobody takes it
            if unread <= MAX_UNREAD:
                return

    def begin_adoption(self) -> None:
        """Those whom another process has let in are about to come, by WebSocket or for the rest of an answer; say
        `end_adoption` when they have."""
        self._adopted.clear()

    def offer_missed(self, connection: Connection) -> None:
        """Tell an adopted client what the others have been told before it was its turn."""
        for news in self._missed:
            news.offer(connection)

    def end_adoption(self) -> None:
        self._missed.clear()
        self._adopted.set()

    async def wait_adopted(self) -> None:
        """Return when nobody is missing: what is told by other ways than `broadcast` is told to those who are here."""
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
        """A request has been read; you must call `end_request` when it is answered or given up."""
        self.busy += 1

    def end_request(self) -> None:
        self.busy -= 1
        if not self.busy and self.on_idle:
            self.on_idle()

    @contextmanager
    def not_counted(self) -> Iterator[None]:
        """A request that only waits for something else holds up no restart."""
        self.end_request()
        try:
            yield
        finally:
            self.begin_request()

    @contextmanager
    def announcing(self, scope: Scope) -> Iterator[None]:
        """Around what is written down and then told to those who have the scope: a client to whom a process that
        dies in between has not told it is closed by the next one, and asks how things are."""
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
        """Whether there is anybody for such an event."""
        return any(each.speaks(min_protocol) and each.may_hear(scope) for each in self.clients)

    def answer(self, id: str, request: str, text: str) -> bool:
        """A second answer to a client's request, after its first; False if the client is not here any more."""
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
        """Close those who were admitted by what held until this generation, in any mode; return how many."""
        stale = [
            each
            for each in self.clients
            if each.peer and each.peer.auth_mode != DEVICE_TOKEN and each.peer.auth_generation <= old_generation
        ]
        for connection in stale:
            connection.outbox.finish(SECRET_CHANGED)
        return len(stale)

    def close_device(self, device_id: str) -> int:
        """Close those who came in as this device, by whatever secret; return how many."""
        gone = [each for each in self.clients if each.peer and each.peer.device_id == device_id]
        for connection in gone:
            connection.outbox.finish(DEVICE_CHANGED)
        return len(gone)

    def tick(self) -> None:
        for connection in self.clients:
            stalled = connection.outbox.stalled_for()
            if stalled > STALL_S:
                connection.drop_slow(f"nothing read for {stalled:.0f} s")
        self.broadcast("tick", {"ts": int(time.time() * 1000)}, drop_if_slow=True)

    async def run(self, interval_s: float = TICK_INTERVAL_MS / 1000) -> None:
        """Tick until cancelled, and look between the ticks at how late the loop is."""
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


def _put(outbox: Outbox, text: str, first: asyncio.Task[str]) -> None:
    outbox.put(text)
