"""A library's request, changed to what the model's server takes by `models[].compat`. Pure.

The keys are OpenClaw's (docs/gateway/config-tools/custom-providers.md). A key that is not set changes nothing.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from gateway.link.spec import Model

Json = dict[str, Any]

PROCESSED = "I have processed the tool results."
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
LLAMACPP_LENGTH = 2000
"""The smallest `maxLength` that llama.cpp's grammars do not take."""
_TOKENS = ("max_tokens", "max_completion_tokens")


def adapt(body: Json, model: Model) -> Json:
    """The request that is sent. `body` may be changed in place."""
    compat = model.compat
    if compat.get("supportsTemperature") is False:
        body.pop("temperature", None)
    for schema in _schemas(body):
        _mend_schema(schema, compat)
    if model.api in ("openai-completions", "openai-responses"):
        _openai(body, compat, model)
    if model.api in ("openai-completions", "ollama"):
        _completions(body, compat, by_default=model.api == "openai-completions" and not is_openai(model))
        if model.api != "ollama" and model.params and "options" not in body:
            body["options"] = {"num_ctx": model.params["num_ctx"]}
    if model.api == "openai-responses" and compat.get("supportsInstructions") is False and "instructions" in body:
        said = {"role": "system", "content": body.pop("instructions")}
        given = body.get("input")
        body["input"] = [said, *(given if isinstance(given, list) else [{"role": "user", "content": given}])]
    return body


def is_openai(model: Model) -> bool:
    """Whether the server is OpenAI's own, which our library knows better than a config."""
    return model.base_url is None or urlsplit(model.base_url).hostname == "api.openai.com"


def _openai(body: Json, compat: Json, model: Model) -> None:
    if compat.get("supportsStore") is False:
        body.pop("store", None)
    if compat.get("supportsPromptCacheKey") is False:
        body.pop("prompt_cache_key", None)
    if compat.get("supportsStrictMode") is False:
        for tool in body.get("tools", ()):
            tool.pop("strict", None)
            tool.get("function", {}).pop("strict", None)
    if compat.get("supportsDeveloperRole") is False:
        for message in _messages(body):
            if message.get("role") == "developer":
                message["role"] = "system"
    host = urlsplit(model.base_url or "").hostname or ""
    if (routing := compat.get("openRouterRouting")) and host.endswith("openrouter.ai"):
        body["provider"] = routing
    if (routing := compat.get("vercelGatewayRouting")) and host.endswith("ai-gateway.vercel.sh"):
        body["providerOptions"] = {"gateway": routing}


def _messages(body: Json) -> list[Json]:
    listed = body.get("messages", body.get("input"))
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


# -- chat completions --------------------------------------------------------------------------------------------------


def _completions(body: Json, compat: Json, *, by_default: bool) -> None:
    if field := compat.get("maxTokensField"):
        for other in _TOKENS:
            if other != field and other in body:
                body[field] = body.pop(other)
    if compat.get("supportsUsageInStreaming") is False:
        body.pop("stream_options", None)
    if compat.get("zaiToolStream") and body.get("tools"):
        body["tool_stream"] = True
    thinks = _think(body, compat, by_default=by_default)
    for name, change in _CHANGES.items():
        if compat.get(name) is (name != "supportsTools"):
            change(body)
    if thinks and compat.get("requiresReasoningContentOnAssistantMessages"):
        for message in _messages(body):
            if message["role"] == "assistant":
                message.setdefault("reasoning_content", "")


def _think(body: Json, compat: Json, *, by_default: bool) -> bool:
    """Say as this server wants it whether the model thinks, and return that.

    With `by_default`, `none` is not sent to a server that does not list it.
    """
    effort = body.pop("reasoning_effort", None)
    thinks = effort not in (None, "none")
    if effort is None:
        return False
    if effort in EFFORTS:
        effort = _nearest(effort, compat.get("supportedReasoningEfforts"))
        effort = compat.get("reasoningEffortMap", {}).get("off" if effort == "none" else effort, effort)
    kept = effort if compat.get("supportsReasoningEffort") is not False else None
    if by_default and effort == "none" and "none" not in compat.get("supportedReasoningEfforts", ()):
        kept = None
    match compat.get("thinkingFormat", "openai"):
        case "qwen":
            body["enable_thinking"], kept = thinks, None
        case "qwen-chat-template":
            body["chat_template_kwargs"], kept = {"enable_thinking": thinks}, None
        case "zai":
            body["thinking"], kept = {"type": "enabled" if thinks else "disabled"}, None
        case "together":
            body["reasoning"] = {"enabled": thinks}
        case "deepseek":
            body["thinking"] = {"type": "enabled" if thinks else "disabled"}
            kept = kept if thinks else None
        case "openrouter":
            body["reasoning"], kept = ({"effort": kept} if kept else {"enabled": thinks}), None
    if kept:
        body["reasoning_effort"] = kept
    return thinks


def _nearest(effort: str, supported: list[str] | None) -> str:
    """The nearest supported effort below, or else above; `effort` itself if none of them is in EFFORTS."""
    if not supported or effort in supported:
        return effort
    known = sorted((each for each in supported if each in EFFORTS), key=EFFORTS.index)
    below = [each for each in known if EFFORTS.index(each) < EFFORTS.index(effort) and each != "none"]
    return below[-1] if below else next(iter(known), effort)


def _without_tools(body: Json) -> None:
    """Offer no tools, and tell earlier calls and results as text."""
    for name in ("tools", "tool_choice", "parallel_tool_calls"):
        body.pop(name, None)
    for message in _messages(body):
        if calls := message.pop("tool_calls", None):
            told = [f"[{each['function']['name']} was called with {each['function']['arguments']}]" for each in calls]
            message["content"] = "\n".join(filter(None, [plain(message.get("content")), *told]))
        if message["role"] == "tool":
            message["role"] = "user"
            message["content"] = f"[A tool gave: {plain(message.get('content'))}]"
            message.pop("tool_call_id", None)


def _name_results(body: Json) -> None:
    names: dict[str, str] = {}
    for message in _messages(body):
        names |= {call["id"]: call["function"]["name"] for call in message.get("tool_calls") or ()}
        if message["role"] == "tool" and message.get("tool_call_id") in names:
            message.setdefault("name", names[message["tool_call_id"]])


def _answer_results(body: Json) -> None:
    messages: list[Json] = []
    for message in body.get("messages", ()):
        if messages and messages[-1]["role"] == "tool" and message["role"] == "user":
            messages.append({"role": "assistant", "content": PROCESSED})
        messages.append(message)
    body["messages"] = messages


def _thinking_as_text(body: Json) -> None:
    for message in _messages(body):
        thoughts = [message.pop(name) for name in ("reasoning_content", "reasoning") if name in message]
        if said := [thought for thought in thoughts if isinstance(thought, str) and thought]:
            message["content"] = "\n".join([f"<thinking>{said[0]}</thinking>", plain(message.get("content"))]).strip()


def _role_and_content(body: Json) -> None:
    body["messages"] = [{"role": each["role"], "content": each.get("content")} for each in _messages(body)]


def _texts(body: Json) -> None:
    for message in _messages(body):
        parts = message.get("content")
        if parts is None or (isinstance(parts, list) and all(part.get("type") == "text" for part in parts)):
            message["content"] = plain(parts)


_CHANGES: dict[str, Callable[[Json], None]] = {
    "supportsTools": _without_tools,
    "requiresToolResultName": _name_results,
    "requiresAssistantAfterToolResult": _answer_results,
    "requiresThinkingAsText": _thinking_as_text,
    "strictMessageKeys": _role_and_content,
    "requiresStringContent": _texts,
}
"""The change for each key that is true; for `supportsTools`, if it is false."""


def plain(content: Any) -> str:
    """The text of a message's content."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part["text"]) for part in parts if isinstance(part, dict) and part.get("text"))


# -- schemas of tools --------------------------------------------------------------------------------------------------


def _schemas(body: Json) -> Iterator[Json]:
    for tool in body.get("tools") or ():
        for each in (tool, tool.get("function", {}), *tool.get("functionDeclarations", ())):
            for name in ("parameters", "input_schema", "parametersJsonSchema"):
                if isinstance(each.get(name), dict):
                    yield each[name]


def _mend_schema(schema: Json, compat: Json) -> None:
    refused = frozenset(compat.get("unsupportedToolSchemaKeywords", ()))
    llamacpp = compat.get("toolSchemaProfile") == "llamacpp"
    if not refused and not llamacpp:
        return
    left: list[tuple[Any, bool]] = [(schema, True)]
    while left:
        node, is_schema = left.pop()
        if isinstance(node, list):
            left += [(each, True) for each in node]
        elif isinstance(node, dict):
            for key in [key for key in node if is_schema and _is_refused(key, node[key], refused, llamacpp)]:
                del node[key]
            # The keys of `properties` are names, not keywords of the schema.
            left += [(value, key not in ("properties", "$defs", "definitions")) for key, value in node.items()]


def _is_refused(key: str, value: Any, refused: frozenset[str], llamacpp: bool) -> bool:
    if key in refused:
        return True
    too_long = key == "maxLength" and isinstance(value, int | float) and value >= LLAMACPP_LENGTH
    return llamacpp and (key == "pattern" or too_long)


def encode_body(body: Json) -> bytes:
    return json.dumps(body).encode()
