"""OpenClaw's transcripts as pydantic-ai's messages.

A transcript may be of any age and have been cut anywhere; a provider refuses a call without its result, and a result
without its call. So calls that have none get one that says so, and results that belong to nothing are left out.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)

from gateway.link.messages import Message, Model

UNREADABLE = "[an image that cannot be read]"
NO_RESULT = "There is no result: the run ended before."
SUMMARY = "Summary of the conversation before this:\n\n"
BEGINNING = "[What came before is not known.]"
"""For a conversation that the assistant has begun, which providers do not take."""


def to_models(messages: Iterable[Message], asked: Model) -> list[ModelMessage]:
    """What `asked` is told of a transcript: thinking only if it is its own, sealed by its provider."""
    result: list[ModelMessage] = []
    open_calls: dict[str, str] = {}
    """Names by id, of the last answer's calls that wait for a result."""
    for message in messages:
        match message.get("role"):
            case "user":
                _add(result, [*_missing(open_calls), UserPromptPart(content=user_content(message.get("content")))])
            case "toolResult" if (call := str(message.get("toolCallId"))) in open_calls:
                content = result_content(_blocks(message.get("content")))
                ok = not message.get("isError")
                _add(result, [tool_return(open_calls.pop(call), call, content, ok=ok)])
            case "assistant":
                if parts := list(_response_parts(message, asked)):
                    _add(result, [*_missing(open_calls)])
                    open_calls = {part.tool_call_id: part.tool_name for part in parts if isinstance(part, ToolCallPart)}
                    _add_response(result, message, parts)
            case "compaction":
                _add(result, [*_missing(open_calls), UserPromptPart(SUMMARY + str(message.get("summary", "")))])
            case _:
                pass  # OpenClaw has roles of its own for what no model is told
    _add(result, [*_missing(open_calls)])
    if result and isinstance(result[0], ModelResponse):
        result.insert(0, ModelRequest([UserPromptPart(BEGINNING)]))
    return result


def user_content(content: Any) -> str | list[UserContent]:
    if isinstance(content, str):
        return content
    pieces: list[UserContent] = list(_pieces(_blocks(content)))
    return pieces if any(not isinstance(piece, str) for piece in pieces) else "\n".join(map(str, pieces))


def result_content(blocks: Iterable[dict[str, Any]]) -> Any:
    """Of a tool's result: its text, or a list if there are images."""
    pieces = list(_pieces(blocks))
    return pieces if any(not isinstance(piece, str) for piece in pieces) else "\n".join(map(str, pieces))


def tool_return(name: str, call: str, content: Any, *, ok: bool) -> ToolReturnPart:
    return ToolReturnPart(name, content, call, outcome="success" if ok else "failed")


def _add(result: list[ModelMessage], parts: list[ModelRequestPart]) -> None:
    """To the request at the end, because providers want all results of an answer in one."""
    if not parts:
        return
    if result and isinstance(last := result[-1], ModelRequest):
        result[-1] = ModelRequest([*last.parts, *parts])
    else:
        result.append(ModelRequest(parts))


def _missing(open_calls: dict[str, str]) -> Iterator[ModelRequestPart]:
    for call, name in open_calls.items():
        yield ToolReturnPart(name, NO_RESULT, call, outcome="interrupted")
    open_calls.clear()


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content or [] if isinstance(block, dict)]


def _pieces(blocks: Iterable[dict[str, Any]]) -> Iterator[str | BinaryContent]:
    for block in blocks:
        if block.get("type") == "text":
            yield str(block.get("text", ""))
        elif block.get("type") == "image":
            try:
                data = base64.b64decode(block.get("data", ""), validate=True)
            except (binascii.Error, ValueError, TypeError):
                yield UNREADABLE
            else:
                yield BinaryContent(data, media_type=str(block.get("mimeType", "image/png"))) if data else UNREADABLE


def _add_response(result: list[ModelMessage], message: Message, parts: list[ModelResponsePart]) -> None:
    """To the response at the end if there is one: the assistant may have said two things in a row."""
    if result and isinstance(last := result[-1], ModelResponse):
        parts = [*last.parts, *parts]
        del result[-1]
    system = "anthropic" if message.get("api") == "anthropic-messages" else None
    result.append(ModelResponse(parts, model_name=message.get("model"), provider_name=system, canonical_system=system))


def _response_parts(message: Message, asked: Model) -> Iterator[ModelResponsePart]:
    own = (message.get("api"), message.get("provider"), message.get("model")) == (asked.api, asked.provider, asked.id)
    calls: set[str] = set()
    for block in _blocks(message.get("content")):
        match block.get("type"):
            case "text" if block.get("text"):
                yield TextPart(str(block["text"]))
            case "thinking" if own and asked.api == "anthropic-messages" and block.get("thinkingSignature"):
                yield ThinkingPart(
                    str(block.get("thinking", "")),
                    signature=str(block["thinkingSignature"]),
                    provider_name="anthropic",
                )
            case "toolCall" if block.get("id") and block.get("name") and (number := str(block["id"])) not in calls:
                calls.add(number)
                arguments = block.get("arguments")
                yield ToolCallPart(str(block["name"]), arguments if isinstance(arguments, dict) else {}, number)
