"""Streams of providers, mended to what their protocols say: the libraries read nothing else. Pure.

A dialect takes the events of one answer and yields the events that the library reads; an event that brings only a piece
of text is a `Delta`. What is no event of an answer is left out: a status in words, and all that follows the end. An
answer in one piece becomes a stream. An unusual reason of its end is replaced by a usual one. An answer that breaks off
stays broken off.
"""

import json
from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from gateway.agent.providers.bypass import Delta
from gateway.agent.providers.events import DONE, ServerEvent, data_event, named_event
from gateway.agent.providers.ollama import OllamaChat
from gateway.agent.providers.whole import whole_message, whole_response
from gateway.link.spec import Api

Json = dict[str, Any]
Written = bytes | Delta
"""An event as the library reads it."""

FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter", "function_call", "error")
"""Values of `finish_reason`. They are OpenAI's, except `error`, which is OpenRouter's."""
_LENGTH_REASONS = ("max_tokens", "max_output_tokens", "max_length", "model_length", "context_length", "truncated")
_FILTER_REASONS = ("safety", "refusal", "sensitive", "recitation")
_DELTA_TEXTS = ("content", "reasoning_content", "reasoning")
"""The fields of a chat completion's delta that bring text."""
_RESPONSES_TEXTS = ("response.output_text.delta", "response.reasoning_summary_text.delta")
_RESPONSES_PLACE = ("item_id", "output_index", "content_index", "summary_index", "logprobs")
_BLOCK_TEXTS = {"text_delta": "text", "thinking_delta": "thinking"}
"""The fields of a content block's delta that bring text, by the types of the deltas."""


class GarbledEvent(Exception):
    """An event begins like JSON and is none, or has a shape that its protocol does not have."""


class Mender(Protocol):
    """Mends the events of one answer in one protocol."""

    def mend(self, event: Json, name: str) -> Iterator[Written]: ...
    def on_done(self) -> Iterator[bytes]:
        """What is yielded when `[DONE]` has come."""
        ...

    def on_end(self) -> Iterator[bytes]:
        """What is yielded when the body ends without `[DONE]`."""
        ...


class Dialect:
    """One answer of a provider, as the bytes that its library reads."""

    def __init__(self, api: Api) -> None:
        menders: dict[str, type[Mender]] = {
            "openai-responses": _Responses,
            "anthropic-messages": _Messages,
            "google-generative-ai": _Google,
            "ollama": _Ollama,
        }
        self._mender = menders.get(api, _Completions)()
        self._over = False

    def mend(self, event: ServerEvent) -> Iterator[Written]:
        """The event, mended. Raises GarbledEvent."""
        if self._over:
            return
        if event.data == DONE:
            self._over = True
            yield from self._mender.on_done()
            return
        try:
            found = _decode(event.data)
        except (ValueError, RecursionError):
            if event.data.startswith((b"{", b"[")):
                raise GarbledEvent("an event is no JSON") from None
            return
        if not isinstance(found, dict):
            return
        try:
            yield from self._mender.mend(found, event.name)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise GarbledEvent("an event has another shape than its protocol says") from None

    def finish(self) -> Iterator[bytes]:
        if not self._over:
            self._over = True
            yield from self._mender.on_end()


class _Google:
    """Google's protocol: a JSON document is an event, and an array of documents a stream. The last one needs no end.

    Its events are large and few, so none of them is a `Delta`.
    """

    def mend(self, event: Json, name: str) -> Iterator[Written]:
        yield data_event(event)

    def on_done(self) -> Iterator[bytes]:
        yield from ()

    def on_end(self) -> Iterator[bytes]:
        yield from ()


class _Completions:
    def __init__(self) -> None:
        self._head: Json = {}
        self._usage: Json | None = None
        self._reason = ""
        self._called = False
        self._counted = False
        """Whether usage has come in an event without choices, as it does at the end."""

    def mend(self, event: Json, name: str) -> Iterator[Written]:
        if error := _error(event, name):
            yield data_event({"error": error})
            return
        written = event.get("choices")
        choices = [self._choice(each) for each in written if isinstance(each, dict)] if written else []
        usage = event.get("usage")
        if isinstance(usage, dict):
            # Some servers send the total so far with each event: the last one counts.
            self._usage, self._counted = usage, self._counted or not choices
        self._head = {key: event[key] for key in ("id", "created", "model") if key in event} or self._head
        more = {key: value for key, value in event.items() if key not in ("usage", "choices", "object", "error")}
        if choices or not usage:
            yield _piece({**more, "object": "chat.completion.chunk", "choices": choices})

    def on_done(self) -> Iterator[bytes]:
        if not self._reason:
            yield self._chunk([{"index": 0, "delta": {}, "finish_reason": self._usual("")}])
        yield from self._tell_usage()
        yield b"data: [DONE]\n\n"

    def on_end(self) -> Iterator[bytes]:
        if self._counted or self._reason:
            yield from self.on_done()
        else:
            yield from self._tell_usage()

    def _tell_usage(self) -> Iterator[bytes]:
        if self._usage is not None:
            yield self._chunk([], usage=self._usage)

    def _chunk(self, choices: list[Json], **more: Any) -> bytes:
        return data_event({**self._head, "object": "chat.completion.chunk", "choices": choices, **more})

    def _choice(self, choice: Json) -> Json:
        delta = _delta(choice)
        self._called = self._called or bool(delta.get("tool_calls"))
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self._reason = reason = self._usual(reason)
        more = {key: value for key, value in choice.items() if key not in ("message", "text")}
        return {"index": 0, **more, "delta": delta, "finish_reason": reason or None}

    def _usual(self, reason: str) -> str:
        word = reason.lower()
        if word in FINISH_REASONS:
            return word
        if word in _LENGTH_REASONS:
            return "length"
        if word in _FILTER_REASONS:
            return "content_filter"
        return "tool_calls" if self._called else "stop"


def _piece(event: Json) -> Written:
    """The event of a chat completion, as a `Delta` if it is one."""
    match event["choices"]:
        case [{"index": 0, "delta": {**delta}, "finish_reason": None, **rest}]:
            names = [name for name in _DELTA_TEXTS if delta.get(name)]
            if len(names) == 1 and isinstance(text := delta.pop(names[0]), str):

                def spell(text: str) -> bytes:
                    choice = {"index": 0, "delta": {**delta, names[0]: text}, "finish_reason": None, **rest}
                    return data_event({**event, "choices": [choice]})

                return Delta((*names, *event, delta, rest), text, spell)
    return data_event(event)


class _Ollama(_Completions):
    """Ollama's own protocol, told as chat completions."""

    def __init__(self) -> None:
        super().__init__()
        self._chat = OllamaChat()

    def mend(self, event: Json, name: str) -> Iterator[Written]:
        for chunk in self._chat.chunks(event):
            yield from super().mend(chunk, name)


def _delta(choice: Json) -> Json:
    """The delta of a choice. Some servers send a whole message, or the text of the old completions."""
    delta, whole, text = (choice.get(key) for key in ("delta", "message", "text"))
    if not isinstance(delta, dict) or not delta:
        delta = dict(whole) if isinstance(whole, dict) else {"content": text} if isinstance(text, str) else {}
        if isinstance(calls := delta.get("tool_calls"), list):
            delta["tool_calls"] = [{"index": at, **call} for at, call in enumerate(calls) if isinstance(call, dict)]
    return delta


class _Responses(_Google):
    def mend(self, event: Json, name: str) -> Iterator[Written]:
        if event.get("object") == "response" and "type" not in event:
            yield from whole_response(event)
        elif "type" not in event and (error := _error(event, name)):
            yield data_event({"error": error})
        elif event["type"] in _RESPONSES_TEXTS and isinstance(text := event.get("delta"), str):
            where = tuple(event.get(key) for key in _RESPONSES_PLACE)
            yield Delta((event["type"], where), text, lambda text: named_event({**event, "delta": text}))
        else:
            yield named_event(event)


class _Messages(_Google):
    def mend(self, event: Json, name: str) -> Iterator[Written]:
        if event.get("type") == "message":
            yield from whole_message(event)
        elif "type" not in event:
            if error := _error(event, name):
                yield named_event({"type": "error", "error": {"type": "api_error", **error}})
        else:
            yield _message_piece(event)


def _message_piece(event: Json) -> Written:
    """The event of a message, as a `Delta` if it is one."""
    match event:
        case {"type": "content_block_delta", "index": at, "delta": {"type": str(kind), **delta}} if (
            kind in _BLOCK_TEXTS
        ):
            name = _BLOCK_TEXTS[kind]
            if isinstance(text := delta.pop(name, None), str) and not delta:

                def spell(text: str) -> bytes:
                    return named_event({**event, "delta": {"type": kind, name: text}})

                return Delta((kind, at), text, spell)
    return named_event(event)


def _error(event: Json, name: str) -> Json | None:
    """The error in an event, as an object with a message; None if there is none."""
    error = event.get("error")
    if not error and (name == "error" or event.get("object") == "error"):
        error = event
    if not error and "choices" not in event:
        error = event.get("detail")
    if not error:
        return None
    if not isinstance(error, dict):
        return {"message": error if isinstance(error, str) else json.dumps(error)}
    return error if error.get("message") else {**error, "message": json.dumps(error)}


def _decode(data: bytes) -> Any:
    """The JSON of an event. Raises ValueError and RecursionError."""
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:  # it may still be what Python reads: halves of characters, NaN, bytes that are no UTF-8
        return json.loads(data.decode(errors="replace"))
