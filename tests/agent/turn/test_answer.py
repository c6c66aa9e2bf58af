import pytest

from gateway.agent.turn import answer
from gateway.agent.turn.answer import Answer, ToolCall, add_usage, spell_usage
from gateway.agent.turn.failed import Failed
from gateway.link.messages import Usage
from gateway.link.spec import Model

MODEL = Model("p", "m", "openai-completions", cost={"input": 3, "output": 15, "cacheRead": 0.3})


def test_pieces_of_one_kind_make_one_block_and_calls_come_last() -> None:
    said = Answer(MODEL)
    assert not said.begun
    said.add_thinking("let ")
    said.add_thinking("me")
    said.add_text("a")
    said.add_text("b")
    said.add_thinking("hm")
    said.add_text("c")
    said.calls = [ToolCall("1", "t", {"x": 1}), ToolCall("2", "t", None)]
    assert said.begun and said.text == "abc"
    assert said.message()["content"] == [
        {"type": "thinking", "thinking": "let me"},
        {"type": "text", "text": "ab"},
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "c"},
        {"type": "toolCall", "id": "1", "name": "t", "arguments": {"x": 1}},
        {"type": "toolCall", "id": "2", "name": "t", "arguments": {}},
    ]


def test_thinking_keeps_its_seal() -> None:
    said = Answer(MODEL)
    said.add_thinking("x")
    said.sign_thinking("seal")
    assert said.message()["content"] == [{"type": "thinking", "thinking": "x", "thinkingSignature": "seal"}]


def test_a_message_is_one_of_openclaws_transcripts() -> None:
    said = Answer(MODEL, usage=Usage(1_000_000, 100_000, 10_000, 0))
    message = said.message(error="it broke")
    assert message.pop("timestamp") > 1_700_000_000_000
    assert message == {
        "role": "assistant",
        "content": [],
        "api": "openai-completions",
        "provider": "p",
        "model": "m",
        "stopReason": "stop",
        "errorMessage": "it broke",
        "usage": {
            "input": 1_000_000,
            "output": 100_000,
            "cacheRead": 10_000,
            "cacheWrite": 0,
            "totalTokens": 1_110_000,
            "cost": {"input": 3.0, "output": 1.5, "cacheRead": 0.003, "cacheWrite": 0.0, "total": 4.503},
        },
    }


def test_a_model_without_prices_costs_nothing() -> None:
    assert spell_usage(Usage(5, 5, 5, 5), {})["cost"]["total"] == 0


def test_usages_add_up() -> None:
    assert add_usage(Usage(1, 2, 3, 4), Usage(10, 20, 30, 40)) == Usage(11, 22, 33, 44)


def test_an_answer_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "MAX_TEXT", 4)
    said = Answer(MODEL)
    said.add_text("ab")
    said.add_thinking("cd")
    with pytest.raises(Failed, match="the answer of p/m is longer than 4 characters") as failed:
        said.add_text("e")
    assert failed.value.failure.kind == "limit" and said.text == "ab"
