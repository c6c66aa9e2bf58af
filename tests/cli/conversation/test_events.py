import msgspec
import pytest

from gateway.cli.conversation.events import (
    ChatEvent,
    PastMessage,
    Question,
    RunBegun,
    RunEnded,
    TextDelta,
    ToolUse,
    read_row,
)


@pytest.mark.parametrize(
    ("piece", "json"),
    [
        (RunBegun("r"), '{"event":"begin","run":"r"}'),
        (Question("r", "Why?"), '{"event":"question","run":"r","text":"Why?"}'),
        (TextDelta("r", "é"), '{"event":"text","run":"r","text":"é"}'),
        (ToolUse("r", "look", {"q": 1}), '{"event":"tool","run":"r","name":"look","args":{"q":1}}'),
        (ToolUse("r", "look", error="no"), '{"event":"tool","run":"r","name":"look","error":"no"}'),
        (RunEnded("r", "final", "So."), '{"event":"end","run":"r","state":"final","text":"So.","error":null}'),
    ],
)
def test_as_json(piece: ChatEvent, json: str) -> None:
    assert msgspec.json.encode(piece).decode() == json


def test_a_message_as_the_history_has_it() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "toolCall", "name": "look"}, {"type": "text", "text": "b"}]
    marks = {"id": "1", "runId": "r"}
    message = {"role": "assistant", "content": content, "stopReason": "toolUse", "__openclaw": marks}
    assert read_row(message) == PastMessage("assistant", "ab", "1", "r", "toolUse", tools=("look",))
    assert read_row({"role": "user", "content": "hi"}) == PastMessage("user", "hi")
    assert read_row({"content": None, "__openclaw": 5}) == PastMessage("", "")


def test_a_run_that_failed_before_it_had_any_words() -> None:
    words = [{"type": "text", "text": "no key"}]
    message = {"role": "assistant", "content": words, "stopReason": "error", "errorMessage": "no key"}
    assert read_row(message) == PastMessage("assistant", "", stop="error", error="no key")
