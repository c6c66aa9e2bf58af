"""What is left of a conversation that is too long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agent.providers.pictures import OLD
from gateway.agent.window import tokens
from gateway.agent.window.shortening import (
    LEAST_RESULT,
    NOTE_LENGTH,
    cut_blocks,
    cut_results,
    cut_text,
    is_summary,
    recent_start,
    shared_bound,
    turn_starts,
)
from gateway.link.spec import Message

ENTRY: Message = {"role": "compaction", "summary": "They met."}


def said(roles: str) -> list[Message]:
    names = {"u": "user", "a": "assistant", "r": "toolResult"}
    return [ENTRY if role == "s" else {"role": names[role], "content": "x" * 35} for role in roles]


@given(st.text(max_size=600), st.integers(LEAST_RESULT, 500))
def test_a_text_keeps_its_beginning_and_its_end(text: str, most: int) -> None:
    cut = cut_text(text, most)
    assert len(cut) <= len(text) + 1 and cut[: most // 2] == text[: most // 2] and cut[-20:] == text[-20:]
    assert (cut == text) is (len(text) <= most + NOTE_LENGTH)


def test_a_result_shares_its_bound_among_its_blocks() -> None:
    picture = {"type": "image", "data": "A"}
    blocks = [{"type": "text", "text": "x" * 5000}, {"type": "text", "text": "y" * 5000}, picture]
    cut = cut_blocks(blocks, 1000, pictures=False)
    assert (
        sum(len(block["text"]) for block in cut[:2]) < 1000 + LEAST_RESULT + 2 * NOTE_LENGTH and cut[2]["text"] == OLD
    )
    assert cut_blocks([picture], 1000, pictures=True) == [picture]


def test_only_results_before_a_place_are_cut() -> None:
    large: Message = {"role": "toolResult", "content": [{"type": "text", "text": "x" * 9000}]}
    messages = [large, {**large, "content": "x" * 9000}, {**large, "role": "user"}, large]
    cut = cut_results(messages, 3)
    assert [len(str(each["content"])) < 3000 for each in cut] == [True, True, False, False]
    assert cut[2:] == messages[2:]


@pytest.mark.parametrize(
    ("roles", "keep", "turns_", "begin"),
    [
        ("uaua", 0, 0, 4),
        ("uaua", 50, 0, 2),
        ("uaua", 1000, 0, 0),
        ("suaua", 1000, 0, 1),
        ("suaua", 0, 1, 3),
        ("uaraua", 50, 0, 4),
        ("uarauara", 80, 0, 4),
        ("aua", 1000, 0, 0),
        ("", 1000, 3, 0),
    ],
)
def test_what_is_kept_begins_with_what_the_user_says(roles: str, keep: int, turns_: int, begin: int) -> None:
    assert recent_start(said(roles), keep, turns_, 1000) == begin


@given(st.text("uar", max_size=20), st.integers(0, 400), st.integers(0, 4), st.integers(0, 400))
def test_no_call_is_divided_from_its_result(roles: str, keep: int, least: int, room: int) -> None:
    messages = said(roles)
    begin = recent_start(messages, keep, least, room)
    assert begin in (0, len(messages)) or begin in turn_starts(messages)
    assert tokens.of_messages(messages[begin:]) <= max(keep, room)


def test_summaries_of_imports_are_some_too() -> None:
    assert is_summary(ENTRY) and is_summary({"role": "user", "summary": True}) and not is_summary({"role": "user"})


@given(st.lists(st.integers(0, 1000), max_size=6), st.integers(0, 3000))
def test_a_share_is_the_largest_by_which_all_have_room(sizes: list[int], room: int) -> None:
    most = shared_bound(sizes, room)
    assert sum(min(size, most) for size in sizes) <= room
    if any(size > most for size in sizes):
        assert sum(min(size, most + 1) for size in sizes) > room
