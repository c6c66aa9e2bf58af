"""OpenClaw's transcripts as pydantic-ai's messages.

A transcript may be of any age and origin, and cut anywhere. A provider refuses a call without its result, a result
without its call, an id or a name with wrong characters, an empty text, two messages of the user in a row, and a picture
of another kind than its label. So all of these are changed to what every provider takes, or left out.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
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

from gateway.agent.mcp.names import MAX_NAME, plain_name
from gateway.agent.providers import pictures
from gateway.agent.turn.results import NO_RESULT
from gateway.link.spec import Api, Message, Model

SUMMARY = "Summary of the conversation before this:\n\n<summary>\n{}\n</summary>"
BEGINNING = "[What came before is not known.]"
"""Inserted before a conversation that the assistant begins: providers do not take such a one."""
NO_TEXT = "[no text]"
"""Replaces an empty text, which some providers do not take."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_MISTRALS_ID = re.compile(r"[A-Za-z0-9]{9}")


def to_models(messages: Iterable[Message], asked: Model) -> list[ModelMessage]:
    """The messages of a transcript for the model `asked`. Thinking is kept only if it is its own and signed."""
    result: list[ModelMessage] = []
    calls = _Calls(asked)
    for message in messages:
        match message.get("role"):
            case "user":
                content = user_content(message.get("content"), asked.api)
                _add_request(result, [*_missing_results(calls.open), UserPromptPart(content or NO_TEXT)])
            case "toolResult" if (call := str(message.get("toolCallId"))) in calls.open:
                given = result_content(_blocks(message.get("content")), asked.api)
                number, name = calls.open.pop(call)
                _add_request(result, [tool_return(name, number, given, ok=not message.get("isError"))])
            case "assistant":
                if parts := list(_response_parts(message, asked, calls)):
                    _add_request(result, [*_missing_results(calls.open)])
                    calls.open = calls.begun
                    _add_response(result, message, parts)
            case "compaction":
                summary = SUMMARY.format(message.get("summary", ""))
                _add_request(result, [*_missing_results(calls.open), UserPromptPart(summary)])
            case _:
                pass  # OpenClaw has roles for messages that no model gets
    _add_request(result, [*_missing_results(calls.open)])
    if result and isinstance(result[0], ModelResponse):
        result.insert(0, ModelRequest([UserPromptPart(BEGINNING)]))
    return _with_newest_pictures([_join_prompts(each) for each in result])


class _Calls:
    """Calls by their ids in the transcript, and the ids that a provider takes for them."""

    def __init__(self, asked: Model) -> None:
        mistral = asked.provider == "mistral" or "mistral.ai" in (asked.base_url or "")
        self._valid = _MISTRALS_ID if mistral else _ID
        self._used: set[str] = set()
        self.open: dict[str, tuple[str, str]] = {}
        """Id and name for each call of the last answer that has no result yet."""
        self.begun: dict[str, tuple[str, str]] = {}
        """Id and name for each call of the answer that is being read."""

    def begin(self, call: str, name: str) -> str:
        """A unique id for a call, valid for the provider."""
        number, count = call, 0
        while number in self._used or not self._valid.fullmatch(number):
            number = "c" + hashlib.sha256(f"{count} {call}".encode(errors="replace")).hexdigest()[:8]
            count += 1
        self._used.add(number)
        self.begun[call] = number, name
        return number


def user_content(content: Any, api: Api = "openai-completions") -> str | list[UserContent]:
    if isinstance(content, str):
        return content if content.strip() else ""
    pieces: list[UserContent] = list(_pieces(_blocks(content), api))
    return pieces if any(not isinstance(piece, str) for piece in pieces) else "\n".join(map(str, pieces))


def result_content(blocks: Iterable[dict[str, Any]], api: Api = "openai-completions") -> Any:
    """The content of a tool's result: its text, or a list of texts and pictures if there are any."""
    pieces = list(_pieces(blocks, api))
    return pieces if any(not isinstance(piece, str) for piece in pieces) else "\n".join(map(str, pieces)) or NO_TEXT


def tool_return(name: str, call: str, content: Any, *, ok: bool) -> ToolReturnPart:
    return ToolReturnPart(name, content, call, outcome="success" if ok else "failed")


def _add_request(result: list[ModelMessage], parts: list[ModelRequestPart]) -> None:
    """Add to the request at the end: providers want all results of an answer in one request."""
    if not parts:
        return
    if result and isinstance(last := result[-1], ModelRequest):
        assert isinstance(last.parts, list)
        last.parts.extend(parts)
    else:
        result.append(ModelRequest(parts))


def _join_prompts(message: ModelMessage) -> ModelMessage:
    """The message with consecutive prompts of the user joined: some models want strictly alternating roles."""
    if not isinstance(message, ModelRequest):
        return message
    found: list[ModelRequestPart] = []
    for _, group in groupby(message.parts, lambda part: isinstance(part, UserPromptPart)):
        parts = list(group)
        said = [part.content for part in parts if isinstance(part, UserPromptPart)]
        found += [_join_contents(said)] if said else parts
    return ModelRequest(found)


def _join_contents(said: list[Any]) -> UserPromptPart:
    if all(isinstance(each, str) for each in said):
        return UserPromptPart("\n\n".join(said))
    pieces: list[UserContent] = []
    for each in said:
        pieces += [each] if isinstance(each, str) else each
    return UserPromptPart(pieces)


def _missing_results(open_calls: dict[str, tuple[str, str]]) -> Iterator[ModelRequestPart]:
    for call, name in open_calls.values():
        yield ToolReturnPart(name, NO_RESULT, call, outcome="interrupted")
    open_calls.clear()


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _pieces(blocks: Iterable[dict[str, Any]], api: Api) -> Iterator[str | BinaryContent]:
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            if isinstance(text := block.get("text"), str) and text.strip():
                yield text
        elif kind == "image":
            found = pictures.read(block, api)
            yield found if isinstance(found, str) else BinaryContent(found[0], media_type=found[1])
        elif isinstance(kind, str) and kind not in ("thinking", "toolCall"):
            yield f"[{kind[:MAX_NAME]}, which is not shown here]"


def _with_newest_pictures(messages: list[ModelMessage]) -> list[ModelMessage]:
    """Replace all but the newest pictures by words: a request has bounds on their number and size."""
    count, room = pictures.MAX_PICTURES, pictures.MAX_TOTAL
    for message in reversed(messages):
        for part in reversed(message.parts):
            content = part.content if isinstance(part, UserPromptPart | ToolReturnPart) else None
            if not isinstance(content, list):
                continue
            for number in range(len(content) - 1, -1, -1):
                if isinstance(picture := content[number], BinaryContent):
                    count, room = count - 1, room - len(picture.data)
                    if count < 0 or room < 0:
                        content[number] = pictures.OLD
    return messages


def _add_response(result: list[ModelMessage], message: Message, parts: list[ModelResponsePart]) -> None:
    """Add to the response at the end, if there is one: two messages of the assistant may follow each other."""
    system = "anthropic" if message.get("api") == "anthropic-messages" else None
    if result and isinstance(last := result[-1], ModelResponse):
        assert isinstance(last.parts, list)
        last.parts.extend(parts)
        last.model_name, last.provider_name, last.canonical_system = message.get("model"), system, system
    else:
        model = message.get("model")
        result.append(ModelResponse(parts, model_name=model, provider_name=system, canonical_system=system))


def _response_parts(message: Message, asked: Model, calls: _Calls) -> Iterator[ModelResponsePart]:
    own = (message.get("api"), message.get("provider"), message.get("model")) == (asked.api, asked.provider, asked.id)
    calls.begun = {}
    for block in _blocks(message.get("content")):
        match block.get("type"):
            case "text" if isinstance(text := block.get("text"), str) and text.strip():
                yield TextPart(text)
            case "thinking" if own and asked.api == "anthropic-messages" and block.get("thinkingSignature"):
                yield ThinkingPart(
                    str(block.get("thinking", "")),
                    signature=str(block["thinkingSignature"]),
                    provider_name="anthropic",
                )
            case "toolCall" if (number := str(block.get("id") or "")) and block.get("name"):
                if number in calls.begun:
                    continue
                name = plain_name(str(block["name"]))[:MAX_NAME]
                arguments = block.get("arguments")
                yield ToolCallPart(name, arguments if isinstance(arguments, dict) else {}, calls.begin(number, name))
