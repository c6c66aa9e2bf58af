import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.openai.requests import (
    GO_ON,
    IMAGES,
    MAX_IMAGE,
    MAX_IMAGES,
    NAMES,
    NO_LIMIT,
    BadRequest,
    Prompt,
    decode,
    fingerprint,
    prompt,
)

PNG = "data:image/png;base64,aGk="


def asked(*messages: Any, **more: Any) -> bytes:
    return json.dumps({"model": "openclaw", "messages": list(messages), **more}).encode()


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def parsed(*messages: Any) -> Prompt:
    return prompt(decode(asked(*messages)), 7)


def told(message: Any) -> tuple[str, Any]:
    return message["role"], [block.get("text", block.get("data")) for block in message["content"]]


def image(url: Any) -> dict[str, Any]:
    return said("user", [{"type": "image_url", "image_url": {"url": url}}])


def test_the_last_message_of_the_user_is_the_prompt_and_the_rest_comes_before_it() -> None:
    found = parsed(
        said("system", "Be brief."),
        said("user", "one"),
        said("assistant", [{"type": "text", "text": "two"}, {"type": "refusal", "refusal": "no"}]),
        said("developer", [{"type": "text", "text": "Be kind."}]),
        said("user", [{"type": "text", "text": "three"}, {"type": "input_text", "text": "four"}]),
    )
    assert found.system == "Be brief.\n\nBe kind."
    assert told(found.prompt) == ("user", ["three\nfour"]) and found.prompt["timestamp"] == 7
    assert [told(each) for each in found.context] == [("user", ["one"]), ("assistant", ["two\nno"])]


def test_half_a_character_is_taken_as_node_takes_it() -> None:
    assert told(parsed(said("user", "hello \ud83d")).prompt) == ("user", ["hello \ufffd"])
    assert told(parsed(said("user", "\ud83d\ude00")).prompt) == ("user", ["\U0001f600"])


def test_calls_of_tools_and_their_results_are_told_in_words() -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "sum", "arguments": '{"a": 1}'}}]
    found = parsed(
        said("user", "add"),
        said("assistant", None, tool_calls=calls),
        said("tool", "2", tool_call_id="c1"),
        said("function", "3", name="sum"),
    )
    assert told(found.prompt) == ("user", ["Tool:sum: 3"])
    assert [told(each)[1] for each in found.context] == [
        ["add"],
        ['tool_call id=c1 name=sum arguments={"a": 1}'],
        ["Tool:c1: 2"],
    ]


def test_images_are_passed_on_where_they_were() -> None:
    found = parsed(
        image(PNG), said("user", [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": PNG}])
    )
    assert found.context[0]["content"] == [{"type": "image", "data": "aGk=", "mimeType": "image/png"}]
    assert [block["type"] for block in found.prompt["content"]] == ["text", "image"]


@pytest.mark.parametrize("name", NAMES)
def test_other_names_of_kinds_of_images(name: str) -> None:
    assert parsed(image(f"data:{name};base64,aGk=")).prompt["content"][0]["mimeType"] == NAMES[name]


@given(st.binary(min_size=1, max_size=90), st.booleans(), st.sampled_from(["", "\n", "\r\n", " "]))
def test_base64_is_read_as_node_does(data: bytes, url_safe: bool, end: str) -> None:
    written = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(data).decode()
    for text in (written, written.rstrip("=")):
        lines = end.join(text[at : at + 7] for at in range(0, len(text), 7)) + end
        (block,) = parsed(image(f"data:image/png;base64,{lines}")).prompt["content"]
        assert base64.b64decode(block["data"], validate=True) == data


def test_what_an_assistant_has_thought_or_called_before_is_passed_over() -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "x"}, {"type": "text", "text": "two"}, "three"]
    found = parsed(said("user", "one"), said("assistant", parts), said("user", ["four", "five"]))
    assert [told(each)[1] for each in (*found.context, found.prompt)] == [["one"], ["two\nthree"], ["four\nfive"]]


def test_a_last_message_of_the_assistant_is_gone_on_with() -> None:
    found = parsed(said("system", "Be brief."), said("user", "one"), said("assistant", "Sure, "))
    assert found.system == f"Be brief.\n\n{GO_ON}\nSure, " and told(found.prompt) == ("user", ["one"])
    assert parsed(said("user", "one"), said("assistant", None)).system == ""


def test_half_a_character_is_one_that_is_unknown() -> None:
    body = asked(said("user", "half \ud83d and \ude00, whole \U0001f600"))
    assert told(prompt(decode(body), 7).prompt)[1] == ["half \ufffd and \ufffd, whole \U0001f600"]


def test_one_answer_is_what_there_is() -> None:
    with pytest.raises(BadRequest, match="^`n` must be 1: a request gets one answer"):
        decode(asked(said("user", "x"), n=2))


@pytest.mark.parametrize("body", [b"{}", b'{"messages":null,"model":null}', b'{"messages":[]}'])
def test_without_messages_there_is_no_question(body: bytes) -> None:
    with pytest.raises(BadRequest, match="^Missing user message in `messages`.$"):
        prompt(decode(body), 7)


@pytest.mark.parametrize("kind", IMAGES)
def test_kinds_of_images(kind: str) -> None:
    content = parsed(image(f"data:{kind.upper()};charset=x;base64,aGk=")).prompt["content"]
    assert content == [{"type": "image", "data": "aGk=", "mimeType": kind}]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://example.com/a.png", "not fetched from the web"),
        ("HTTP://example.com/a.png", "not fetched from the web"),
        ("file:///etc/passwd", "not a data URL"),
        ("data:image/png,hi", "not a data URL in base64"),
        ("", "not a data URL"),
        ("data:image/svg+xml;base64,aGk=", r"of type image/svg\+xml are not supported"),
        ("data:;base64,aGk=", "of type unknown"),
        ("data:image/png;base64,a$k=", "not base64"),
        ("data:image/png;base64,", "is empty"),
    ],
)
def test_images_that_cannot_be_shown_to_a_model(url: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        parsed(image(url))


def test_bounds_of_images() -> None:
    def of(size: int) -> Any:
        return image("data:image/png;base64," + base64.b64encode(bytes(size)).decode())

    assert parsed(of(MAX_IMAGE)).prompt["content"]
    with pytest.raises(BadRequest, match=str(MAX_IMAGE)):
        parsed(of(MAX_IMAGE + 1))
    assert parsed(*[image(PNG)] * MAX_IMAGES).prompt["content"]
    with pytest.raises(BadRequest, match=f"at most {MAX_IMAGES}"):
        parsed(*[image(PNG)] * (MAX_IMAGES + 1))


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([], "Missing user message"),
        ([said("system", "x")], "Missing user message"),
        ([said("user", " \n")], "Missing user message"),
        ([said("user", "before"), said("user", None)], "Missing user message"),
        ([said("user", [{"type": "input_audio", "input_audio": {}}])], "type input_audio are not supported"),
        ([said("assistant", image(PNG)["content"]), said("user", "x")], "of the user only"),
    ],
)
def test_messages_without_a_question(messages: list[Any], why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        parsed(*messages)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("n", [1, 1.0, None], [0, 2, 1.5]),
        ("temperature", [0, 2, 0.5], [-0.1, 2.1, "hot"]),
        ("top_p", [0, 1], [-0.1, 1.1]),
        ("frequency_penalty", [-2, 2], [-2.1, 2.1]),
        ("presence_penalty", [-2, 2], [-2.1, 2.1]),
        ("seed", [0, -1, 1.0], [0.5, "1"]),
        ("max_tokens", [1, 1024.0, NO_LIMIT, 2**53 - 1], [0, -2, 1.5, "1024", 2**53]),
        ("max_completion_tokens", [1, 5.0], [0]),
        ("stop", ["x", ["a", "b", "c", "d"]], [["a", "b", "c", "d", "e"], [""], [1]]),
        ("stream", [True, False], ["yes"]),
        ("user", ["u", 42], [True, [], 1.5]),
        ("model", ["m"], [5]),
        ("response_format", [{"type": "text"}], [{"type": "json_object"}, {"type": "json_schema"}]),
        ("tools", [[]], [[{"type": "function", "function": {"name": "f"}}]]),
        ("functions", [[]], [[{"name": "f"}]]),
    ],
)
def test_fields_at_their_bounds(field: str, good: list[Any], bad: list[Any]) -> None:
    for value in [*good, None]:
        decode(asked(said("user", "x"), **{field: value}))
    for value in bad:
        with pytest.raises(BadRequest, match=field if field != "functions" else "tools"):
            decode(asked(said("user", "x"), **{field: value}))


def test_tools_that_shall_not_be_called_are_no_hindrance() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert decode(asked(said("user", "x"), tools=tools, tool_choice="none")).tools == tools


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"messages": "x"}', b"[" * 100_000, b'{"messages":[{"role":1}]}']
)
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(BadRequest, match="^Invalid request body: "):
        decode(body)


def test_unknown_roles_are_named() -> None:
    with pytest.raises(BadRequest, match="at /messages/0/role"):
        decode(asked(said("robot", "x")))


def test_the_same_question_has_the_same_fingerprint_whenever_it_is_asked() -> None:
    one = decode(asked(said("system", "s"), said("user", "a"), said("user", "b")))
    other = decode(asked(said("system", "s"), said("user", "a"), said("assistant", "b"), said("user", "b")))
    assert fingerprint(prompt(one, 1), "main") == fingerprint(prompt(one, 2), "main")
    assert len({fingerprint(prompt(one, 1), "main"), fingerprint(prompt(other, 1), "main")}) == 2
    assert fingerprint(prompt(one, 1), "main") != fingerprint(prompt(one, 1), "other")


TEXT = st.text("ab \n\xff", max_size=5)
PARTS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "image_url", "refusal", "x"])},
        optional={"text": TEXT, "image_url": st.sampled_from([PNG, {"url": PNG}, "http://x", {}])},
    )
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function", "no"])},
        optional={"content": st.none() | TEXT | PARTS, "name": TEXT, "tool_call_id": TEXT},
    )
)


@given(MESSAGES)
def test_any_messages_are_a_prompt_or_refused(messages: list[Any]) -> None:
    try:
        found = parsed(*messages)
    except BadRequest:
        return
    assert found.prompt["role"] == "user"
    for each in (*found.context, found.prompt):
        assert each["content"] and each["role"] in ("user", "assistant")
        assert all(block["type"] == "image" or block["text"].strip() for block in each["content"])


@given(st.binary())
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    try:
        decode(body)
    except BadRequest:
        pass
