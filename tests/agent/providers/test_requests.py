"""Each key of `models[].compat`, as OpenClaw's docs/gateway/config-tools/custom-providers.md has it."""

import copy
from typing import Any

import pytest

from gateway.agent.providers.requests import LLAMACPP_LENGTH, PROCESSED, adapt
from gateway.config.serving import FLAGS, LISTS, OBJECTS, WORDS
from gateway.link.spec import Api, Model

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}
SCHEMA = {
    "type": "object",
    "properties": {
        "pattern": {"type": "string", "pattern": "^a", "maxLength": LLAMACPP_LENGTH},
        "at": {"anyOf": [{"type": "string", "maxLength": LLAMACPP_LENGTH - 1, "format": "uri"}]},
    },
}
BODY: dict[str, Any] = {
    "model": "m1",
    "messages": [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], "name": "u"},
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        {"role": "user", "content": "and?"},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "parameters": SCHEMA, "strict": True}}],
    "tool_choice": "auto",
    "max_completion_tokens": 200,
    "stream_options": {"include_usage": True},
    "store": False,
    "prompt_cache_key": "k",
    "temperature": 0.5,
    "reasoning_effort": "high",
}


def adapted(compat: dict[str, Any], api: Api = "openai-completions", base_url: str = "http://h/v1", **more: Any) -> Any:
    return adapt(copy.deepcopy(BODY) | more, Model("p", "m1", api, base_url, compat=compat))


def changed(compat: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What is other than it was, None for what is gone."""
    after = adapted(compat, **more)
    return {key: after.get(key) for key in BODY | more | after if after.get(key) != (BODY | more).get(key)}


def test_without_compat_nothing_is_changed() -> None:
    assert adapted({}) == BODY


@pytest.mark.parametrize(
    ("compat", "change"),
    [
        ({"maxTokensField": "max_tokens"}, {"max_tokens": 200, "max_completion_tokens": None}),
        ({"maxTokensField": "max_completion_tokens"}, {}),
        ({"supportsUsageInStreaming": False}, {"stream_options": None}),
        ({"supportsUsageInStreaming": True}, {}),
        ({"supportsStore": False}, {"store": None}),
        ({"supportsPromptCacheKey": False}, {"prompt_cache_key": None}),
        ({"supportsTemperature": False}, {"temperature": None}),
        ({"supportsReasoningEffort": False}, {"reasoning_effort": None}),
        ({"supportedReasoningEfforts": ["low", "medium"]}, {"reasoning_effort": "medium"}),
        ({"supportedReasoningEfforts": ["xhigh"]}, {"reasoning_effort": "xhigh"}),
        ({"reasoningEffortMap": {"high": "hard"}}, {"reasoning_effort": "hard"}),
        ({"thinkingFormat": "openai"}, {}),
        ({"thinkingFormat": "qwen"}, {"reasoning_effort": None, "enable_thinking": True}),
        (
            {"thinkingFormat": "qwen-chat-template"},
            {"reasoning_effort": None, "chat_template_kwargs": {"enable_thinking": True}},
        ),
        ({"thinkingFormat": "zai"}, {"reasoning_effort": None, "thinking": {"type": "enabled"}}),
        ({"thinkingFormat": "deepseek"}, {"thinking": {"type": "enabled"}}),
        ({"thinkingFormat": "together"}, {"reasoning": {"enabled": True}}),
        ({"thinkingFormat": "openrouter"}, {"reasoning_effort": None, "reasoning": {"effort": "high"}}),
        ({"zaiToolStream": True}, {"tool_stream": True}),
    ],
)
def test_a_field_is_as_the_server_takes_it(compat: dict[str, Any], change: dict[str, Any]) -> None:
    assert changed(compat) == change


def test_thinking_that_is_off_is_said_as_off() -> None:
    off = {"reasoning_effort": "none"}
    assert adapted({"thinkingFormat": "qwen"}, **off)["enable_thinking"] is False
    assert adapted({"thinkingFormat": "deepseek"}, **off)["thinking"] == {"type": "disabled"}
    assert adapted({"reasoningEffortMap": {"off": "low"}}, **off)["reasoning_effort"] == "low"


def messages(compat: dict[str, Any]) -> list[Any]:
    found: list[Any] = adapted(compat)["messages"]
    return found


def test_messages_are_as_the_server_takes_them() -> None:
    assert messages({"supportsDeveloperRole": False})[0]["role"] == "system"
    assert messages({"requiresStringContent": True})[1]["content"] == "one\ntwo"
    assert messages({"requiresStringContent": True})[2]["content"] == ""
    assert all(set(each) == {"role", "content"} for each in messages({"strictMessageKeys": True}))
    assert messages({"requiresToolResultName": True})[3]["name"] == "look"
    assert messages({"requiresAssistantAfterToolResult": True})[4] == {"role": "assistant", "content": PROCESSED}
    assert messages({"requiresThinkingAsText": True})[2]["content"] == "<thinking>hm</thinking>"
    kept = messages({"requiresReasoningContentOnAssistantMessages": True})
    assert [each.get("reasoning_content") for each in kept] == [None, None, "hm", None, None]


def test_a_picture_among_texts_stays() -> None:
    parts = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,aA=="}}]
    after = adapted({"requiresStringContent": True}, messages=[{"role": "user", "content": parts}])
    assert after["messages"][0]["content"] == parts


def test_without_tools_what_was_called_is_told_in_words() -> None:
    after = adapted({"supportsTools": False})
    assert not {"tools", "tool_choice"} & set(after)
    assert [each["role"] for each in after["messages"]] == ["developer", "user", "assistant", "user", "user"]
    assert after["messages"][2]["content"] == '[look was called with {"at":1}]'
    assert after["messages"][3] == {"role": "user", "content": "[A tool gave: a cat]"}


def schema(compat: dict[str, Any]) -> Any:
    return adapted(compat)["tools"][0]["function"]["parameters"]


def test_schemas_have_no_words_that_the_server_refuses() -> None:
    mended = schema({"toolSchemaProfile": "llamacpp"})
    assert mended["properties"]["pattern"] == {"type": "string"}, "the name stays, the keyword goes"
    assert mended["properties"]["at"] == SCHEMA["properties"]["at"]  # type: ignore[index]
    assert "format" not in str(schema({"unsupportedToolSchemaKeywords": ["format", "anyOf"]}))
    assert "strict" not in adapted({"supportsStrictMode": False})["tools"][0]["function"]


def test_where_data_may_go_is_said_to_routers_and_to_nobody_else() -> None:
    routing = {"data_collection": "deny", "only": ["a"]}
    assert adapted({"openRouterRouting": routing}, base_url="https://openrouter.ai/api/v1")["provider"] == routing
    vercel = adapted({"vercelGatewayRouting": routing}, base_url="https://ai-gateway.vercel.sh/v1")
    assert vercel["providerOptions"] == {"gateway": routing}
    assert changed({"openRouterRouting": routing, "vercelGatewayRouting": routing}) == {}


def test_instructions_go_into_the_input_where_they_are_not_taken() -> None:
    body = {"model": "m", "instructions": "Be kind.", "input": [{"role": "user", "content": "x"}]}
    model = Model("p", "m", "openai-responses", compat={"supportsInstructions": False})
    assert adapt(body, model) == {
        "model": "m",
        "input": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "x"}],
    }


def test_the_window_reaches_ollama_at_its_other_door_too() -> None:
    model = Model("ollama", "m", "openai-completions", "http://h:11434/v1", params={"num_ctx": 32768})
    assert adapt(copy.deepcopy(BODY), model)["options"] == {"num_ctx": 32768}


def test_every_key_that_counts_as_honoured_is_used() -> None:
    import inspect

    from gateway.agent.providers import requests
    from gateway.agent.providers import source as model_source

    source = inspect.getsource(requests) + inspect.getsource(model_source)
    assert {name for name in (*FLAGS, *WORDS, *LISTS, *OBJECTS) if f'"{name}"' not in source} == set()
