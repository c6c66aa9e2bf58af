"""What each protocol's stream becomes; that the libraries read it is in test_wire."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agent.providers.bypass import Delta
from gateway.agent.providers.dialects import Dialect, GarbledEvent
from gateway.agent.providers.events import DONE, EventReader, ServerEvent
from gateway.link.spec import Api
from tests.agent import apis
from tests.agent.script import Call, Script

DIALECTS: dict[Api, apis.Dialect] = {
    "openai-completions": apis.Completions(),
    "openai-responses": apis.Responses(),
    "anthropic-messages": apis.Messages(),
    "google-generative-ai": apis.GenerateContent(),
}
HEAD = {"id": "c", "created": 1, "model": "m1"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def mend(api: Api, *events: object, names: str = "") -> list[Any]:
    """What the library is told, as JSON where it is."""
    dialect = Dialect(api)
    written = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    told = [piece for each in written for piece in dialect.mend(ServerEvent(names, each))] + list(dialect.finish())
    return [parsed(event.data) for event in events_of(b"".join(map(bytes, told)))]


def events_of(body: bytes) -> list[ServerEvent]:
    events = EventReader()
    return [*events.feed(body), *events.finish()]


def parsed(data: bytes) -> Any:
    return "DONE" if data == DONE else json.loads(data)


def choice(delta: object = None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


def reasons(told: list[Any]) -> list[str]:
    return [
        each["finish_reason"] for event in told if event != "DONE" for each in event["choices"] if each["finish_reason"]
    ]


def said(told: list[Any]) -> str:
    return "".join(each["delta"].get("content") or "" for event in told if event != "DONE" for each in event["choices"])


@pytest.mark.parametrize("api", DIALECTS)
def test_a_stream_as_it_should_be_stays_as_it_is(api: Api) -> None:
    script = Script({}, text=["Grüße ", "😀"], thinking=["hm"], call=Call("c1", "look", {"at": 1}))
    written = [parsed(event.data) for event in events_of(b"".join(DIALECTS[api].pieces("m1", script)))]
    assert mend(api, *(DONE if event == "DONE" else event for event in written)) == written


HI = choice({"content": "hi"})
COMPLETIONS: dict[str, tuple[list[object], str]] = {
    "two reasons for the end": ([HI, choice({}, "stop"), choice({}, "stop"), DONE], "stop"),
    "two ends": ([HI, choice({}, "stop"), DONE, choice({"content": "more"}), DONE], "stop"),
    "no [DONE]": ([HI, choice({}, "stop")], "stop"),
    "no reason but [DONE]": ([HI, DONE], "stop"),
    "no reason but usage behind it": ([HI, {**HEAD, "choices": [], "usage": USAGE}], "stop"),
    "a reason in other words": ([HI, choice({}, "eos"), DONE], "stop"),
    "a length in other words": ([HI, choice({}, "MAX_TOKENS"), DONE], "length"),
    "a filter in other words": ([HI, choice({}, "safety"), DONE], "content_filter"),
    "an empty reason": ([choice({"content": "hi"}, ""), choice({}, "stop"), DONE], "stop"),
    "no choices": ([{**HEAD}, {**HEAD, "choices": []}, {**HEAD, "choices": None}, HI, choice({}, "stop")], "stop"),
    "a delta of null": ([choice(None), HI, choice(None, "stop")], "stop"),
    "no delta": ([HI, {**HEAD, "choices": [{"finish_reason": "stop"}]}], "stop"),
    "content of null": (
        [choice({"role": "assistant", "content": None}), HI, choice({"content": None}, "stop")],
        "stop",
    ),
    "a text": ([{**HEAD, "choices": [{"text": "hi", "finish_reason": "stop"}]}], "stop"),
    "one answer": ([{**HEAD, "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}], "stop"),
    "a status in words": ([b"PROCESSING", HI, b"ping", b"3", choice({}, "stop"), DONE], "stop"),
    "an error of null": ([choice({"content": "hi"}, error=None), choice({}, "stop", error=None)], "stop"),
}


@pytest.mark.parametrize("name", COMPLETIONS)
def test_an_odd_chat_completion_is_read(name: str) -> None:
    events, reason = COMPLETIONS[name]
    told = mend("openai-completions", *events)
    assert said(told) == "hi" and set(reasons(told)) == {reason} and told[-1] == "DONE"
    assert all(event == "DONE" or event["object"] == "chat.completion.chunk" for event in told)


def test_the_last_usage_holds_wherever_it_stands() -> None:
    told = mend(
        "openai-completions", choice({"content": "a"}, usage={**USAGE, "completion_tokens": 1}), HI | {"usage": USAGE}
    )
    assert [event["usage"] for event in told if "usage" in event] == [USAGE], "and it breaks off here"
    assert not reasons(told)


def test_calls_in_one_answer_are_numbered_and_end_it() -> None:
    calls = [{"id": "a", "function": {"name": "look", "arguments": "{}"}}] * 2
    told = mend("openai-completions", {**HEAD, "choices": [{"message": {"content": None, "tool_calls": calls}}]}, DONE)
    assert [call["index"] for call in told[0]["choices"][0]["delta"]["tool_calls"]] == [0, 1]
    assert reasons(told) == ["tool_calls"]


@pytest.mark.parametrize("api", ["openai-completions", "openai-responses", "anthropic-messages"])
@pytest.mark.parametrize(
    ("event", "name", "message"),
    [
        ({"error": {"message": "no", "code": 400}}, "", "no"),
        ({"error": "no"}, "", "no"),
        ({"message": "no", "code": 400}, "error", "no"),
        ({"object": "error", "message": "no"}, "", "no"),
        ({"detail": "no"}, "", "no"),
        ({"error": {"code": 7}}, "", '{"code": 7}'),
        ({"error": [1]}, "", "[1]"),
    ],
)
def test_an_error_inside_a_stream_has_a_message(api: Api, event: dict[str, Any], name: str, message: str) -> None:
    (told,) = mend(api, event, names=name)
    assert told["error"]["message"] == message


@pytest.mark.parametrize("event", [b"{no json", b"[1", b"[" * 100_000, {"type": "message", "content": [1]}])
def test_what_is_garbled_is_no_answer(event: object) -> None:
    with pytest.raises(GarbledEvent):
        mend("anthropic-messages", event)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "message", "tool_calls", "finish_reason", "usage", "error", "type", "output"]
            )
            | st.sampled_from(["object", "content", "response", "item", "text", "detail", "id", "input"]),
            inner | st.sampled_from(["message", "response", "tool_use", "text", "output_text", "function_call"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(list(DIALECTS)), st.lists(JSON, max_size=4))
def test_whatever_is_streamed_is_mended_or_garbled(api: Api, events: list[Any]) -> None:
    try:
        mend(api, *events)
    except GarbledEvent:
        pass


PLACE = {"item_id": "m", "output_index": 0, "content_index": 0}
PIECES: dict[Api, tuple[Any, Any]] = {
    "openai-completions": (choice({"role": "assistant", "content": "a"}), choice({"content": "b"})),
    "openai-responses": tuple({"type": "response.output_text.delta", **PLACE, "delta": text} for text in "ab"),
    "anthropic-messages": tuple(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in "ab"
    ),
    "ollama": tuple({"model": "m1", "message": {"role": "assistant", "content": text}} for text in "ab"),
}


def written(api: Api, *events: Any) -> list[bytes | Delta]:
    dialect = Dialect(api)
    return [each for event in events for each in dialect.mend(ServerEvent("", json.dumps(event).encode()))]


@pytest.mark.parametrize("api", PIECES)
def test_an_event_that_only_brings_a_piece_is_a_delta(api: Api) -> None:
    one, other = (each for each in written(api, *PIECES[api], PIECES[api][1])[-2:])
    assert isinstance(one, Delta) and isinstance(other, Delta)
    assert one.text == "b" and one.of == other.of and bytes(one) == bytes(other)
    assert parsed(events_of(one.spell("c\ud800"))[0].data) != parsed(events_of(bytes(one))[0].data)


NO_DELTAS: list[tuple[Api, Any]] = [
    ("openai-completions", choice({"content": "a"}, "stop")),
    ("openai-completions", choice({"content": "a", "reasoning": "b"})),
    ("openai-completions", choice({"content": ["a"]})),
    ("openai-completions", choice({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]})),
    ("openai-completions", {"choices": [{"delta": {"content": "a"}}, {"delta": {"content": "b"}, "index": 1}]}),
    ("openai-responses", {"type": "response.function_call_arguments.delta", "item_id": "f", "delta": "{"}),
    ("openai-responses", {"type": "response.output_text.delta", "delta": 1}),
    ("anthropic-messages", {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta"}}),
    ("anthropic-messages", {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 1}}),
    ("anthropic-messages", {"type": "content_block_delta", "index": 0, "delta": {"type": [], "text": "a"}}),
    ("google-generative-ai", {"candidates": [{"content": {"parts": [{"text": "a"}]}}]}),
]


@pytest.mark.parametrize("api, event", NO_DELTAS)
def test_an_event_that_brings_anything_else_is_none(api: Api, event: Any) -> None:
    assert all(isinstance(each, bytes) for each in written(api, event))


def test_what_differs_beside_the_piece_is_another_text() -> None:
    events = [
        choice({"content": "a"}),
        choice({"reasoning": "a"}),
        choice({"content": "a", "extra": 1}),
        choice({"content": "a"}, service_tier="x"),
        {"choices": [{"delta": {"content": "a"}, "logprobs": {"content": []}}]},
    ]
    deltas = [each for each in written("openai-completions", *events) if isinstance(each, Delta)]
    assert len(deltas) == len(events)
    assert all(one.of != other.of for at, one in enumerate(deltas) for other in deltas[at + 1 :])
