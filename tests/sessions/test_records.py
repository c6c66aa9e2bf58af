from typing import Any

import pytest

from gateway.sessions.records import Run, RunRequest, text_of


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        (
            [{"type": "text", "text": "one "}, {"type": "image", "data": "A"}, {"type": "text", "text": "two"}],
            "one two",
        ),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "toolCall", "name": "clock"}], ""),
        ([{"type": "text"}, {"type": "text", "text": None}, "loose", 7], ""),
        (None, ""),
        ({"text": "no list"}, ""),
    ],
)
def test_the_text_of_a_message_is_what_it_says_in_words(content: Any, text: str) -> None:
    assert text_of({"role": "user", "content": content}) == text


def test_a_message_without_content_says_nothing() -> None:
    assert text_of({}) == ""


@pytest.mark.parametrize(
    ("state", "unfinished"),
    [("queued", True), ("running", True), ("done", False), ("aborted", False), ("interrupted", False)],
)
def test_a_run_is_unfinished_until_its_end(state: Any, unfinished: bool) -> None:
    assert Run("r", "agent:main:main", "main", state, RunRequest({}), 0).unfinished is unfinished
