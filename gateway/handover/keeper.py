"""Keeps the connections of clients for the next process: in the ledger, and in systemd's fd store where there is one.

Without systemd the next process can only be our own re-exec, which inherits the descriptors.
"""

import hashlib
import hmac
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.handover.handoff import MAX_BYTES, Handoff, PendingAnswer, read_handoff, write_handoff
from gateway.handover.ledger import SLOTS, Entry, InheritedEntry, Ledger, UnreadableLedger
from gateway.handover.verdict import InFlight
from gateway.hub.connection import Connection
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.peer import Peer
from gateway.systemd.descriptors import CONNECTION, LEDGER, PARTING, Inherited
from gateway.systemd.fdstore import FdStore
from gateway.systemd.notify import Notifier
from gateway.systemd.parcels import Parcels, shut_down

log = logging.getLogger("gateway.handover")

OTHERS = 16
"""Places of the fd store for other descriptors than WebSockets: the record, the ledger, the handoff, idle HTTP."""


class ClientRecord(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A client in the ledger: what the next process must know beside the points of the connection."""

    id: str
    peer: Peer
    since_ms: int
    """Milliseconds since 1970 at which the client connected."""
    secret: str = ""
    """A fingerprint of the authentication policy under which the client was admitted."""


class KeepableConnection(Protocol):
    """A carrier whose connection can outlive the process: `serving.websocket` has the contract."""

    @property
    def fd(self) -> int: ...
    @property
    def keepable(self) -> bool: ...
    def drop(self) -> None: ...
    def stop_reading(self) -> None: ...
    def record_points(self, entry: Entry, seq: Callable[[], int | None], release: Callable[[], None]) -> None: ...
    def in_flight(self, seq: int, queued: list[bytes]) -> InFlight | None: ...


class InheritedConnection(Struct, frozen=True):
    """A connection of the process before, with what is known of it."""

    fd: int
    found: InheritedEntry | None
    """None: no ledger that could be read has it."""
    in_flight: InFlight | None


class Keeper:
    def __init__(self, notifier: Notifier, inherited: Inherited) -> None:
        self.inherited = inherited
        self.handoff: Handoff | None = None
        """The handoff of the process before; None after a crash, and at a first start."""
        self.store_size: int | None = None
        """How many descriptors systemd keeps for the service, once that is known."""
        self.gone = 0
        """Connections of the process before that did not come with this one: their clients have left meanwhile."""
        self._kept: dict[int, tuple[Connection, KeepableConnection]] = {}
        self._full_logged = False
        self._last: tuple[AuthPolicy | None, str] = (None, "")
        """The policy that was fingerprinted last, and its fingerprint."""
        self._store = FdStore(notifier)
        self._parcels = Parcels(self._store, inherited.parcels)
        others = inherited.others
        if PARTING in others:
            self.handoff = read_handoff(others[PARTING])
            self._store.remove(PARTING)
        self.ledger = self._open(others.get(LEDGER))
        self._websockets = self._find_websockets()  # before a new client enters the ledger

    def _open(self, inherited: int | None) -> Ledger:
        if inherited is not None:
            try:
                return Ledger(inherited)
            except UnreadableLedger as why:
                log.warning("connections of the predecessor cannot be gone on with: its ledger: %s", str(why))
                self._store.remove(LEDGER)
                os.close(inherited)
        self._parcels.release()  # first: their names are numbers of another ledger
        ledger = Ledger()
        self._store.put(LEDGER, ledger.fd)
        return ledger

    # -- while serving ---------------------------------------------------------------------------------------------

    @property
    def all_stored(self) -> bool:
        """systemd has every connection, as far as that is known."""
        needed = self._parcels.stored + OTHERS
        return self._store.available and (self.store_size is None or needed <= self.store_size)

    def register(self, connection: Connection, carrier: KeepableConnection, policy: AuthPolicy) -> None:
        """Keep the connection of a client that has just been admitted, if it can be kept and there is room."""
        assert connection.peer is not None
        if not carrier.keepable:
            return
        who = ClientRecord(connection.id, connection.peer, connection.since_ms, self._fingerprint(policy))
        entry = self.ledger.add(msgspec.json.encode(who))
        if entry is not None:
            self._parcels.put(_name(entry.id), carrier.fd)
            self.register_inherited(connection, carrier, entry)
        elif not self._full_logged:
            self._full_logged = True
            log.warning("no more connections can be kept over a restart; further ones will be closed then")

    def register_inherited(self, connection: Connection, carrier: KeepableConnection, entry: Entry) -> None:
        """Keep a connection whose ledger entry and stored descriptor were inherited."""
        if not carrier.keepable:  # it has ended before its turn came
            self.discard(entry)
            return
        self._kept[entry.id] = (connection, carrier)
        self._parcels.know(_name(entry.id), carrier.fd)
        connection.kept = True
        try:
            carrier.record_points(entry, connection.seq_at_rest, partial(self._release, entry))
        except OSError as error:
            log.warning("client %s cannot be kept over a restart: %s", connection.id, error)
            self._release(entry)

    def _release(self, entry: Entry) -> None:
        connection, _ = self._kept.pop(entry.id)
        connection.kept = False
        self.discard(entry)

    def discard(self, entry: Entry) -> None:
        """Free the entry, and have systemd close its duplicate of the descriptor."""
        entry.remove()
        self._parcels.remove(_name(entry.id))

    def _fingerprint(self, policy: AuthPolicy) -> str:
        """A keyed hash of what decides who is admitted. The key lies in the ledger alone."""
        known, fingerprint = self._last
        if known is not policy:  # one policy holds for many clients
            text = msgspec.json.encode(policy.admitted, order="deterministic")
            fingerprint = hmac.new(self.ledger.key, text, hashlib.sha256).hexdigest()[:32]
            self._last = (policy, fingerprint)
        return fingerprint

    def knows_secret(self, who: ClientRecord, policy: AuthPolicy) -> bool:
        """The policy is the one under which this client was admitted."""
        return hmac.compare_digest(who.secret, self._fingerprint(policy))

    # -- coming ----------------------------------------------------------------------------------------------------

    def _find_websockets(self) -> list[InheritedConnection]:
        fds = dict(self.inherited.connections)
        in_flight = self.handoff.held if self.handoff else {}
        websockets: list[InheritedConnection] = []
        for found in list(self.ledger.inherited()):
            fd = fds.pop(_name(found.entry.id), None)
            if fd is None:
                found.entry.remove()
                self.gone += 1
            else:
                websockets.append(InheritedConnection(fd, found, in_flight.get(found.entry.id)))
        self._parcels.retain({_name(each.found.entry.id) for each in websockets if each.found} | fds.keys())
        for name, fd in fds.items():
            removed = name in self._parcels
            self._parcels.remove(name)
            if removed:  # by the process before; it may have died before it could shut the connection down
                shut_down(fd)
                continue
            number = name.removeprefix(CONNECTION)
            left = in_flight.get(int(number)) if number.isdecimal() else None
            websockets.append(InheritedConnection(fd, None, left))
        return websockets

    def take_websockets(self) -> list[InheritedConnection]:
        """Return the WebSockets that came with this process; the caller owns their descriptors from here on."""
        websockets, self._websockets = self._websockets, []
        if self.handoff is not None:
            self.handoff = replace(self.handoff, held={})
        return websockets

    def shut_down_removed(self) -> None:
        """End connections that the process before has given up, and left before it could end them."""
        self._parcels.shut_down_removed()

    def take_http(self) -> Iterator[tuple[int, PendingAnswer | None]]:
        """Yield the HTTP connections that came with this process, with the answer to go on with; None if idle.

        The caller owns the descriptors. Without a handoff the connections are closed: the process before died, and may
        have read from them.
        """
        for name, fd in self.inherited.http.items():
            self._store.remove(name)
            if self.handoff is not None:
                yield fd, self.handoff.answers.pop(name, None)
            else:
                os.close(fd)

    # -- leaving ---------------------------------------------------------------------------------------------------

    async def wait_stored(self, limit_s: float) -> None:
        """Return when systemd has all connections, or after the limit. `hand_off` would wait as well, with clients."""
        await self._store.caught_up(limit_s)

    def stop_reading(self) -> None:
        """Leave what clients send from here on to the next process."""
        for _, carrier in self._kept.values():
            carrier.stop_reading()

    def hand_off(
        self, left_at: float, http: Mapping[str, int], answers: Mapping[str, PendingAnswer] = {}
    ) -> list[tuple[str, int]]:
        """Write what is in flight, and return the descriptors, with their names, for a re-exec.

        `left_at`: monotonic seconds; `http`: descriptors by name; `answers`: by such a name, what is in flight there.
        systemd gets what it does not have yet, for a process that it starts. Nothing may be read or written after this.
        """
        in_flight, room = self._collect_in_flight()
        fitting: dict[str, PendingAnswer] = {}
        for name, answer in answers.items():
            if answer.size <= room:
                fitting[name] = answer
                room -= answer.size
        http = {name: fd for name, fd in http.items() if name in fitting or name not in answers}
        passed = [(LEDGER, self.ledger.fd)]
        try:
            passed.append((PARTING, write_handoff(Handoff(left_at, in_flight, fitting))))
        except OSError as error:
            log.error(
                "what is under way for %d clients cannot be passed on; they are dropped: %s", len(in_flight), error
            )
            for id in in_flight:
                self._kept[id][1].drop()
        else:
            passed += islice(http.items(), SLOTS - len(self._kept))
        for name, fd in passed[1:]:
            self._store.put(name, fd)
        self._store.flush()
        passed += self._parcels.passed
        return passed + [(_name(id), carrier.fd) for id, (_, carrier) in self._kept.items()]

    def _collect_in_flight(self) -> tuple[dict[int, InFlight], int]:
        """Collect what is in flight by id of the ledger, and the bytes left. What closes or does not fit is dropped."""
        in_flight: dict[int, InFlight] = {}
        room = MAX_BYTES
        for id, (connection, carrier) in list(self._kept.items()):
            if connection.outbox.closing or connection.requests or not carrier.keepable:
                carrier.drop()
                continue
            rest = carrier.in_flight(connection.seq, connection.outbox.waiting())
            if rest is None:
                continue
            size = len(rest.tail) + len(rest.unsent)
            if size > room:
                carrier.drop()
                continue
            room -= size
            in_flight[id] = rest
        return in_flight, room


def _name(id: int) -> str:
    return f"{CONNECTION}{id}"
