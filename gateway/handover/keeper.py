"""Keeps the connections of clients for the next process: in the ledger, and in systemd's fd store where there is one.

Without systemd the next process can only be our own re-exec, which gets the descriptors themselves.
"""

import hashlib
import hmac
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.handover import handoff as parting
from gateway.handover.handoff import MAX_BYTES, Handoff, PendingAnswer
from gateway.handover.ledger import SLOTS, Entry, InheritedEntry, Ledger, UnreadableLedger
from gateway.handover.verdict import Held
from gateway.hub.connection import Connection
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.peer import Peer
from gateway.systemd.descriptors import CONNECTION, LEDGER, PARTING, Inherited
from gateway.systemd.fdstore import FdStore
from gateway.systemd.notify import Notifier

log = logging.getLogger("gateway.handover")


OTHERS = 16
"""Places of the fd store that are not for clients' WebSockets: the record, the ledger, the parting, idle HTTP."""


class Who(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What must be known to go on with a client, beside the points of its connection."""

    id: str
    peer: Peer
    since_ms: int
    secret: str = ""
    """A fingerprint of what the gateway asked of clients when this one came."""


class KeepableConnection(Protocol):
    """A carrier whose connection can outlive the process."""

    @property
    def fd(self) -> int: ...
    @property
    def keepable(self) -> bool: ...
    def drop(self) -> None: ...
    def stop_reading(self) -> None: ...
    def record_points(self, entry: Entry, seq: Callable[[], int | None], release: Callable[[], None]) -> None: ...
    def in_flight(self, seq: int, queued: list[str]) -> Held | None: ...


@dataclass(frozen=True)
class InheritedConnection:
    """A connection that a predecessor has left, as far as it can be known."""

    fd: int
    found: InheritedEntry | None
    """None: it is in no ledger that could be read."""
    held: Held | None


@dataclass
class Keeper:
    notifier: Notifier
    inherited: Inherited
    before: Handoff | None = None
    """What the predecessor said when it left; None after a crash, and at a first start."""
    store_size: int | None = None
    """How many descriptors systemd keeps for us, once that is known."""
    gone: int = 0
    """Connections of the predecessor that did not come with this process: their clients have left meanwhile."""
    _kept: dict[int, tuple[Connection, KeepableConnection]] = field(default_factory=dict)
    _told: bool = False
    _last: tuple[AuthPolicy | None, str] = (None, "")
    """The policy of the latest fingerprint."""

    def __post_init__(self) -> None:
        self._store = FdStore(self.notifier)
        others = self.inherited.others
        if PARTING in others:
            self.before = parting.read(others[PARTING])
            self._store.remove(PARTING)
        self.ledger = self._open(others.get(LEDGER))
        self._left = self._look()  # before a newcomer enters the ledger

    def _open(self, inherited: int | None) -> Ledger:
        if inherited is not None:
            try:
                return Ledger(inherited)
            except UnreadableLedger as why:
                log.warning("connections of the predecessor cannot be gone on with: its ledger: %s", str(why))
                self._store.remove(LEDGER)
                os.close(inherited)
        ledger = Ledger()
        self._store.put(LEDGER, ledger.fd)
        return ledger

    # -- while serving ---------------------------------------------------------------------------------------------

    @property
    def all_stored(self) -> bool:
        """Whether systemd has every connection, as far as that is known."""
        needed = len(self._kept) + OTHERS
        return self._store.available and (self.store_size is None or needed <= self.store_size)

    def keep(self, connection: Connection, carrier: KeepableConnection, policy: AuthPolicy) -> None:
        """A new client: its connection shall outlive this process, if it can and there is room."""
        assert connection.peer is not None
        if not carrier.keepable:
            return
        who = Who(connection.id, connection.peer, connection.since_ms, self._fingerprint(policy))
        entry = self.ledger.enter(msgspec.json.encode(who))
        if entry is not None:
            self._store.put(_name(entry.id), carrier.fd)
            self.resume(connection, carrier, entry)
        elif not self._told:
            self._told = True
            log.warning("no more connections can be kept over a restart; further ones will be closed then")

    def resume(self, connection: Connection, carrier: KeepableConnection, entry: Entry) -> None:
        """One that has its entry, and its place in the store, from before."""
        if not carrier.keepable:  # it has ended before it was its turn
            self.discard(entry)
            return
        self._kept[entry.id] = (connection, carrier)
        connection.kept = True
        try:
            carrier.record_points(entry, connection.seq_at_rest, partial(self._forget, entry))
        except OSError as error:
            log.warning("client %s cannot be kept over a restart: %s", connection.id, error)
            self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        connection, _ = self._kept.pop(entry.id)
        connection.kept = False
        self.discard(entry)

    def discard(self, entry: Entry) -> None:
        entry.remove()
        self._store.remove(_name(entry.id))

    def _fingerprint(self, policy: AuthPolicy) -> str:
        """Of what decides who is admitted; worth nothing without the key, which lies in the ledger alone."""
        known, fingerprint = self._last
        if known is not policy:  # one policy holds for many clients
            text = msgspec.json.encode(policy.admitted, order="deterministic")
            fingerprint = hmac.new(self.ledger.key, text, hashlib.sha256).hexdigest()[:32]
            self._last = (policy, fingerprint)
        return fingerprint

    def knows_secret(self, who: Who, policy: AuthPolicy) -> bool:
        """Whether the gateway still asks for what this client came in by."""
        return hmac.compare_digest(who.secret, self._fingerprint(policy))

    # -- coming ----------------------------------------------------------------------------------------------------

    def _look(self) -> list[InheritedConnection]:
        fds = dict(self.inherited.connections)
        held = self.before.held if self.before else {}
        left: list[InheritedConnection] = []
        for found in list(self.ledger.found()):
            fd = fds.pop(_name(found.entry.id), None)
            if fd is None:
                found.entry.remove()
                self.gone += 1
            else:
                left.append(InheritedConnection(fd, found, held.get(found.entry.id)))
        for name, fd in fds.items():
            self._store.remove(name)
            number = name.removeprefix(CONNECTION)
            left.append(InheritedConnection(fd, None, held.get(int(number)) if number.isdecimal() else None))
        return left

    def left(self) -> list[InheritedConnection]:
        """All connections that came with this process; the caller has them from here on."""
        left, self._left = self._left, []
        if self.before is not None:
            self.before = replace(self.before, held={})
        return left

    def take_http(self) -> Iterator[tuple[int, PendingAnswer | None]]:
        """HTTP connections of the predecessor, idle or with an answer to go on with; this process's alone from here on.

        If it was not the predecessor that left them, but one before, then it has perhaps read from them.
        """
        for name, fd in self.inherited.http.items():
            self._store.remove(name)
            if self.before is not None:
                yield fd, self.before.answers.pop(name, None)
            else:
                os.close(fd)

    # -- leaving ---------------------------------------------------------------------------------------------------

    async def caught_up(self, limit_s: float) -> None:
        """Return when systemd has everybody, or after the limit: `part` would wait for it, and clients with us."""
        await self._store.caught_up(limit_s)

    def stop_reading(self) -> None:
        """What clients send from here on is for the successor."""
        for _, carrier in self._kept.values():
            carrier.stop_reading()

    def part(
        self, left_at: float, http: Mapping[str, int], answers: Mapping[str, PendingAnswer] = {}
    ) -> list[tuple[str, int]]:
        """Nothing may be read or written after this. Returns the descriptors for a successor in this very process.

        systemd gets those that it has not yet: where it has the rest, they are for a successor in another process.
        """
        held, room = self._hold()
        fitting: dict[str, PendingAnswer] = {}
        for name, answer in answers.items():
            if answer.size <= room:
                fitting[name] = answer
                room -= answer.size
        http = {name: fd for name, fd in http.items() if name in fitting or name not in answers}
        passed = [(LEDGER, self.ledger.fd)]
        try:
            passed.append((PARTING, parting.write(Handoff(left_at, held, fitting))))
        except OSError as error:
            log.error("what is under way for %d clients cannot be passed on; they are dropped: %s", len(held), error)
            for id in held:
                self._kept[id][1].drop()
        else:
            passed += islice(http.items(), SLOTS - len(self._kept))
        for name, fd in passed[1:]:
            self._store.put(name, fd)
        self._store.flush()
        return passed + [(_name(id), carrier.fd) for id, (_, carrier) in self._kept.items()]

    def _hold(self) -> tuple[dict[int, Held], int]:
        """What is under way, by id, and the bytes left. Who is being closed, or does not fit, is dropped."""
        held: dict[int, Held] = {}
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
            held[id] = rest
        return held, room


def _name(id: int) -> str:
    return f"{CONNECTION}{id}"
