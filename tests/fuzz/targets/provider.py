"""What a provider answers: any bytes, in any pieces, as each of the protocols.

The events are the same however the bytes are split, and what the library is told is events of JSON, or it is garbled.
"""

import json

from gateway.agent.providers.dialects import Dialect, GarbledEvent
from gateway.agent.providers.events import DONE, EventReader, ServerEvent
from tests.fuzz.source import Source, compact

APIS = ("openai-completions", "openai-responses", "anthropic-messages", "google-generative-ai", "ollama")
PIECES = (b"data: ", b"data:", b"event: error\n", b"\n\n", b"\r\n", b"\r", b"\xef\xbb\xbf", b": c\n", b"[DONE]")
WORDS = ("choices", "delta", "message", "tool_calls", "function", "content", "error", "type", "usage", "finish_reason")


def one(data: bytes) -> None:
    source = Source(data, words=(*WORDS, "response", "object", "output", "done", "detail", "stop"))
    api = source.pick(APIS)
    written = [_piece(source) for _ in range(1 + source.byte() % 8)]
    body = b"".join(written)
    events = _events(body)
    assert _events(*written) == events == _events(*(body[at : at + 1] for at in range(len(body)))), body
    dialect, told = Dialect(api), []  # type: ignore[arg-type]  # it is one of them
    try:
        for event in events:
            told += map(bytes, dialect.mend(event))
        told += map(bytes, dialect.finish())
    except GarbledEvent:
        pass
    for event in _events(*told):
        assert event.data == DONE or isinstance(json.loads(event.data), dict), event


def _piece(source: Source) -> bytes:
    match source.byte() % 4:
        case 0:
            return source.pick(PIECES)
        case 1:
            return b"data: " + compact(source.json()) + b"\n\n"
        case 2:
            return compact(source.json()) + b"\n"
    return source.bytes(40)


def _events(*pieces: bytes) -> list[ServerEvent]:
    events = EventReader()
    return [event for piece in pieces for event in events.feed(piece)] + list(events.finish())
