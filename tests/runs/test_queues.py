from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from gateway.runs.queues import Queues

SESSIONS = ["a", "b", "c"]


def test_one_of_a_session_at_a_time_and_in_order() -> None:
    queues = Queues(5)
    for run in ("r1", "r2", "r3"):
        queues.add("a", run)
    assert queues.claim() == ("a", "r1") and queues.claim() is None
    assert queues.total == 3
    assert (queues.claimed("a"), queues.waiting("a"), queues.sessions) == ("r1", ["r2", "r3"], ("a",))
    queues.free("a")
    assert queues.claim() == ("a", "r2")
    assert queues.total == 2


def test_so_many_places_and_no_more() -> None:
    queues = Queues(2)
    for session in SESSIONS:
        queues.add(session, f"{session}1")
    assert [queues.claim(), queues.claim(), queues.claim()] == [("a", "a1"), ("b", "b1"), None]
    queues.free("b")
    assert queues.claim() == ("c", "c1")


def test_a_long_queue_does_not_keep_others_from_their_turn() -> None:
    queues = Queues(1)
    for run in ("a1", "a2", "a3"):
        queues.add("a", run)
    queues.add("b", "b1")
    turns = []
    while (claimed := queues.claim()) is not None:
        turns.append(claimed[1])
        queues.free(claimed[0])
    assert turns == ["a1", "b1", "a2", "a3"]


def test_what_need_not_wait_is_claimed_at_once() -> None:
    queues = Queues(2)
    assert queues.claim_at_once("a", "a1") and not queues.claim_at_once("a", "a2"), "one of a session at a time"
    queues.add("b", "b1")
    assert not queues.claim_at_once("b", "b2"), "another one of the session waits"
    assert queues.claim() == ("b", "b1") and not queues.claim_at_once("c", "c1"), "there is no place"
    queues.free("a")
    assert queues.claim_at_once("c", "c1") and queues.sessions == ("b", "c")


def test_what_another_process_has_begun_has_its_place() -> None:
    queues = Queues(1)
    queues.resume("a", "a1")
    queues.add("a", "a2")
    queues.add("b", "b1")
    assert queues.claim() is None
    queues.free("a")
    assert queues.claim() == ("b", "b1")


def test_what_is_held_is_not_claimed_nor_what_is_behind_it() -> None:
    queues = Queues(5)
    queues.add("a", "a1")
    queues.add("a", "a2")
    queues.add("b", "b1")
    queues.hold("a1")
    assert [queues.claim(), queues.claim()] == [("b", "b1"), None]
    queues.release("a1")
    assert queues.claim() == ("a", "a1")


def test_what_is_removed_does_not_wait() -> None:
    queues = Queues(5)
    queues.add("a", "a1")
    queues.add("a", "a2")
    assert queues.remove("a", "a1") and not queues.remove("a", "a1") and not queues.remove("b", "a2")
    assert queues.waiting("a") == ["a2"]
    assert queues.remove("a", "a2")
    assert queues.claim() is None and queues.sessions == ()
    queues.add("a", "a3")
    assert queues.claim() == ("a", "a3")


@given(
    st.integers(1, 3),
    st.lists(
        st.tuples(st.sampled_from(["add", "claim", "free", "remove", "hold", "release"]), st.sampled_from(SESSIONS)),
        max_size=60,
    ),
)
def test_each_run_is_claimed_once_and_in_order(places: int, steps: list[tuple[str, str]]) -> None:
    queues = Queues(places)
    waiting: dict[str, list[str]] = defaultdict(list)
    claimed: dict[str, str] = {}
    held: set[str] = set()
    for number, (step, session) in enumerate(steps):
        first = waiting[session][0] if waiting[session] else "none"
        if step == "add":
            queues.add(session, f"r{number}")
            waiting[session].append(f"r{number}")
        elif step == "claim":
            fit = {s for s, runs in waiting.items() if runs and runs[0] not in held and s not in claimed}
            found = queues.claim()
            assert (found is not None) == (bool(fit) and len(claimed) < places)
            if found is not None:
                assert found[0] in fit and found[1] == waiting[found[0]].pop(0)
                claimed[found[0]] = found[1]
        elif step == "free" and session in claimed:
            queues.free(session)
            del claimed[session]
        elif step == "remove":
            assert queues.remove(session, first) == (first in waiting[session])
            waiting[session][:1] = []
        elif step == "hold":
            queues.hold(first)
            held.add(first)
        elif step == "release":
            queues.release(first)
            held.discard(first)
        for each in SESSIONS:
            assert queues.waiting(each) == waiting[each] and queues.claimed(each) == claimed.get(each)
        assert set(queues.sessions) == {*claimed, *(s for s, runs in waiting.items() if runs)}
