"""The first frame of a client becomes its identity, or a refusal. Pure: text in, outcome out.

The server sends connect.challenge, then waits for one frame:

frame                             answer                    close
not JSON                          -                         1000
not a request                     -                         1008 invalid request frame
another method than connect       res error                 1008 invalid handshake: …
connect, bad params               res error                 1008 invalid connect params: …
connect, no protocol in common    res error                 1002 protocol mismatch
connect, wrong role               res error                 1008 invalid role
connect, a foreign page           res error                 1008 origin not allowed …
connect, no or a false device     res error                 1008 the error's message
connect, wrong secret             res error                 1008 the error's message
connect, not paired yet           res error                 1008 pairing required
connect                           hello-ok (`hello`)        stays open
"""

from dataclasses import dataclass
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from gateway.protocol.admission.admission import Refusal, Terms, Tokens, admit
from gateway.protocol.admission.auth import Claim, Credentials
from gateway.protocol.admission.lockout import Lockout
from gateway.protocol.admission.origin import CONTROL_UI, RequestOrigin
from gateway.protocol.admission.pairing import Granted, PairingRequest
from gateway.protocol.admission.proof import DeviceProof, Signed, normalise_key, verify
from gateway.protocol.admission.proxy import ATTRIBUTION, ProxyUser
from gateway.protocol.closing import SILENT, Close
from gateway.protocol.frames import EventFrame, Malformed, NotJson, Request, WireError, decode_request, encode_error
from gateway.protocol.negotiation import mismatch, negotiate
from gateway.protocol.params import InvalidParams, decode_params
from gateway.protocol.peer import ClientInfo, Name, Peer

ROLES = ("operator", "node")
CAPABILITIES = ["model-catalog-snapshot"]

ProtocolNumber = Annotated[int, Meta(ge=1)]


class _Auth(Struct, frozen=True, rename="camel"):
    token: str | None = None
    password: str | None = None
    device_token: str | None = None
    bootstrap_token: str | None = None


class _Connect(Struct, frozen=True, rename="camel"):
    """Params of `connect`. Unknown keys are allowed on purpose: versions and clients differ in what they send."""

    min_protocol: ProtocolNumber
    max_protocol: ProtocolNumber
    client: ClientInfo
    role: str | None = None
    scopes: Annotated[list[Name], Meta(max_length=64)] | None = None
    caps: Annotated[list[Name], Meta(max_length=64)] | None = None
    device: DeviceProof | None = None
    auth: _Auth | None = None


@dataclass(frozen=True)
class Accepted:
    """An accepted client: answer `request_id` with hello-ok."""

    request_id: str
    peer: Peer
    granted: Granted | None = None
    """The token of its device."""


@dataclass(frozen=True)
class HandshakeRefused:
    """A refused client: send `text` if there is one, then close."""

    close: Close
    text: bytes | None = None
    why: str = ""
    """The reason for the log: clients of an older version are told less."""


def challenge(nonce: str, now_ms: int) -> bytes:
    payload = {"nonce": nonce, "ts": now_ms, "capabilities": CAPABILITIES}
    return EventFrame("connect.challenge", payload).text(seq=None)


class DeviceRegistry(Tokens, Protocol):
    """The devices that are paired or may be."""

    def pair(self, pairing: PairingRequest) -> Granted | WireError: ...


@dataclass(frozen=True)
class HandshakeContext:
    """Everything needed to decide whether one connection may authenticate."""

    terms: Terms
    source: RequestOrigin
    devices: DeviceRegistry
    lockout: Lockout
    identity: ProxyUser | str = ATTRIBUTION
    """In mode `trusted-proxy`: the user, or the reason why no user is believed."""
    challenge: str = ""
    """The nonce that this connection was given."""
    now_ms: int = 0
    """Milliseconds since 1970."""


def receive_connect(text: str | bytes, context: HandshakeContext) -> Accepted | HandshakeRefused:
    """Judge the first frame. It never raises.

    The order is frame, protocol, role, origin, device, secret, pairing: a client that fails a check learns nothing
    about the later ones.
    """
    try:
        request = decode_request(text)
    except NotJson:
        return HandshakeRefused(SILENT)
    except Malformed:
        return HandshakeRefused(Close(1008, "invalid request frame"))
    if request.method != "connect":
        return _refuse(request, _invalid("invalid handshake: first request must be connect"))
    try:
        connect = decode_params(request.params, _Connect)
    except InvalidParams as fault:
        return _refuse(request, _invalid(f"invalid connect params: {fault}"))
    spoken = connect.min_protocol, connect.max_protocol
    protocol = negotiate(*spoken)
    if protocol is None:
        return _refuse(request, mismatch(*spoken), code=1002)
    return _admit(request, connect, protocol, context)


def _admit(
    request: Request, connect: _Connect, protocol: int, context: HandshakeContext
) -> Accepted | HandshakeRefused:
    role, client = connect.role or "operator", connect.client
    if role not in ROLES:
        return _refuse(request, _invalid("invalid role"))
    device = None if context.terms.ignores_device(client.id) else connect.device
    claim = _claim(connect, role, protocol, device, context)
    admission = admit(claim, context.terms, context.devices, context.lockout.waits(context.source))
    context.lockout.record(context.source, admission.attempts)
    if isinstance(admission, Refusal):
        return _refuse(request, admission.error)
    policy, user = context.terms.auth, admission.user
    granted: Granted | None = None
    approved = admission.pairing_scopes
    if device is not None:
        offer = policy.proxy.offer(user, client.id, client.mode, connect.scopes) if user else None
        paired = context.devices.pair(_pairing_request(device, client, role, approved, protocol, context.source, offer))
        if isinstance(paired, WireError):
            return _refuse(request, paired)
        granted, approved = paired, approved if paired.session is None else paired.session
    peer = Peer(
        protocol=protocol,
        role=role,
        scopes=admission.scopes(approved),
        client=client,
        caps=tuple(connect.caps or ()),
        auth_mode=admission.method,
        auth_generation=policy.generation,
        gateway_mode=policy.mode,
        device_id=device.id if device else None,
        user=user.user if user else None,
    )
    # A page behind a proxy proves its user at each connection: a token would be valid longer than that proof.
    return Accepted(request.id, peer, None if user and client.id == CONTROL_UI else granted)


def _verify(
    device: DeviceProof, connect: _Connect, role: str, protocol: int, context: HandshakeContext
) -> WireError | None:
    auth, client = connect.auth or _Auth(), connect.client
    tokens = (auth.token, auth.device_token, auth.bootstrap_token)
    signed = Signed(
        client_id=client.id,
        client_mode=client.mode,
        role=role,
        scopes=tuple(connect.scopes or ()),
        token=next((token for token in tokens if token is not None), ""),
        platform=client.platform,
        device_family=client.device_family or "",
    )
    return verify(
        device,
        signed,
        protocol=protocol,
        challenge=context.challenge,
        now_ms=context.now_ms,
        local=context.source.local,
    )


def _pairing_request(
    device: DeviceProof, client: ClientInfo, role: str, allowed: tuple[str, ...], protocol: int, source: RequestOrigin,
    offer: tuple[str, ...] | None,
) -> PairingRequest:  # fmt: skip
    return PairingRequest(
        device_id=device.id,
        public_key=normalise_key(device.public_key) or device.public_key,
        display_name=client.display_name,
        platform=client.platform,
        device_family=client.device_family,
        client_id=client.id,
        client_mode=client.mode,
        role=role,
        roles=(role,),
        scopes=allowed,
        remote_ip=None if source.local else source.remote_ip or None,
        local=source.local,
        protocol=protocol,
        offer=offer,
    )


def _claim(connect: _Connect, role: str, protocol: int, device: DeviceProof | None, context: HandshakeContext) -> Claim:
    auth = connect.auth or _Auth()
    return Claim(
        face="websocket",
        source=context.source,
        credentials=Credentials(auth.token, auth.password, auth.device_token),
        identity=context.identity,
        protocol=protocol,
        client_id=connect.client.id,
        client_mode=connect.client.mode,
        role=role,
        scopes=connect.scopes or (),
        device=None if device is None else _verify(device, connect, role, protocol, context) or device.id,
    )


def _invalid(message: str) -> WireError:
    return WireError("INVALID_REQUEST", message)


def _refuse(request: Request, error: WireError, code: int = 1008) -> HandshakeRefused:
    why = str((error.details or {}).get("authReason", ""))
    return HandshakeRefused(Close.because(code, error.message), encode_error(request.id, error), why)
