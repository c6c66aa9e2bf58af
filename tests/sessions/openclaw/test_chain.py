import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.openclaw.chain import UNREADABLE, Tree, decode_head, steps


def tree(*events: dict[str, Any]) -> Tree:
    found = Tree()
    for number, event in enumerate(events):
        found.add(decode_head(json.dumps({"type": "message", **event})), number, 1)
    return found


def said(*events: dict[str, Any]) -> list[str | None]:
    """The ids of what is said; a summary in brackets."""
    return [f"[{step.place.id}]" if step.summary else step.place.id for step in steps(tree(*events).branch())]


def line(*ids: str) -> Sequence[dict[str, Any]]:
    """A message after the other."""
    return [{"id": id, "parentId": before} for before, id in zip([None, *ids], ids, strict=False)]


def test_what_hangs_together_is_a_conversation() -> None:
    assert said(*line("a", "b", "c")) == ["a", "b", "c"]
    assert said() == []


def test_the_branch_is_the_one_that_ends_at_the_last_event() -> None:
    assert said(*line("a", "b", "c"), {"id": "d", "parentId": "a"}, {"id": "e", "parentId": "d"}) == ["a", "d", "e"]
    assert said(*line("a", "b"), {"id": "c", "parentId": None}) == ["c"]


def test_what_says_nothing_of_its_place_follows_what_is_before_it() -> None:
    """A message that a client injected into OpenClaw 2026.2.1; and all of the first version."""
    assert said(*line("a", "b"), {"id": "injected"}, {"id": "c", "parentId": "injected"}) == ["a", "b", "injected", "c"]
    assert said({}, {}, {}) == [None, None, None]


def test_what_hangs_on_something_unknown_follows_what_is_before_it() -> None:
    assert said(*line("a", "b"), {"id": "c", "parentId": "torn"}) == ["a", "b", "c"]


def test_events_that_are_no_messages_are_steps_on_the_way_and_not_said() -> None:
    model = {"type": "model_change", "id": "m", "parentId": "a"}
    assert said(*line("a"), model, {"id": "b", "parentId": "m"}) == ["a", "b"]
    assert said(*line("a"), model) == ["a"]


@pytest.mark.parametrize(
    ("first_kept", "expected"),
    [
        ("b", ["a", "[sum]", "b", "c", "d"]),
        ("a", ["[sum]", "a", "b", "c", "d"]),
        ("gone", ["a", "b", "c", "[sum]", "d"]),
        (None, ["a", "b", "c", "[sum]", "d"]),
    ],
)
def test_a_summary_stands_before_the_first_message_that_was_kept(first_kept: str | None, expected: list[str]) -> None:
    compaction = {"type": "compaction", "id": "sum", "parentId": "c", "firstKeptEntryId": first_kept}
    assert said(*line("a", "b", "c"), compaction, {"id": "d", "parentId": "sum"}) == expected


def test_only_the_last_summary_counts() -> None:
    first = {"type": "compaction", "id": "s1", "parentId": "b", "firstKeptEntryId": "b"}
    last = {"type": "compaction", "id": "s2", "parentId": "c", "firstKeptEntryId": "c"}
    assert said(*line("a", "b"), first, {"id": "c", "parentId": "s1"}, last) == ["a", "b", "[s2]", "c"]


def test_a_summary_that_is_the_last_event_is_there() -> None:
    assert said(*line("a"), {"type": "compaction", "id": "sum", "parentId": "a"}) == ["a", "[sum]"]


def test_a_reset_begins_anew() -> None:
    before = [*line("a", "b"), {"type": "compaction", "id": "sum", "parentId": "b", "firstKeptEntryId": "b"}]
    reset = {"type": "reset", "id": "r", "parentId": "sum"}
    assert said(*before, reset, {"id": "c", "parentId": "r"}) == ["c"]
    assert said(*before, {**reset, "firstKeptEntryId": "b"}, {"id": "c", "parentId": "r"}) == ["b", "c"]


@pytest.mark.parametrize("text", [b"", b"{", b'{"type": 7}', b"[]", b'{"id": "\xff"}', b'{"a":' * 5000])
def test_what_is_no_event_says_so(text: bytes) -> None:
    with pytest.raises(UNREADABLE):
        decode_head(text)


IDS = st.sampled_from([None, "a", "b", "c", "d"])
EVENT = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "compaction", "reset", "custom"])},
    optional={"id": IDS, "parentId": IDS, "firstKeptEntryId": IDS},
)


@given(st.lists(EVENT, max_size=20))
def test_nothing_is_said_twice_whatever_the_tree(events: list[dict[str, Any]]) -> None:
    found = steps(tree(*events).branch())
    places = [step.place.at for step in found if not step.summary]
    assert places == sorted(set(places))
    assert sum(step.summary for step in found) <= 1
    if events and events[-1]["type"] == "message":
        assert places[-1] == len(events) - 1
