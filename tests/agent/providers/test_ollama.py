import json
from typing import Any

from gateway.agent.providers.ollama import OllamaChat, request
from gateway.link.spec import Model

MODEL = Model("ollama", "qwen3:8b", "ollama", "http://h:11434", params={"num_ctx": 32768}, reasoning=True)
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
BODY: dict[str, Any] = {
    "model": "qwen3:8b",
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_completion_tokens": 77,
    "temperature": 0,
    "tools": [TOOL],
    "messages": [
        {"role": "developer", "content": "Be kind."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGFsbG8="}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": "hm"},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
    ],
}


def test_a_request_is_ollamas_own() -> None:
    asked = request(BODY, MODEL)
    assert asked["options"] == {"num_ctx": 32768, "num_predict": 77, "temperature": 0}
    assert asked["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "what is it?", "images": ["aGFsbG8="]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "hm",
            "tool_calls": [{"function": {"name": "look", "arguments": {"at": 1}}}],
        },
        {"role": "tool", "content": "a cat", "tool_name": "look"},
    ]
    assert asked["tools"] == [TOOL] and asked["stream"] is True and "think" not in asked
    assert (asked["truncate"], asked["shift"]) == (False, False), "what does not fit is refused, not cut"


def test_params_go_where_ollama_has_them() -> None:
    params = {"num_gpu": 1, "keep_alive": "15m", "truncate": True, "think": False, "streaming": False}
    asked = request(BODY | {"reasoning_effort": "high"}, Model("o", "m", "ollama", params=params))
    assert (asked["keep_alive"], asked["truncate"], asked["think"]) == ("15m", True, False)
    assert asked["options"]["num_gpu"] == 1 and "streaming" not in str(asked)


def test_thinking_is_asked_of_models_that_reason() -> None:
    wanted = {"none": False, "minimal": "low", "medium": "medium", "xhigh": "high"}
    assert {each: request(BODY | {"reasoning_effort": each}, MODEL)["think"] for each in wanted} == wanted
    assert "think" not in request(BODY | {"reasoning_effort": "high"}, Model("o", "m", "ollama"))


def test_arguments_that_are_no_object_are_none() -> None:
    broken = {**CALL, "function": {"name": "look", "arguments": "{no"}}
    asked = request(BODY | {"messages": [{"role": "assistant", "content": "", "tool_calls": [broken]}]}, MODEL)
    assert asked["messages"][0]["tool_calls"][0]["function"]["arguments"] == {}


def told(*lines: dict[str, Any]) -> list[dict[str, Any]]:
    chat = OllamaChat()
    return [chunk for line in lines for chunk in chat.chunks({"model": "m", **line})]


def test_calls_in_pieces_are_gathered() -> None:
    call = {"function": {"name": "look", "arguments": {"at": 1}}}
    said = told({"message": {"tool_calls": [call]}, "done": False}, {"message": {"tool_calls": [call]}}, {"done": True})
    calls = [each for chunk in said[:2] for each in chunk["choices"][0]["delta"]["tool_calls"]]
    assert [(each["index"], json.loads(each["function"]["arguments"])) for each in calls] == [
        (0, {"at": 1}),
        (1, {"at": 1}),
    ]
    assert len({each["id"] for each in calls}) == 2 and said[2]["choices"][0]["finish_reason"] == "tool_calls"


def test_an_answer_ends_with_its_reason_and_its_usage() -> None:
    said = told(
        {"message": {"thinking": "hm"}},
        {"message": {"content": "hi"}},
        {"message": {"content": ""}, "done": True, "done_reason": "length", "prompt_eval_count": 3, "eval_count": 2},
    )
    assert [chunk["choices"][0]["delta"] for chunk in said[:3]] == [{"reasoning": "hm"}, {"content": "hi"}, {}]
    assert said[2]["choices"][0]["finish_reason"] == "length"
    assert said[3]["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_an_error_is_one() -> None:
    assert told({"error": "model requires more system memory"}) == [{"error": "model requires more system memory"}]
