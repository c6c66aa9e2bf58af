import json
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from gateway.link.messages import Failure, FailureKind, Usage
from gateway.sessions.records import Run, RunRequest
from gateway.web.openai import answers
from gateway.web.openai.answers import Chunks, Error, broken, completion, failure, model, model_list, usage

RUN = Run("k1", "agent:main:x", "main", "done", RunRequest({}), 1_700_000_000_999, answer="hello", usage=Usage(10, 5))


def events(data: bytes) -> list[Any]:
    assert data.endswith(b"\n\n")
    found = [each.removeprefix("data: ") for each in data.decode().split("\n\n")[:-1]]
    return [json.loads(each) if each.startswith("{") else each for each in found]


def test_a_completion() -> None:
    assert json.loads(completion(RUN, "openclaw/default")) == {
        "id": "chatcmpl_k1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "openclaw/default",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
    empty = json.loads(completion(replace(RUN, id="chatcmpl_1", answer="", stop_reason="length"), "m"))
    assert empty["id"] == "chatcmpl_1" and empty["choices"][0]["finish_reason"] == "length"
    assert empty["choices"][0]["message"]["content"] == "No response from OpenClaw."


def test_the_events_of_a_stream_are_of_one_completion() -> None:
    chunks = Chunks("k1", RUN.accepted, "m")
    told = events(chunks.role() + chunks.content('a\n"b"') + chunks.end(RUN, with_usage=True))
    head = {"id": "chatcmpl_k1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m"}
    assert told == [
        {**head, "choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {"content": 'a\n"b"'}, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**head, "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}},
        "[DONE]",
    ]
    assert [type(each) for each in events(chunks.end(RUN, with_usage=False))] == [dict, str]


def test_tokens_add_up_whatever_was_cached() -> None:
    told = usage(Usage(1, 2, 4, 8))
    assert told["prompt_tokens"] + told["completion_tokens"] == told["total_tokens"] == 15
    assert told["prompt_tokens_details"] == {"cached_tokens": 4}


@pytest.mark.parametrize("kind", get_args(FailureKind))
def test_each_failure_has_a_status_and_says_why(kind: FailureKind) -> None:
    status, error = failure(replace(RUN, state="failed", failure=Failure(kind, "because")))
    assert 400 <= status < 600 and error == Error("because", error.type, kind)
    told = events(broken(error))
    assert told == [{"error": {"message": "because", "type": error.type, "code": kind}}, "[DONE]"]


def test_a_run_that_says_nothing_of_its_end_and_one_that_nobody_knows() -> None:
    assert failure(replace(RUN, state="interrupted"))[1].message == "the run ended without an answer"
    assert failure(None)[0] == 500


def test_models() -> None:
    one = {"id": "openclaw", "object": "model", "created": 0, "owned_by": "openclaw", "permission": []}
    assert json.loads(model("openclaw", "openclaw")) == one
    assert json.loads(model_list([("openclaw", "openclaw")])) == {"object": "list", "data": [one]}


def test_an_error_without_a_code_is_openclaws() -> None:
    assert json.loads(answers.error("why", "unauthorized")) == {"error": {"message": "why", "type": "unauthorized"}}


@pytest.mark.parametrize(
    ("what", "status"),
    [
        (Failure("provider", "no", status=400), 400),
        (Failure("config", "no such model", status=404), 400),
        (Failure("context", "too long", status=400), 400),
        (Failure("provider", "oh", retryable=True, status=500), 502),
        (Failure("config", "no key"), 500),
        (Failure("rate_limit", "later", retryable=True, status=429), 429),
    ],
)
def test_what_cannot_succeed_is_nothing_to_try_again(what: Failure, status: int) -> None:
    assert failure(replace(RUN, state="failed", failure=what))[0] == status
