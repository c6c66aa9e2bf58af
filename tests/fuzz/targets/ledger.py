"""What one process leaves for the next: a ledger, written, torn and damaged, a parting, and the verdicts on them."""

import os
from typing import Any
from unittest.mock import patch

import msgspec

from gateway.handover import handoff
from gateway.handover import ledger as module
from gateway.handover.handoff import Handoff, PendingAnswer
from gateway.handover.ledger import SLOT_BYTES, Entry, InheritedEntry, Ledger, UnreadableLedger
from gateway.handover.verdict import Adoption, Counters, InFlight, Point, judge
from tests.fuzz.source import Source

SLOTS = 8
HEADER = 4096


def one(data: bytes) -> None:
    source = Source(data)
    with patch.object(module, "SLOTS", SLOTS):
        if source.chance():
            pass_on(source)
        else:
            Tampering(source).play()


class Tampering:
    """A ledger, and what is in it by our own account."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.ledger = Ledger()
        self.entries: dict[int, Entry] = {}
        self.whos: dict[int, list[bytes]] = {}
        self.points: dict[int, list[Point]] = {}
        """All that were ever written, of everybody who was ever there."""
        self.damaged = False

    def play(self) -> None:
        try:
            while self.source.more:
                self.act()
            self.check(self.ledger)
            self.succeed()
        finally:
            self.ledger.close()

    def act(self) -> None:
        source = self.source
        ids = tuple(self.entries)
        match source.byte() % 8:
            case 0 | 1:
                who = source.bytes(40) * (1 + 60 * source.chance(16))
                entry = self.ledger.add(who)
                room = len(who) <= module.MAX_CLIENT_BYTES and len(self.entries) < SLOTS
                assert (entry is not None) == room or self.damaged
                if entry is not None:
                    assert entry.id not in self.whos or self.damaged, "a number comes again"
                    self.entries[entry.id] = entry
                    self.whos.setdefault(entry.id, []).append(who)
                    self.points.setdefault(entry.id, [])
            case 2 | 3 if ids:
                id = source.pick(ids)
                point = Point(*(source.byte() if source.chance() else 2**64 - 1 - source.byte() for _ in range(3)))
                self.points[id].append(point)
                self.entries[id].note_rest(*point)
            case 4 if ids:
                id = source.pick(ids)
                written = source.byte()
                self.points[id].append(Point(2**64 - 1, written, 0))
                self.entries[id].note_busy(written)
            case 5 if ids:
                self.entries.pop(source.pick(ids)).remove()
            case 6:
                self.damage()
            case 7:
                self.succeed()

    def damage(self) -> None:
        """A page that another program, or a broken machine, has written to."""
        at = self.source.pick((0, HEADER, HEADER + SLOT_BYTES * 3)) + (self.source.byte() << 3) + self.source.byte() % 8
        junk = self.source.bytes(16)
        at = min(at, len(self.ledger.memory) - 16)
        if self.ledger.memory[at : at + len(junk)] != junk:
            self.damaged = True
            self.ledger.memory[at : at + len(junk)] = junk

    def succeed(self) -> None:
        fd = os.dup(self.ledger.fd)
        try:
            after = Ledger(fd)
        except UnreadableLedger:
            os.close(fd)
            assert self.damaged
            return
        self.ledger.close()
        self.ledger = after
        self.entries = {found.entry.id: found.entry for found in self.check(after)}

    def check(self, ledger: Ledger) -> list[InheritedEntry]:
        """What is found was written, every word of it; undamaged, all of it is found."""
        found = list(ledger.inherited())
        for each in found:
            assert each.client in self.whos.get(each.entry.id, ()), "somebody who was never there"
            assert {*each.points} <= {*self.points[each.entry.id]}, "a point that was never written"
            if not self.damaged:
                assert {*self.points[each.entry.id][-1:]} <= {*each.points}, "the newest point is not there"
            self.verdict(each)
        if not self.damaged:
            assert {each.entry.id for each in found} == {*self.entries}
        return found

    def verdict(self, found: InheritedEntry) -> None:
        counted = Counters(self.source.byte(), self.source.byte(), not self.source.chance())
        verdict = judge(counted, found.points, None)
        if isinstance(verdict, Adoption):
            assert counted.established and Point(counted.read, counted.written, verdict.seq) in found.points


def pass_on(source: Source) -> None:
    """A parting comes back as it was, and of any bytes comes one or nothing."""
    if source.chance():
        held: dict[int, Any] = {
            source.byte(): InFlight(source.byte(), source.byte(), source.byte(), source.bytes(20), b"x")
        }
        answers = {
            source.text(): PendingAnswer(
                source.text(), source.bytes(20), source.chance(), source.chance(), source.bytes(9)
            )
        }
        left = Handoff(float(source.byte()), held, answers)
        assert handoff.read_handoff(handoff.write_handoff(left)) == left
        data = bytearray(msgspec.msgpack.encode(left))
        for _ in range(source.byte() % 8):
            data[source.byte() % len(data)] = source.byte()
    else:
        data = bytearray(source.bytes(1024))
    fd = os.memfd_create("parting", os.MFD_CLOEXEC)
    os.write(fd, bytes(data))
    again = handoff.read_handoff(fd)
    assert again is None or again.version in handoff.READABLE
