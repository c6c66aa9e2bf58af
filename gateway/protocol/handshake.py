"""From the first frame of a client to who it is, or to the refusal it gets. Pure: text in, outcome out.

server sends connect.challenge, then waits for one frame:

frame                             answer                    close
not JSON                          -                         1000
not a request                     -                         1008 invalid request frame
another method than connect       res error                 1008 invalid handshake: …
connect, bad params               res error                 1008 invalid connect params: …
connect, no protocol in common    res error                 1002 protocol mismatch
connect, wrong role or secret     res error                 1008 the error's message
connect                           hello-ok (`hello`)        stays open
"""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway.protocol import scopes
from gateway.protocol.auth import AuthPolicy, Claim, Credentials, check, device_required
from gateway.protocol.closing import SILENT, Close
from gateway.protocol.frames import EventFrame, Malformed, NotJson, Request, WireError, decode_request, encode_error
from gateway.protocol.params import InvalidParams, decode_params

ROLES = ("operator", "node")
CAPABILITIES = ["model-catalog-snapshot"]

Name = Annotated[str, Meta(min_length=1, max_length=200)]
ProtocolNumber = Annotated[int, Meta(ge=1)]


class ClientInfo(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a client says of itself; believed for display, never for access."""

    id: Name
    version: Name
    platform: Name
    mode: Name
    display_name: Name | None = None
    device_family: Name | None = None
    model_identifier: Name | None = None
    instance_id: Name | None = None


class _Auth(Struct, frozen=True):
    token: str | None = None
    password: str | None = None


class _Connect(Struct, frozen=True, rename="camel"):
    """Open on purpose: each version, and each client of it, sends keys that another does not know."""

    min_protocol: ProtocolNumber
    max_protocol: ProtocolNumber
    client: ClientInfo
    role: str | None = None
    scopes: Annotated[list[Name], Meta(max_length=64)] | None = None
    caps: Annotated[list[Name], Meta(max_length=64)] | None = None
    device: dict[str, Any] | None = None
    auth: _Auth | None = None


class Peer(Struct, frozen=True):
    """Who is connected and what he may do: all that must be known to go on with him later."""

    protocol: int
    role: str
    scopes: tuple[str, ...]
    client: ClientInfo
    caps: tuple[str, ...] = ()
    auth_mode: str = "none"
    auth_generation: int = 0


@dataclass(frozen=True)
class Accepted:
    """Answer `request_id` with hello-ok."""

    request_id: str
    peer: Peer


@dataclass(frozen=True)
class Refused:
    """Send `text` if there is one, then close."""

    close: Close
    text: str | None = None


def challenge(nonce: str, now_ms: int) -> str:
    payload = {"nonce": nonce, "ts": now_ms, "capabilities": CAPABILITIES}
    return EventFrame("connect.challenge", payload).text(seq=None)


def receive_connect(text: str, policy: AuthPolicy) -> Accepted | Refused:
    """Judge the first frame. Nothing is raised, whatever it holds."""
    try:
        request = decode_request(text)
    except NotJson:
        return Refused(SILENT)
    except Malformed:
        return Refused(Close(1008, "invalid request frame"))
    if request.method != "connect":
        return _refuse(request, _invalid("invalid handshake: first request must be connect"))
    try:
        connect = decode_params(request.params, _Connect)
    except InvalidParams as fault:
        return _refuse(request, _invalid(f"invalid connect params: {fault}"))
    protocol = _negotiate(connect)
    if protocol is None:
        return _refuse(request, _mismatch(connect), code=1002)
    return _admit(request, connect, protocol, policy)


def _admit(request: Request, connect: _Connect, protocol: int, policy: AuthPolicy) -> Accepted | Refused:
    role = connect.role or "operator"
    if role not in ROLES:
        return _refuse(request, _invalid("invalid role"))
    if role == "node" and protocol >= 4 and connect.device is None:
        return _refuse(request, device_required(protocol))
    error = check(policy, _claim(connect, protocol))
    if error is not None:
        return _refuse(request, error)
    return Accepted(
        request.id,
        Peer(
            protocol=protocol,
            role=role,
            scopes=scopes.granted(protocol, role, connect.scopes or []),
            client=connect.client,
            caps=tuple(connect.caps or ()),
            auth_mode=policy.mode,
            auth_generation=policy.generation,
        ),
    )


def _claim(connect: _Connect, protocol: int) -> Claim:
    auth = connect.auth or _Auth()
    return Claim(
        protocol=protocol,
        client_id=connect.client.id,
        client_mode=connect.client.mode,
        has_device=connect.device is not None,
        credentials=Credentials(auth.token, auth.password),
    )


def _negotiate(connect: _Connect) -> int | None:
    """The newest of ours that the client speaks."""
    spoken = (number for number in (4, 3) if connect.min_protocol <= number <= connect.max_protocol)
    return next(spoken, None)


def _mismatch(connect: _Connect) -> WireError:
    """Told in the shape of the version that is nearer to the client."""
    details: dict[str, Any] = {"expectedProtocol": 3}
    if connect.max_protocol > 3:
        details = {
            "code": "PROTOCOL_MISMATCH",
            "clientMinProtocol": connect.min_protocol,
            "clientMaxProtocol": connect.max_protocol,
            "expectedProtocol": 4,
            "minimumProbeProtocol": 3,
        }
    return WireError("INVALID_REQUEST", "protocol mismatch", details)


def _invalid(message: str) -> WireError:
    return WireError("INVALID_REQUEST", message)


def _refuse(request: Request, error: WireError, code: int = 1008) -> Refused:
    return Refused(Close.because(code, error.message), encode_error(request.id, error))


def describe(peer: Peer) -> str:
    """A client in a log line: short, and escaped because it chose these words itself."""
    client = peer.client
    return msgspec.json.encode(f"{client.id}/{client.mode} {client.version}"[:80]).decode()
