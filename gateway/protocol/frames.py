"""The three frames of the wire and their JSON: `req` in, `res` and `event` out.

Unknown keys of a frame are skipped, because the next version of a client adds some. Params stay raw bytes here; only
the method that is called knows their shape.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.protocol.params import explain
from gateway.text.unicode import well_formed_json

ErrorCode = Literal["NOT_LINKED", "NOT_PAIRED", "AGENT_TIMEOUT", "INVALID_REQUEST", "UNAVAILABLE", "FORBIDDEN"]

NO_PARAMS = Raw(b"{}")
_NOT_JSON = (msgspec.DecodeError, RecursionError, UnicodeError)


class WireError(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What a refused request gets; `message` is parsed by clients, so its wording is part of the protocol."""

    code: ErrorCode
    message: str
    details: dict[str, Any] | None = None
    retryable: bool = False
    retry_after_ms: int | None = None


class Request(Struct, frozen=True):
    id: str
    method: str
    params: Raw = NO_PARAMS


class StateVersion(Struct, frozen=True):
    presence: int
    health: int


class Malformed(Exception):
    """JSON, but not a request; `str()` says why and `id` is the one to answer to."""

    def __init__(self, why: str, id: str) -> None:
        super().__init__(why)
        self.id = id


class NotJson(Exception):
    """Nothing that could be answered."""


class _Incoming(Struct):
    id: str = ""
    method: str = ""
    params: Raw = NO_PARAMS
    type: str = ""


class _Odd(Struct):
    """A frame that is no request, with as little built of it as it takes to say why."""

    id: Raw | UnsetType = UNSET
    method: Raw | UnsetType = UNSET
    type: Raw | UnsetType = UNSET


class _Response(Struct, rename="camel", tag="res", tag_field="type"):
    id: str
    ok: bool
    payload: Any = UNSET
    error: WireError | UnsetType = UNSET


_incoming = msgspec.json.Decoder(_Incoming)
_odd = msgspec.json.Decoder(_Odd)
_skipped = msgspec.json.Decoder(Raw)
_encoder = msgspec.json.Encoder()


def decode_request(text: str | bytes) -> Request:
    """Raise `NotJson` or `Malformed`; nothing else comes out, whatever goes in. Half a character is taken as U+FFFD,
    as Node does it."""
    text = well_formed_json(text.encode(errors="surrogatepass") if isinstance(text, str) else text)
    try:
        frame = _incoming.decode(text)
    except msgspec.ValidationError as error:
        raise _fault(text, explain(error)) from None
    except _NOT_JSON:
        raise NotJson from None
    if frame.type != "req" or not frame.id or not frame.method:
        raise _fault(text, "")
    return Request(frame.id, frame.method, frame.params)


def _fault(text: str | bytes, why: str) -> Malformed | NotJson:
    """What is wrong with JSON that is no request; `why` where the last of each key would make one."""
    try:
        frame = _odd.decode(text)
        id = _text(frame.id) or "invalid"
        if _text(frame.type) != "req":
            return Malformed("at /type: must be equal to constant", id)
        for name, raw in (("id", frame.id), ("method", frame.method)):
            if raw is UNSET:
                return Malformed(f"at root: must have required property '{name}'", id)
            value = _text(raw)
            if value is None:
                return Malformed(f"at /{name}: must be string", id)
            if not value:
                return Malformed(f"at /{name}: must NOT have fewer than 1 characters", id)
        return Malformed(why, id)
    except msgspec.ValidationError as error:
        return _unless_broken(text, Malformed(explain(error), "invalid"))
    except _NOT_JSON:
        return NotJson()


def _text(raw: Raw | UnsetType) -> str | None:
    """None for what is not there, or no string."""
    if isinstance(raw, UnsetType) or bytes(memoryview(raw)[:1]) != b'"':
        return None
    return msgspec.json.decode(raw, type=str)


def _unless_broken(text: str | bytes, fault: Malformed) -> Malformed | NotJson:
    """A decoder that stops at the first wrong type has not seen whether the rest is JSON."""
    try:
        _skipped.decode(text)
    except _NOT_JSON:
        return NotJson()
    return fault


def encode_response(id: str, payload: object) -> str:
    return _encoder.encode(_Response(id=id, ok=True, payload=payload)).decode()


def encode_error(id: str, error: WireError) -> str:
    return _encoder.encode(_Response(id=id, ok=False, error=error)).decode()


class EventFrame:
    """One event for many clients: the payload is serialised once, only `seq` differs."""

    __slots__ = ("_head", "_tail", "name")

    def __init__(self, name: str, payload: object, state_version: StateVersion | None = None) -> None:
        head = b'{"type":"event","event":' + _encoder.encode(name) + b',"payload":' + _encoder.encode(payload)
        tail = b',"stateVersion":' + _encoder.encode(state_version) + b"}" if state_version else b"}"
        self.name = name
        self._head = head.decode()
        self._tail = tail.decode()

    def text(self, seq: int | None) -> str:
        """The frame for one client; None for the events before hello, which carry no number."""
        return self._head + self._tail if seq is None else f'{self._head},"seq":{seq}{self._tail}'


class RpcError(Exception):
    """Raise it in a handler to refuse: what it carries goes to the client as it is.

    A bare sentence means that the request was wrong.
    """

    def __init__(self, refusal: WireError | str) -> None:
        self.wire = WireError("INVALID_REQUEST", refusal) if isinstance(refusal, str) else refusal
        super().__init__(self.wire.message)
