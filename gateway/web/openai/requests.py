"""Requests of OpenAI's API, and what a run is begun with for them. Pure.

The last message of a user, or the last result of a tool, is the prompt. Messages of system and developer go into the
system prompt. The rest comes before the prompt if the session has no messages of its own. As in OpenClaw 2026.9.6,
calls of tools and their results are told in words. What a client asks for and would not get is refused; what only tunes
the model (`temperature`, `max_tokens`, …) is checked and not passed on.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.link.spec import Message
from gateway.protocol.params import cut, explain
from gateway.text.unicode import well_formed_json

MAX_IMAGES = 20
"""Images in all messages together."""
MAX_IMAGE = 10 * 1024 * 1024
"""Bytes of one image; OpenClaw's bound."""
IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
NAMES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
"""Other names that clients use for them."""
NO_LIMIT = -1
"""A value of `max_tokens` by which some clients say that there is no limit."""
GO_ON = "Your answer has begun already. Go on right behind these words, and do not repeat them:"
"""The instruction to a model before a last message of its own, with which clients want it to go on."""

Penalty = Annotated[float, Meta(ge=-2, le=2)]
Whole = int | float
"""JSON has no difference between 5 and 5.0; `decode` refuses a fraction."""
_WHOLE = ("n", "max_tokens", "max_completion_tokens", "seed")
_SPACE = re.compile(r"\s+")


class BadRequest(Exception):
    """The request is refused; `str()` tells the client what to change."""


class Url(Struct):
    url: str


class Part(Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Url | str | None = None


class Function(Struct):
    name: str
    arguments: Any = ""


class Called(Struct):
    function: Function
    id: str = ""


class ChatMessage(Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part | str] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[Called] | None = None


class StreamOptions(Struct):
    include_usage: bool | None = None


class Format(Struct):
    type: str


class CompletionRequest(Struct):
    """A request for a chat completion. Other fields are ignored."""

    model: str | None = None
    messages: list[ChatMessage] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | int | None = None
    n: Whole | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    response_format: Format | None = None
    max_tokens: Whole | None = None
    max_completion_tokens: Whole | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: Whole | None = None
    stop: str | Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=4)] | None = None

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class Prompt(Struct, frozen=True):
    system: str
    prompt: Message
    context: list[Message]


def decode(body: bytes) -> CompletionRequest:
    """Decode a request. Half a surrogate pair is read as U+FFFD, as Node does it. Raises BadRequest."""
    try:
        asked = _decoder.decode(well_formed_json(body))
    except msgspec.ValidationError as error:
        # That a whole number may be written as 5.0 is not what a client must be told.
        raise BadRequest(f"Invalid request body: {explain(error).replace('integer or number', 'integer')}") from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise BadRequest("Invalid request body: it must be JSON in UTF-8") from None
    for name in _WHOLE:
        value = getattr(asked, name)
        if isinstance(value, float) and not value.is_integer():
            raise BadRequest(f"Invalid request body: at /{name}: must be integer or null")
    if asked.n not in (None, 1):
        raise BadRequest("`n` must be 1: a request gets one answer; ask again for another one")
    for limit in ("max_tokens", "max_completion_tokens"):
        value = getattr(asked, limit)
        if value is not None and value != NO_LIMIT and not 1 <= value < 2**53:
            raise BadRequest(f"Invalid request body: at /{limit}: must be >= 1; leave it out for no limit")
    if (asked.tools or asked.functions) and asked.tool_choice != "none":
        raise BadRequest("`tools` of a client cannot be called: an agent has the tools of the gateway's config")
    if asked.response_format is not None and asked.response_format.type != "text":
        raise BadRequest(f"`response_format` {cut(asked.response_format.type)} is not supported, only text is")
    return asked


_decoder = msgspec.json.Decoder(CompletionRequest)


def prompt(asked: CompletionRequest, now: int) -> Prompt:
    """`now`: the time of the messages, milliseconds since 1970. Raises BadRequest."""
    messages = asked.messages or []
    active = max((at for at, each in enumerate(messages) if _is_turn(each)), default=-1)
    system = [text for each in messages if each.role in ("system", "developer") if (text := _text(each).strip())]
    said = [_message(each, now) for each in messages[: active + 1] if each.role not in ("system", "developer")]
    begun = "\n".join(_text(each) for each in messages[active + 1 :] if each.role == "assistant")
    if begun.strip():
        system.append(f"{GO_ON}\n{begun}")
    if active < 0 or not said[-1]["content"]:
        raise BadRequest("Missing user message in `messages`.")
    if sum(block["type"] == "image" for each in said for block in each["content"]) > MAX_IMAGES:
        raise BadRequest(f"Too many image_url parts: at most {MAX_IMAGES}")
    return Prompt("\n\n".join(system), said[-1], [each for each in said[:-1] if each["content"]])


def fingerprint(asked: Prompt, *more: str | None) -> str:
    """A hash that is the same for the same question, whenever it is asked."""
    said = [(each["role"], each["content"]) for each in (*asked.context, asked.prompt)]
    return hashlib.sha256(msgspec.json.encode((asked.system, said, more))).hexdigest()[:32]


def _is_turn(said: ChatMessage) -> bool:
    return said.role in ("user", "tool", "function")


def _message(said: ChatMessage, now: int) -> Message:
    text = _text(said)
    calls = [f"tool_call id={each.id} name={each.function.name} arguments={_arguments(each)}" for each in _calls(said)]
    text = "\n".join(part for part in (text, *calls) if part.strip())
    if said.role in ("tool", "function"):
        by = said.tool_call_id or said.name
        text = f"Tool:{by}: {text}" if by else text and f"Tool: {text}"
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    images = [_image(part.image_url) for part in _parts(said) if part.type == "image_url"]
    if images and said.role != "user":
        raise BadRequest("image_url parts are taken of messages of the user only")
    return {"role": "assistant" if said.role == "assistant" else "user", "content": content + images, "timestamp": now}


def _text(said: ChatMessage) -> str:
    if isinstance(said.content, str):
        return said.content
    texts: list[str] = []
    for part in _parts(said):
        match part.type:
            case "text" | "input_text" | "refusal":
                texts.append(part.text or part.refusal or "")
            case "image_url":
                continue
            case other if said.role != "assistant":  # what an assistant has thought or called before may be anything
                raise BadRequest(f"content parts of type {cut(other)} are not supported, only text and image_url are")
    return "\n".join(filter(None, texts))


def _parts(said: ChatMessage) -> Sequence[Part]:
    parts = said.content if isinstance(said.content, list) else ()
    return [Part("text", part) if isinstance(part, str) else part for part in parts]


def _calls(said: ChatMessage) -> Sequence[Called]:
    return said.tool_calls or () if said.role == "assistant" else ()


def _arguments(called: Called) -> str:
    given = called.function.arguments
    return given if isinstance(given, str) else msgspec.json.encode(given).decode()


def _image(given: Url | str | None) -> dict[str, Any]:
    url = (given.url if isinstance(given, Url) else given or "").strip()
    if url.lower().startswith(("http:", "https:")):
        raise BadRequest(
            "Images are not fetched from the web: send an image_url with a data URL (data:image/png;base64,…)"
        )
    head, _, data = url.partition(",")
    kind, *more = head.removeprefix("data:").lower().split(";") if head.startswith("data:") else ("",)
    if "base64" not in more:
        raise BadRequest("Invalid image_url content in `messages`: not a data URL in base64")
    kind = NAMES.get(kind, kind)
    if kind not in IMAGES:
        raise BadRequest(f"Images of type {cut(kind) or 'unknown'} are not supported: {', '.join(IMAGES)} are")
    data = _plain_base64(data)
    try:
        size = len(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        raise BadRequest("Invalid image_url content in `messages`: not base64") from None
    if not 0 < size <= MAX_IMAGE:
        raise BadRequest(
            f"An image has {size} bytes, and at most {MAX_IMAGE} are taken" if size else "An image is empty"
        )
    return {"type": "image", "data": data, "mimeType": kind}


def _plain_base64(data: str) -> str:
    """Base64 as Node reads it: line breaks, the URL alphabet and missing padding are accepted."""
    data = _SPACE.sub("", data).replace("-", "+").replace("_", "/").rstrip("=")
    return data + "=" * (-len(data) % 4)
