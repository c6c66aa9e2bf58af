"""Points against a connection that is played: what is under way is known at each step."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.handover.verdict import Adoption, Counters, Point, Rejection, judge
from gateway.serving.points import Points
from tests.effort import examples

BUSY = 2**64 - 1
"""As much as is never read."""


@dataclass
class Played:
    """A connection, its application and its slot; counts as the kernel would."""

    points: Points = field(default_factory=Points)
    slot: list[Point] = field(default_factory=list)
    """The two points, oldest first."""
    read: int = 0
    partial: bool = False
    unhandled: int = 0
    """Whole messages that the application has not taken."""
    serving: int = 0
    """Requests under way."""
    seq: int = 0
    sent: bytes = b""
    """What the kernel has."""
    buffer: bytes = b""
    """What the transport still has."""
    writing: bytes = b""
    """What is about to be written."""
    room: int = 1000
    answered: int = 0
    """Bytes written up to the end of the last answer, or pong."""

    @property
    def idle(self) -> bool:
        return not self.unhandled and not self.buffer

    @property
    def owes(self) -> bool:
        """Something would be missing if the process died here. An event that was not sent would not be missing."""
        return self.partial or self.unhandled > 0 or self.serving > 0 or self.answered > len(self.sent)

    def note_rest(self, read: int, written: int, seq: int) -> None:
        assert not self.partial and self.idle and not self.serving, "a point is claimed while something is under way"
        assert (read, seq) == (self.read, self.seq)
        assert written == len(self.sent + self.buffer + self.writing)
        self.note(Point(read, written, seq))

    def note_busy(self, written: int) -> None:
        assert written == len(self.sent + self.buffer + self.writing)
        self.note(Point(BUSY, written, 0))

    def note(self, point: Point) -> None:
        self.slot = [*self.slot, point][-2:]

    def begin(self) -> None:
        self.points.start(self, lambda: None if self.serving else self.seq, self.read, len(self.sent + self.buffer))

    # -- steps -----------------------------------------------------------------------------------------------------

    def receive(self, size: int, messages: int, whole: bool, pong: bool) -> None:
        """One read. The transport hands over bytes, and some of its writes come before the messages are parsed."""
        self.read += size
        self.partial = True
        self.points.add_read(size)
        if pong:
            self.write(3)
            self.answered = len(self.sent + self.buffer)
        self.unhandled += messages
        self.partial = not whole
        self.points.parsed(whole)
        self.points.checkpoint(self.idle)

    def take(self) -> None:
        if self.unhandled:
            self.unhandled -= 1
            self.serving += 1
            self.points.checkpoint(self.idle)

    def answer(self, size: int) -> None:
        if self.serving:
            self.serving -= 1
            self.write(size)
            self.answered = len(self.sent + self.buffer)
            self.points.checkpoint(self.idle)

    def event(self, size: int) -> None:
        self.seq += 1
        self.write(size)

    def write(self, size: int) -> None:
        self.writing = bytes(len(self.sent + self.buffer) + n & 255 for n in range(size))
        self.points.add_written(size, self.idle)
        assert self.slot[-1].written == len(self.sent + self.buffer) + size, "each write is noted before it is made"
        self.buffer, self.writing = self.buffer + self.writing, b""
        self.flush(0)
        if self.buffer:
            self.points.add_unsent(self.buffer[-size:].rjust(size, b"?"))

    def flush(self, more: int) -> None:
        """The client takes more bytes."""
        before, self.room = len(self.buffer), self.room + more
        taken = self.buffer[: max(0, self.room - len(self.sent))]
        self.sent, self.buffer = self.sent + taken, self.buffer[len(taken) :]
        if before and not self.buffer and more:
            self.points.flushed()
            self.points.checkpoint(self.idle)

    def stall(self) -> None:
        """The client takes nothing from here on."""
        self.room = len(self.sent)

    def mark_busy(self) -> None:
        self.serving += 1
        self.points.mark_busy()
        assert all(point.read == BUSY for point in self.slot)
        self.serving -= 1
        self.points.checkpoint(self.idle)


sizes = st.integers(1, 40)
STEPS: st.SearchStrategy[Callable[[Played], None]] = st.one_of(
    st.builds(
        lambda *received: lambda it: it.receive(*received), sizes, st.integers(0, 2), st.booleans(), st.booleans()
    ),
    st.just(Played.take),
    st.builds(lambda size: lambda it: it.answer(size), sizes),
    st.builds(lambda size: lambda it: it.event(size), sizes),
    st.builds(lambda more: lambda it: it.flush(more), st.integers(1, 200)),
    st.just(Played.stall),
    st.just(Played.mark_busy),
)


@given(before=st.integers(0, 50), steps=st.lists(STEPS, max_size=40))
@settings(max_examples=examples(400), deadline=None)
def test_a_point_is_claimed_only_when_nothing_is_under_way(before: int, steps: list[Callable[[Played], None]]) -> None:
    it = Played(read=before, sent=b"s" * before)
    it.begin()
    for step in steps:
        step(it)
        quiet = not it.partial and it.idle and not it.serving
        verdict = judge(Counters(it.read, len(it.sent), established=True), it.slot, None)
        # The process may die here: the next one goes on with nothing that is owed, and with all that is at rest.
        assert not isinstance(verdict, Adoption) or not it.owes
        if quiet:
            it.points.checkpoint(it.idle)
            assert judge(Counters(it.read, len(it.sent), established=True), it.slot, None) == Adoption(it.seq)
        elif it.slot and not it.buffer and it.slot[-1].written == len(it.sent):
            assert verdict == Rejection("unanswered", closable=True)


@given(steps=st.lists(STEPS, max_size=20), tail=st.binary(max_size=5), queued=st.binary(max_size=5))
@settings(max_examples=examples(200), deadline=None)
def test_what_is_left_is_what_the_client_has_not_got(
    steps: list[Callable[[Played], None]], tail: bytes, queued: bytes
) -> None:
    it = Played()
    it.begin()
    for step in steps:
        step(it)
    whole = it.sent + it.buffer
    if not (tail or queued or it.buffer):
        it.partial, it.unhandled, it.serving = False, 0, 0  # what leaves makes sure of it
    held = it.points.in_flight(it.seq, len(it.buffer), tail, queued)
    if held is None:
        assert (tail, queued, it.buffer) == (b"", b"", b"")
        assert it.slot[-1] == Point(it.read, len(whole), it.seq)
    else:
        assert (held.read, held.written, held.seq, held.tail) == (it.read, len(it.sent), it.seq, tail)
        assert it.sent + held.unsent == whole + queued


def test_nothing_is_noted_before_it_begins_and_after_its_end() -> None:
    it = Played()
    it.points.add_read(5)
    it.points.parsed(whole=True)
    it.points.add_written(3, idle=True)
    it.points.checkpoint(idle=True)
    it.points.mark_busy()
    assert it.slot == []
    it.begin()
    it.points.checkpoint(idle=True)
    assert it.slot == [Point(0, 0, 0)], "counted from here"
    it.points.stop()
    it.points.add_written(3, idle=True)
    it.points.mark_busy()
    assert it.points.in_flight(0, 0, b"", b"") is None
    assert it.slot == [Point(0, 0, 0)]
