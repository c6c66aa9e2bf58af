import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.handover.verdict import Adoption, Counters, InFlight, Point, Rejection, judge

OLD, NEW = Point(10, 100, 1), Point(20, 250, 3)
HALF = InFlight(25, 250, 3, b"tail", b"")
UNSENT = InFlight(20, 200, 3, b"", b"unsent")

GONE = Rejection("gone", closable=False)
UNANSWERED = Rejection("unanswered", closable=True)
HALF_SENT = Rejection("half-sent", closable=False)


@pytest.mark.parametrize(
    ("read", "written", "held", "verdict"),
    [
        (10, 100, None, Adoption(1)),
        (20, 250, None, Adoption(3)),
        (11, 100, None, UNANSWERED),  # the request came, and the answer's point was not written yet
        (20, 100, None, UNANSWERED),  # it was, and nothing of the answer
        (20, 101, None, HALF_SENT),
        (20, 249, None, HALF_SENT),
        (20, 251, None, HALF_SENT),
        (21, 250, None, UNANSWERED),
        (10, 250, None, UNANSWERED),  # cannot be; the client has whole messages, at any rate
        (0, 0, None, HALF_SENT),
        (25, 250, HALF, Adoption(3, b"tail", b"")),
        (20, 200, UNSENT, Adoption(3, b"", b"unsent")),
        (26, 250, HALF, UNANSWERED),
        (20, 201, UNSENT, HALF_SENT),
        (20, 250, UNSENT, HALF_SENT),  # a point says so, but a process that left on purpose has said something else
    ],
)
def test_what_becomes_of_a_connection(
    read: int, written: int, held: InFlight | None, verdict: Adoption | Rejection
) -> None:
    for points in ((OLD, NEW), (NEW, OLD)):
        assert judge(Counters(read, written, True), points, held) == verdict
        assert judge(Counters(read, written, False), points, held) == GONE


@pytest.mark.parametrize("held", [None, HALF])
def test_without_a_point_nothing_is_known(held: InFlight | None) -> None:
    verdict = judge(Counters(25, 250, True), (), held)
    assert verdict == (Adoption(3, b"tail") if held else HALF_SENT)


NUMBER = st.integers(0, 3)
POINTS = st.lists(st.builds(Point, NUMBER, NUMBER, NUMBER), max_size=2)
HELD = st.none() | st.builds(
    InFlight, NUMBER, NUMBER, NUMBER, st.sampled_from([b"", b"t"]), st.sampled_from([b"", b"u"])
)


@given(st.builds(Counters, NUMBER, NUMBER, st.booleans()), POINTS, HELD)
def test_it_is_gone_on_with_only_where_both_counters_were_written_down(
    counted: Counters, points: list[Point], held: InFlight | None
) -> None:
    verdict = judge(counted, points, held)
    said = [held] if held else points
    known = [each for each in said if (each.read, each.written) == (counted.read, counted.written)]
    assert isinstance(verdict, Adoption) is (counted.established and bool(known))
    if isinstance(verdict, Adoption):
        assert verdict.seq in {each.seq for each in known}
        assert (verdict.tail, verdict.unsent) == ((held.tail, held.unsent) if held else (b"", b""))
    elif verdict.closable:
        assert counted.established and not (held and held.unsent)
        assert held or counted.written in {point.written for point in points}
