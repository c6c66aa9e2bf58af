"""Answers of OpenAI's API: a completion, or its chunks, and errors with their status. Pure."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from gateway.link.messages import Failure, FailureKind, Usage
from gateway.sessions.records import Run

ID = "chatcmpl_"
NOTHING = "No response from OpenClaw."
"""The text of an empty answer, as in OpenClaw."""
DONE = b"data: [DONE]\n\n"
SILENCE = b": the answer goes on\n\n"
"""A comment of SSE, because proxies cut idle connections."""

INVALID, API, RATE, FORBIDDEN = "invalid_request_error", "api_error", "rate_limit_error", "forbidden"
_FAILURES: dict[FailureKind, tuple[int, str]] = {
    "config": (500, API),
    "auth": (401, "authentication_error"),
    "billing": (402, "insufficient_quota"),
    "rate_limit": (429, RATE),
    "overloaded": (503, API),
    "timeout": (504, API),
    "context": (400, INVALID),
    "refused": (400, INVALID),
    "network": (502, API),
    "provider": (502, API),
    "tool": (500, API),
    "limit": (500, API),
    "internal": (500, API),
}
"""Status and type of each kind of failure; OpenClaw's, where it has them."""


class Error(Struct, frozen=True, omit_defaults=True):
    message: str
    type: str
    code: str | None = None


class CompletionFailed(Struct, frozen=True):
    error: Error


def error(message: str, type: str, code: str | None = None) -> bytes:
    return msgspec.json.encode(CompletionFailed(Error(message, type, code)))


def failure(run: Run | None) -> tuple[int, Error]:
    """Status and error of a run that has failed; None is a run that is not known any more."""
    if run is None:
        return 500, Error("the gateway does not know this run any more", API, "internal")
    what = run.failure or Failure("internal", "the run ended without an answer")
    status, type = _FAILURES[what.kind]
    if what.kind in ("provider", "config") and what.status is not None and not what.retryable:
        # What the provider refuses it will refuse again: layers between would try a 5xx once more.
        status, type = 400, INVALID
    return status, Error(what.message, type, what.kind)


def finish(run: Run) -> str:
    return "length" if run.stop_reason == "length" else "stop"


def usage(used: Usage) -> dict[str, Any]:
    prompt = used.input + used.cache_read + used.cache_write
    told: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": used.output, "total_tokens": used.total}
    return told | ({"prompt_tokens_details": {"cached_tokens": used.cache_read}} if used.cache_read else {})


def completion(run: Run, model: str) -> bytes:
    """The completion of a run. `model`: the client's name for it."""
    message = {"role": "assistant", "content": run.answer or NOTHING}
    choice = {"index": 0, "message": message, "finish_reason": finish(run)}
    return msgspec.json.encode(
        {**_head(run.id, run.accepted, model, "chat.completion"), "choices": [choice], "usage": usage(run.usage)}
    )


class Chunks:
    """The events of one stream."""

    def __init__(self, run: str, accepted: int, model: str) -> None:
        self._head = _head(run, accepted, model, "chat.completion.chunk")

    def role(self) -> bytes:
        return self._choice({"role": "assistant"})

    def content(self, text: str) -> bytes:
        return self._choice({"content": text})

    def end(self, run: Run, *, with_usage: bool) -> bytes:
        told = self._choice({}, finish(run))
        return told + (event({**self._head, "choices": [], "usage": usage(run.usage)}) if with_usage else b"") + DONE

    def _choice(self, delta: dict[str, str], reason: str | None = None) -> bytes:
        return event({**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


def event(what: Any) -> bytes:
    return b"data: " + msgspec.json.encode(what) + b"\n\n"


def broken(why: Error) -> bytes:
    """The end of a stream that has failed."""
    return event(CompletionFailed(why)) + DONE


def model(id: str, owner: str) -> bytes:
    return msgspec.json.encode(_model(id, owner))


def model_list(models: Iterable[tuple[str, str]]) -> bytes:
    """The list of models, from their names and owners."""
    return msgspec.json.encode({"object": "list", "data": [_model(id, owner) for id, owner in models]})


def _model(id: str, owner: str) -> dict[str, Any]:
    return {"id": id, "object": "model", "created": 0, "owned_by": owner, "permission": []}


def _head(run: str, accepted: int, model: str, kind: str) -> dict[str, Any]:
    # The same for a request that comes again with the idempotency key.
    return {"id": run if run.startswith(ID) else ID + run, "object": kind, "created": accepted // 1000, "model": model}
