"""Streams of providers, mended to what their protocols say: the libraries read nothing else. Pure.

A dialect takes the events of one answer and yields the events that the library reads. What is no event of an answer is
left out: a status in words, and all that follows the end. An answer in one piece becomes a stream. An unusual reason of
its end is replaced by a usual one. An answer that breaks off stays broken off.
"""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any, Protocol

from gateway.agent.providers.events import DONE, ServerEvent
from gateway.agent.providers.ollama import OllamaChat
from gateway.link.spec import Api

Json = dict[str, Any]

FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter", "function_call", "error")
"""Values of `finish_reason`. They are OpenAI's, except `error`, which is OpenRouter's."""
_LENGTH_REASONS = ("max_tokens", "max_output_tokens", "max_length", "model_length", "context_length", "truncated")
_FILTER_REASONS = ("safety", "refusal", "sensitive", "recitation")


class GarbledEvent(Exception):
    """An event begins like JSON and is none, or has a shape that its protocol does not have."""


class Mender(Protocol):
    """Mends the events of one answer in one protocol."""

    def mend(self, event: Json, name: str) -> Iterator[bytes]: ...
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

    def mend(self, event: ServerEvent) -> Iterator[bytes]:
        """The event, mended. Raises GarbledEvent."""
        if self._over:
            return
        if event.data == DONE:
            self._over = True
            yield from self._mender.on_done()
            return
        try:
            found = json.loads(event.data.decode(errors="replace"))
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
    """Google's protocol: a JSON document is an event, and an array of documents a stream. The last one needs no end."""

    def mend(self, event: Json, name: str) -> Iterator[bytes]:
        yield _data(event)

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

    def mend(self, event: Json, name: str) -> Iterator[bytes]:
        if error := _error(event, name):
            yield _data({"error": error})
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
            yield _data({**more, "object": "chat.completion.chunk", "choices": choices})

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
        return _data({**self._head, "object": "chat.completion.chunk", "choices": choices, **more})

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


class _Ollama(_Completions):
    """Ollama's own protocol, told as chat completions."""

    def __init__(self) -> None:
        super().__init__()
        self._chat = OllamaChat()

    def mend(self, event: Json, name: str) -> Iterator[bytes]:
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
    def mend(self, event: Json, name: str) -> Iterator[bytes]:
        if event.get("object") == "response" and "type" not in event:
            yield from _whole_response(event)
        elif "type" not in event and (error := _error(event, name)):
            yield _data({"error": error})
        else:
            yield _named(event)


def _whole_response(response: Json) -> Iterator[bytes]:
    numbers = count()

    def event(kind: str, **more: Any) -> bytes:
        return _named({"type": f"response.{kind}", "sequence_number": next(numbers), **more})

    yield event("created", response={**response, "status": "in_progress", "output": []})
    output = response.get("output")
    for at, item in enumerate(output if isinstance(output, list) else []):
        where = {"item_id": item.get("id") or f"item_{at}", "output_index": at}
        if item.get("type") == "function_call":
            yield event("output_item.added", output_index=at, item={**item, "arguments": ""})
            yield event("function_call_arguments.delta", **where, delta=item.get("arguments") or "{}")
        elif item.get("type") == "message":
            yield event("output_item.added", output_index=at, item={**item, "content": []})
            for number, part in enumerate(item.get("content") or []):
                place = {**where, "content_index": number}
                if part.get("type") == "output_text":
                    yield event("content_part.added", **place, part={**part, "text": ""})
                    yield event("output_text.delta", **place, delta=part.get("text") or "", logprobs=[])
        else:
            yield event("output_item.added", output_index=at, item=item)
        yield event("output_item.done", output_index=at, item=item)
    status = response.get("status")
    yield event(status if status in ("incomplete", "failed") else "completed", response=response)


class _Messages(_Google):
    def mend(self, event: Json, name: str) -> Iterator[bytes]:
        if event.get("type") == "message":
            yield from _whole_message(event)
        elif "type" not in event:
            if error := _error(event, name):
                yield _named({"type": "error", "error": {"type": "api_error", **error}})
        else:
            yield _named(event)


def _whole_message(message: Json) -> Iterator[bytes]:
    usage = message.get("usage") or {"input_tokens": 0, "output_tokens": 0}
    begun = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield _named({"type": "message_start", "message": begun})
    for at, block in enumerate(message.get("content") or []):
        bare, deltas = _split_block(block)
        yield _named({"type": "content_block_start", "index": at, "content_block": bare})
        for delta in deltas:
            yield _named({"type": "content_block_delta", "index": at, "delta": delta})
        yield _named({"type": "content_block_stop", "index": at})
    ending = {"stop_reason": message.get("stop_reason") or "end_turn", "stop_sequence": message.get("stop_sequence")}
    counted = {"output_tokens": usage.get("output_tokens", 0)}
    yield _named({"type": "message_delta", "delta": ending, "usage": counted})
    yield _named({"type": "message_stop"})


def _split_block(block: Json) -> tuple[Json, list[Json]]:
    """A whole content block as the block that starts, and the deltas that fill it."""
    match block.get("type"):
        case "text":
            return {**block, "text": ""}, [{"type": "text_delta", "text": block.get("text") or ""}]
        case "tool_use":
            arguments = json.dumps(block.get("input") or {})
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": arguments}]
        case "thinking":
            deltas: list[Json] = [{"type": "thinking_delta", "thinking": block.get("thinking") or ""}]
            if block.get("signature"):
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
            return {**block, "thinking": "", "signature": ""}, deltas
        case _:
            return block, []


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


def _data(event: Json) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


def _named(event: Json) -> bytes:
    return f"event: {event['type']}\n".encode() + _data(event)
