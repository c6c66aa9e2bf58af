from typing import Any

import pytest

from gateway.sessions.openclaw.entry import LEAD, MAX_TEXT, message, session, summary, time_ms
from tests.sessions.talk import MAIN, NOW

BEFORE = NOW - 5


def read(entry: dict[str, Any], began: int = NOW, last: int = NOW + 9) -> Any:
    return session(MAIN, "id", "main", entry, began, last, 3)


def test_what_a_session_is_called_and_set_to_comes_along() -> None:
    """An entry of OpenClaw 2026.2.1, the long texts shortened."""
    found = read(
        {
            "sessionId": "ae9c4b0f-7325-4042-bd90-6c60c0c37357",
            "updatedAt": NOW + 7,
            "systemSent": True,
            "abortedLastRun": True,
            "chatType": "direct",
            "thinkingLevel": "low",
            "label": "Trip",
            "providerOverride": "mock",
            "modelOverride": "m2",
            "deliveryContext": {"channel": "webchat"},
            "lastChannel": "webchat",
            "sessionFile": "/home/u/.openclaw/agents/main/sessions/x.jsonl",
            "compactionCount": 0,
            "skillsSnapshot": {"prompt": "…"},
            "inputTokens": 12,
            "outputTokens": 5,
            "totalTokens": 17,
            "modelProvider": "mock",
            "model": "m1",
            "contextTokens": 200000,
        }
    )
    assert found.entry == {"chatType": "direct", "thinkingLevel": "low", "label": "Trip", "model": "mock/m2"}
    assert (found.key, found.id, found.agent, found.messages) == (MAIN, "id", "main", 3)
    assert (found.created, found.updated, found.aborted) == (NOW, NOW + 7, True)
    assert (found.provider, found.model, found.input, found.output, found.total) == ("mock", "m1", 12, 5, 17)


def test_a_pinned_or_archived_session_of_2026_9_6_stays_one() -> None:
    found = read({"pinnedAt": NOW, "archivedAt": 0, "createdAt": NOW - 9, "icon": "🐙"})
    assert found.entry == {"icon": "🐙", "pinned": True, "pinnedAt": NOW}
    assert found.created == NOW - 9


@pytest.mark.parametrize("value", [None, 7, "", ["x"], "x" * (MAX_TEXT + 1)])
def test_a_setting_that_is_none_is_left_out(value: Any) -> None:
    assert read({"label": value, "modelOverride": value, "modelProvider": value}).entry == {}


def test_a_model_without_its_provider_is_none() -> None:
    assert read({"modelOverride": "m1"}).entry == {}
    assert read({"modelOverride": "mock/m1"}).entry == {"model": "mock/m1"}


@pytest.mark.parametrize("value", [None, "5", True, -1, float("inf"), 2**53, {}])
def test_a_number_that_is_none_is_nothing(value: Any) -> None:
    found = read({"inputTokens": value, "updatedAt": value, "createdAt": value})
    assert (found.input, found.updated, found.created) == (0, NOW + 9, NOW)


@pytest.mark.parametrize(
    ("entry", "began", "last", "times"),
    [
        ({}, NOW, NOW + 9, (NOW, NOW + 9)),
        ({"updatedAt": NOW}, 0, 0, (NOW, NOW)),
        ({"createdAt": NOW + 5, "updatedAt": NOW}, 0, 0, (NOW, NOW)),
        ({}, NOW, 0, (NOW, NOW)),
        ({}, 0, 0, (0, 0)),
    ],
)
def test_a_session_has_times_that_fit(entry: dict[str, Any], began: int, last: int, times: tuple[int, int]) -> None:
    found = read(entry, began, last)
    assert (found.created, found.updated) == times


def event(**said: Any) -> dict[str, Any]:
    return {"timestamp": "2026-11-22T09:33:20.000Z", "message": {"role": "user", "content": "x", **said}}


def test_a_message_comes_along_as_it_is() -> None:
    said = {"role": "assistant", "content": [{"type": "toolCall", "id": "1"}], "usage": {"input": 1}, "timestamp": NOW}
    assert message({"message": said}, BEFORE) == said


def test_what_openclaw_notes_of_its_transport_stays_behind() -> None:
    assert message(event(idempotencyKey="k", __openclaw={"runId": "r"}), BEFORE) == {
        "role": "user",
        "content": "x",
        "timestamp": NOW,
    }


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("[Wed 2026-11-25 03:19 UTC] Hello\n[message_id: ef2389c2-5787]", "Hello"),
        ("[WhatsApp Ann +2m 2026-11-25 03:19 UTC] one\ntwo", "one\ntwo"),
        ("[2026-11-25T03:19Z] Hello", "Hello"),
        ("[not a time] Hello", "[not a time] Hello"),
        ("see [2026-11-25 03:19]", "see [2026-11-25 03:19]"),
    ],
)
def test_a_question_is_what_was_written(text: str, written: str) -> None:
    for content, expected in (
        (text, written),
        (
            [{"type": "text", "text": text}, {"type": "image"}, 7],
            [{"type": "text", "text": written}, {"type": "image"}, 7],
        ),
    ):
        found = message(event(content=content), BEFORE)
        assert isinstance(found, dict) and found["content"] == expected
    found = message(event(role="assistant", content=text), BEFORE)
    assert isinstance(found, dict) and found["content"] == text


@pytest.mark.parametrize(
    ("said", "timestamp", "expected"),
    [
        (NOW + 1, "2026-11-22T09:33:20.000Z", NOW + 1),
        ("soon", "2026-11-22T09:33:20.000Z", NOW),
        (None, "soon", BEFORE),
        (None, None, BEFORE),
    ],
)
def test_a_message_has_a_time(said: Any, timestamp: Any, expected: int) -> None:
    found = message({**event(timestamp=said), "timestamp": timestamp}, BEFORE)
    assert isinstance(found, dict) and found["timestamp"] == expected


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"role": "bashExecution", "content": "ls"}, "messages of bashExecution"),
        ({"role": "x" * 99, "content": ""}, f"messages of {'x' * 20}"),
        ({"content": ""}, "messages of None"),
        ({"role": "user"}, "messages without content"),
        ({"role": "user", "content": 7}, "messages without content"),
        ("hello", "messages without content"),
        (None, "messages without content"),
    ],
)
def test_what_can_be_no_message_here_says_what_it_is(said: Any, what: str) -> None:
    assert message({"message": said}, BEFORE) == what


def test_a_summary_is_a_message_that_stands_for_what_is_before() -> None:
    found = summary({"summary": "They planned a trip.", "timestamp": "2026-11-22T09:33:20Z"}, BEFORE)
    assert found == {
        "role": "user",
        "content": [{"type": "text", "text": f"{LEAD}They planned a trip."}],
        "timestamp": NOW,
        "summary": True,
    }
    for empty in ({}, {"summary": " "}, {"summary": 7}):
        assert summary(empty, BEFORE) == "empty summaries"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T09:33:20.123Z", NOW + 123),
        ("2026-11-22T10:33:20+01:00", NOW),
        ("2026-11-22T09:33:20", NOW),
        ("yesterday", 0),
        (NOW, 0),
        (None, 0),
    ],
)
def test_a_moment_is_read_or_none(text: Any, expected: int) -> None:
    assert time_ms(text) == expected
