"""The three frames of the wire and their JSON: `req` in, `res` and `event` out. A text is bytes from the encoder to the
transport.

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
    """The error of a refused request. Clients parse `message`, so its wording is part of the protocol."""

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
    """JSON that is no request. `str()` says why, `id` is the request to answer."""

    def __init__(self, why: str, id: str) -> None:
        super().__init__(why)
        self.id = id


class NotJson(Exception):
    """The text is no JSON, so that it cannot be answered."""


class _Incoming(Struct):
    id: str = ""
    method: str = ""
    params: Raw = NO_PARAMS
    type: str = ""


class _Odd(Struct):
    """A frame that is no request; its fields are decoded only as far as needed to say why."""

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
    """Raises NotJson or Malformed. Half a character is decoded as U+FFFD, as in Node."""
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
    """The error for a frame that is no request. `why`: the error if only a repeated key is wrong."""
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
    """The string; None if there is none."""
    if isinstance(raw, UnsetType) or bytes(memoryview(raw)[:1]) != b'"':
        return None
    return msgspec.json.decode(raw, type=str)


def _unless_broken(text: str | bytes, fault: Malformed) -> Malformed | NotJson:
    """`fault`, unless the text is no JSON at all: the decoder stopped at the first wrong type."""
    try:
        _skipped.decode(text)
    except _NOT_JSON:
        return NotJson()
    return fault


def encode_response(id: str, payload: object) -> bytes:
    return _encoder.encode(_Response(id=id, ok=True, payload=payload))


def encode_error(id: str, error: WireError) -> bytes:
    return _encoder.encode(_Response(id=id, ok=False, error=error))


class EventFrame:
    """One event for many clients: the payload is encoded once, only `seq` differs."""

    __slots__ = ("_head", "_tail", "name")

    def __init__(self, name: str, payload: object, state_version: StateVersion | None = None) -> None:
        self.name = name
        self._head = b'{"type":"event","event":' + _encoder.encode(name) + b',"payload":' + _encoder.encode(payload)
        self._tail = b',"stateVersion":' + _encoder.encode(state_version) + b"}" if state_version else b"}"

    def text(self, seq: int | None) -> bytes:
        """The frame for one client. `seq` is None for events before hello, which have no number."""
        return self._head + self._tail if seq is None else b'%b,"seq":%d%b' % (self._head, seq, self._tail)


class RpcError(Exception):
    """Raised by a handler to refuse a request: the client gets `wire`.

    A text alone stands for an INVALID_REQUEST with that message.
    """

    def __init__(self, refusal: WireError | str) -> None:
        self.wire = WireError("INVALID_REQUEST", refusal) if isinstance(refusal, str) else refusal
        super().__init__(self.wire.message)
