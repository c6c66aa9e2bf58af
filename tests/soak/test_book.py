"""The soak finds what it is there for: each kind of wrong that a client or the database could have."""

from typing import Any

import pytest

from tests.soak.book import LOST, Ear, Ears, End, Question, Stored

SAYS = "You said: a b c"


def question(**more: Any) -> Question:
    return Question(**{"id": "q", "session": "s", "kind": "plain", "prompt": "a b c", "says": SAYS, **more})


def told(state: str, text: str = "", delta: str | None = None, **more: Any) -> dict[str, Any]:
    message = {"message": {"content": [{"text": text}]}} if text else {}
    return {"state": state, **message, **({} if delta is None else {"deltaText": delta}), **more}


@pytest.mark.parametrize(
    ("end", "text", "error", "ends", "is_right"),
    [
        ("final", SAYS, None, {"final"}, True),
        ("final", "You said:  a b\nc ", None, {"final"}, True),
        ("final", "You said: a b", None, {"final"}, False),
        ("final", "You said: a a b c", None, {"final"}, False),
        ("final", SAYS, None, {"error"}, False),
        ("aborted", "You said: a", None, {"aborted"}, True),
        ("aborted", "", None, {"aborted"}, True),
        ("aborted", "You said: b", None, {"aborted"}, False),
        ("aborted", "", None, {"final"}, False),
        ("error", "", "no key", {"error"}, True),
        ("error", "", "no key", {"final"}, False),
        ("error", "You said: a", f"{LOST} twice", {"final"}, True),
        ("error", "something else", f"{LOST} twice", {"final"}, False),
    ],
)
def test_how_a_question_may_end(end: End, text: str, error: str | None, ends: set[End], is_right: bool) -> None:
    assert (question(ends=frozenset(ends)).problem(end, text, error) is None) is is_right


def hear(asked: Question, *events: dict[str, Any], heard: str | None = "") -> list[str]:
    ear = Ear(asked, heard)
    return [problem for event in events if (problem := ear.hear(event)) is not None]


def test_an_answer_that_is_told_in_pieces_is_right() -> None:
    pieces = (told("status"), told("delta", "You ", "You "), told("delta", "You said: a ", "said: a "))
    assert hear(question(), *pieces, told("final", SAYS)) == []


@pytest.mark.parametrize(
    "pieces",
    [
        (told("delta", "You said: ", "said: "),),
        (told("delta", "You ", "You "), told("delta", "You said: a", "a")),
        (told("delta", "You said: b", "You said: b"),),
        (told("delta", "You ", "You "), told("final", "You said: a")),
        (told("final", SAYS), told("final", SAYS)),
        (told("final", SAYS), told("delta", SAYS, "c")),
    ],
    ids=["a piece is missing", "one in the middle", "another word", "a short end", "two ends", "more after the end"],
)
def test_what_is_told_wrong_is_found(pieces: tuple[dict[str, Any], ...]) -> None:
    assert len(hear(question(), *pieces)) == 1


def test_who_comes_later_or_is_told_anew_knows_no_pieces_before() -> None:
    anew = told("delta", "You ", "You ", replace=True)
    assert hear(question(), told("delta", "You said: a", "a"), heard=None) == []
    assert hear(question(), told("delta", "You said: a", "You said: a"), anew) == []


def test_who_was_too_slow_for_an_event_is_only_wrong_where_no_number_says_so() -> None:
    later = told("delta", "You said: a", "a")
    for numbers, is_right in (((1, 2, 4), True), ((1, 2, 3), False)):
        ears = Ears({"q": Ear(question(), "")})
        assert ears.of["q"].hear(told("delta", "You ", "You ")) is None
        assert all(map(ears.count, numbers)) is not is_right
        assert (ears.of["q"].hear(later) is None) is is_right


def test_an_event_without_a_number_leaves_none_out() -> None:
    assert [Ears(seq=4).count(seq) for seq in (None, 5, 6)] == [True, True, False]


def test_a_client_of_the_older_protocol_hears_no_pieces() -> None:
    assert hear(question(), told("delta", "You "), told("delta", "You said: a b")) == []


def test_an_answer_begins_anew_after_a_tool() -> None:
    events = (told("delta", "Looking. ", "Looking. "), told("delta", "You said: ", "You said: "))
    assert hear(question(first="Looking."), *events) == []
    assert hear(question(), *events) != []


@pytest.mark.parametrize(
    ("stored", "end", "is_right"),
    [
        (Stored("q", "done", users=[1], said=[SAYS]), "final", True),
        (Stored("q", "done", users=[1], said=[SAYS]), None, True),
        (Stored("q", "done", users=[1], said=[SAYS]), "aborted", False),
        (Stored("q", "running", users=[1]), None, False),
        (Stored("q", "done", users=[1], said=[SAYS, SAYS]), "final", False),
        (Stored("q", "done", users=[1], said=["You said: a"]), "final", False),
        (Stored("q", "done", users=[], said=[SAYS]), "final", False),
        (Stored("q", "done", users=[1, 2], said=[SAYS]), "final", False),
        (Stored("q", "aborted"), "aborted", True),
        (Stored("q", "aborted", users=[1], said=["You said: a"]), "aborted", True),
        (Stored("q", "aborted", users=[1], said=["a"]), "aborted", False),
        (Stored("q", "interrupted", users=[1], said=["You sa"]), "error", True),
        (Stored("q", "failed", users=[1]), "error", True),
        (Stored("q", "failed"), "error", False),
    ],
)
def test_what_may_be_on_disk(stored: Stored, end: End | None, is_right: bool) -> None:
    assert (stored.problem(question(end=end)) is None) is is_right


def test_both_answers_of_a_question_with_a_tool_are_on_disk() -> None:
    asked = question(first="Looking.", end="final")
    assert Stored("q", "done", users=[1], said=["Looking. ", SAYS]).problem(asked) is None
    assert Stored("q", "done", users=[1], said=[SAYS]).problem(asked) is not None


def test_what_was_forgotten_on_request_is_not_missed() -> None:
    assert Stored("q", "done").problem(question(end="final", lost="new")) is None


def test_a_command_has_one_answer_whatever_it_is() -> None:
    assert Stored("q", "done", users=[1], said=["Session: s"]).problem(question(says=None, end="final")) is None
    assert Stored("q", "done", users=[1]).problem(question(says=None, end="final")) is not None
