"""Transcripts in pydantic-ai's messages: nothing that matters is lost, and every call has its result right after it."""

import base64
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from gateway.agent.providers.history import BEGINNING, NO_TEXT, result_content, to_models, user_content
from gateway.agent.providers.pictures import MAX_PICTURES, OLD, UNREADABLE
from gateway.agent.turn.results import NO_RESULT
from gateway.link.spec import Message, Model

CLAUDE = Model("anthropic", "claude", "anthropic-messages")
GPT = Model("openai", "gpt", "openai-responses")
BYTES = b"\x89PNG\r\n\x1a\n....IEND\xaeB`\x82"
PNG = base64.b64encode(BYTES).decode()


def user(text: str) -> Message:
    return {"role": "user", "content": text, "timestamp": 1}


def assistant(*blocks: dict[str, Any], model: Model = CLAUDE) -> Message:
    return {
        "role": "assistant",
        "content": list(blocks),
        "api": model.api,
        "provider": model.provider,
        "model": model.id,
    }


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def call(number: str) -> dict[str, Any]:
    return {"type": "toolCall", "id": number, "name": f"tool{number}", "arguments": {"n": number}}


def result(number: str, words: str = "done", **more: Any) -> Message:
    return {"role": "toolResult", "toolCallId": number, "toolName": "t", "content": [text(words)], **more}


def test_a_conversation_is_told_as_it_was() -> None:
    messages = [user("q1"), assistant(text("a1"), call("1")), result("1"), assistant(text("a2")), user("q2")]
    first, second, third, fourth, fifth = to_models(messages, CLAUDE)
    assert isinstance(first, ModelRequest) and isinstance(first.parts[0], UserPromptPart)
    assert first.parts[0].content == "q1"
    assert isinstance(second, ModelResponse) and [type(part) for part in second.parts] == [TextPart, ToolCallPart]
    assert isinstance(third, ModelRequest) and isinstance(third.parts[0], ToolReturnPart)
    given_ = third.parts[0]
    assert (given_.tool_name, given_.tool_call_id, given_.content, given_.outcome) == ("tool1", "1", "done", "success")
    assert isinstance(fourth, ModelResponse) and isinstance(fifth, ModelRequest)


def test_pictures_are_content_too() -> None:
    found = user_content([text("see"), {"type": "image", "data": PNG, "mimeType": "image/png"}])
    assert found == ["see", BinaryContent(BYTES, media_type="image/png")]
    assert user_content([text("a"), text("b")]) == "a\nb" and user_content("a") == "a" and user_content(None) == ""
    assert result_content([{"type": "image", "data": PNG, "mimeType": "image/gif"}]) == [
        BinaryContent(BYTES, media_type="image/png")  # whatever its label says
    ]


def test_a_picture_that_cannot_be_read_is_named() -> None:
    for data in ("not base64!", "", None, 5):
        assert user_content([text("see"), {"type": "image", "data": data}]) == f"see\n{UNREADABLE}"


def test_an_error_of_a_tool_is_told_as_one() -> None:
    (_, _, request) = to_models([user("q"), assistant(call("1")), result("1", isError=True)], CLAUDE)
    assert isinstance(request.parts[0], ToolReturnPart) and request.parts[0].outcome == "failed"


def test_a_call_without_a_result_gets_one_before_anything_else_is_said() -> None:
    messages = [user("q"), assistant(call("1"), call("2")), result("2"), user("and?")]
    request = to_models(messages, CLAUDE)[-1]
    assert isinstance(request, ModelRequest)
    two, one, prompt = request.parts
    assert isinstance(two, ToolReturnPart) and two.tool_call_id == "2"
    assert isinstance(one, ToolReturnPart) and (one.content, one.outcome) == (NO_RESULT, "interrupted")
    assert isinstance(prompt, UserPromptPart)


def test_many_messages_in_a_row_are_told_whole_and_in_order() -> None:
    """Failed runs leave only their questions."""
    words = [str(number) for number in range(3000)]
    (asked,) = to_models([user(word) for word in words], CLAUDE)
    (part,) = asked.parts
    assert isinstance(part, UserPromptPart) and part.content == "\n\n".join(words)
    picture = {"role": "user", "content": [{"type": "image", "data": PNG, "mimeType": "image/png"}]}
    (asked,) = to_models([user("a"), picture, user("b")], CLAUDE)
    (part,) = asked.parts
    assert [type(each).__name__ for each in part.content] == ["str", "BinaryContent", "str"]
    _, answer = to_models([user("q"), *(assistant(text(word)) for word in words)], CLAUDE)
    assert [each.content for each in answer.parts if isinstance(each, TextPart)] == words


def test_a_result_without_its_call_is_left_out() -> None:
    messages = [user("q"), result("1"), assistant(call("1")), result("1"), result("1", "again"), user("x")]
    results = [
        part.content
        for message in to_models(messages, CLAUDE)
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]
    assert results == ["done"]


def test_an_answer_without_content_is_left_out() -> None:
    messages = [user("a"), assistant(), assistant(text("")), user("b")]
    (request,) = to_models(messages, CLAUDE)
    assert [part.content for part in request.parts if isinstance(part, UserPromptPart)] == ["a\n\nb"]


def test_thinking_is_told_to_its_own_model_only_and_with_its_seal() -> None:
    sealed = {"type": "thinking", "thinking": "hm", "thinkingSignature": "seal"}
    messages = [user("q"), assistant(sealed, {"type": "thinking", "thinking": "open"}, text("a"))]
    own = to_models(messages, CLAUDE)[1]
    assert own.parts == [
        ThinkingPart("hm", signature="seal", provider_name="anthropic"),
        TextPart("a"),
    ]
    for other in (GPT, Model("anthropic", "another", "anthropic-messages")):
        assert to_models(messages, other)[1].parts == [TextPart("a")]


def test_a_conversation_that_the_assistant_has_begun_gets_a_beginning() -> None:
    first, second = to_models([assistant(text("hello"))], CLAUDE)
    assert isinstance(first, ModelRequest) and isinstance(first.parts[0], UserPromptPart)
    assert first.parts[0].content == BEGINNING and isinstance(second, ModelResponse)


def test_other_roles_are_nobodys() -> None:
    assert said(to_models([{"role": "bashExecution", "content": "x"}, {}, user("q")], CLAUDE), UserPromptPart) == ["q"]


def test_two_answers_in_a_row_are_told_as_one() -> None:
    messages = [user("q"), assistant(text("a")), assistant(text("b"), call("1"))]
    _, response, _ = to_models(messages, CLAUDE)
    assert [type(part) for part in response.parts] == [TextPart, TextPart, ToolCallPart]


@pytest.mark.parametrize(
    "number",
    ["functions.exec:0", "call_1|fc_2", "x" * 65, "ä", "toolu 1"],
)
def test_an_id_that_a_provider_refuses_becomes_another_in_the_call_and_its_result(number: str) -> None:
    called = {"type": "toolCall", "id": number, "name": "ns.tool/éx", "arguments": {}}
    _, answer, request, *_ = to_models([user("q"), assistant(called), result(number), user("x")], CLAUDE)
    (made,) = answer.parts
    given_ = request.parts[0]
    assert isinstance(made, ToolCallPart) and isinstance(given_, ToolReturnPart)
    assert re.fullmatch("[A-Za-z0-9]{9}", made.tool_call_id) and given_.tool_call_id == made.tool_call_id
    assert made.tool_name == given_.tool_name == "ns-tool--x" and given_.content == "done"


def test_an_id_that_comes_twice_becomes_another_and_mistrals_have_nine_letters() -> None:
    messages = [user("q"), assistant(call("1")), result("1"), assistant(call("1")), result("1", "again"), user("x")]
    for model in (CLAUDE, Model("mistral", "large", "openai-completions")):
        found = to_models(messages, model)
        numbers = [part.tool_call_id for each in found for part in each.parts if isinstance(part, ToolCallPart)]
        results = [part for each in found for part in each.parts if isinstance(part, ToolReturnPart)]
        assert [part.tool_call_id for part in results] == numbers and len(set(numbers)) == 2
        assert [part.content for part in results] == ["done", "again"]
        assert model is CLAUDE or all(len(number) == 9 for number in numbers)


@pytest.mark.parametrize("empty", ["", " \n", [], [{"type": "text", "text": " "}], None, 7])
def test_a_message_without_words_says_so(empty: Any) -> None:
    (request,) = to_models([{"role": "user", "content": empty}], CLAUDE)
    assert [part.content for part in request.parts if isinstance(part, UserPromptPart)] == [NO_TEXT]
    assert result_content([{"type": "text", "text": ""}]) == NO_TEXT


def test_a_summary_is_told_apart_from_what_the_user_says_next() -> None:
    entry = {"role": "compaction", "summary": "They met. {}", "timestamp": 1}
    (request,) = to_models([entry, user("hello")], CLAUDE)
    (part,) = request.parts
    assert isinstance(part, UserPromptPart) and isinstance(part.content, str)
    assert part.content.endswith("<summary>\nThey met. {}\n</summary>\n\nhello")


def test_what_is_no_picture_is_named() -> None:
    assert user_content([text("see"), {"type": "document", "data": "x"}, {"type": 5}, {}]) == (
        "see\n[document, which is not shown here]"
    )


def test_of_many_pictures_the_newest_are_told() -> None:
    picture = {"type": "image", "data": PNG, "mimeType": "image/png"}
    messages = [
        message
        for number in range(MAX_PICTURES + 2)
        for message in ({"role": "user", "content": [text(str(number)), picture]}, assistant(text("ok")))
    ]
    told = said(to_models(messages, CLAUDE), UserPromptPart)
    assert [OLD in content for content in told] == [True] * 2 + [False] * MAX_PICTURES


BLOCKS = st.one_of(
    st.builds(text, st.text(max_size=5)),
    st.builds(call, st.sampled_from("123")),
    st.just({"type": "thinking", "thinking": "x"}),
    st.just({"type": "image", "data": PNG, "mimeType": "image/png"}),
    st.just({}),
    st.just({"type": "toolCall"}),
)
MESSAGES = st.one_of(
    st.builds(user, st.text(max_size=5)),
    st.builds(lambda blocks: {"role": "user", "content": blocks}, st.lists(BLOCKS, max_size=3)),
    st.builds(lambda blocks: assistant(*blocks), st.lists(BLOCKS, max_size=4)),
    st.builds(result, st.sampled_from("1234")),
)


def said(messages: list[ModelMessage], kind: type) -> list[Any]:
    return [part.content for message in messages for part in message.parts if isinstance(part, kind)]


@given(st.lists(MESSAGES, max_size=12))
def test_any_transcript_becomes_what_a_provider_takes(messages: list[Message]) -> None:
    found = to_models(messages, CLAUDE)
    assert [type(message) for message in found] == [
        ModelResponse if number % 2 else ModelRequest for number in range(len(found))
    ]
    # Every call has exactly one result, in the request after it, before what the user says there.
    for before, after in zip([None, *found], [*found, None], strict=True):
        calls = [part.tool_call_id for part in before.parts if isinstance(part, ToolCallPart)] if before else []
        parts = list(after.parts) if isinstance(after, ModelRequest) else []
        results = [part.tool_call_id for part in parts if isinstance(part, ToolReturnPart)]
        assert sorted(results) == sorted(calls)
        kinds = [isinstance(part, ToolReturnPart) for part in parts]
        assert kinds == sorted(kinds, reverse=True)
    texts = [
        block["text"]
        for message in messages
        if message["role"] == "assistant"
        for block in message["content"]
        if block.get("type") == "text" and block["text"].strip()
    ]
    assert said(found, TextPart) == texts
    assert all(said(found, UserPromptPart)), "no message is empty"
    numbers = [part.tool_call_id for message in found for part in message.parts if isinstance(part, ToolCallPart)]
    assert len(set(numbers)) == len(numbers)
    for message in found:
        assert sum(isinstance(part, UserPromptPart) for part in message.parts) <= 1
