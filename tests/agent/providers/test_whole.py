from typing import Any

import pytest

from gateway.link.spec import Api
from tests.agent.providers.test_dialects import mend

ANSWERS: dict[Api, dict[str, Any]] = {
    "openai-responses": {
        "id": "r",
        "object": "response",
        "status": "completed",
        "output": [
            {"id": "x", "type": "reasoning", "summary": []},
            {"id": "m", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
            {"id": "f", "type": "function_call", "call_id": "c", "name": "look", "arguments": '{"at":1}'},
        ],
    },
    "anthropic-messages": {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m1",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "text", "text": "hi"},
            {"type": "tool_use", "id": "c", "name": "look", "input": {"at": 1}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    },
}


@pytest.mark.parametrize("api", ANSWERS)
def test_an_answer_in_one_piece_becomes_a_stream(api: Api) -> None:
    told = [event["type"] for event in mend(api, ANSWERS[api])]
    first, last = ("response.created", "response.completed") if "resp" in api else ("message_start", "message_stop")
    assert (told[0], told[-1]) == (first, last) and len(told) > 8
