"""Who gets in, as one table: mode, credential, place, origin, client, role and device to the answer of each face.

`python -m tests.doors` prints it.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import structs

from gateway.protocol.admission.admission import Terms
from gateway.protocol.admission.auth import ATTRIBUTION_REQUIRED, AuthPolicy
from gateway.protocol.admission.handshake import Accepted, HandshakeContext, HandshakeRefused, receive_connect
from gateway.protocol.admission.lockout import Lockout
from gateway.protocol.admission.origin import ORIGIN_REFUSED, request_origin
from gateway.protocol.admission.pairing import Granted, PairingRequest
from gateway.protocol.admission.proxy import Rules, identify
from gateway.protocol.frames import WireError

NOW = 1_795_340_000_000
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
RAW = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
DEVICE_ID = hashlib.sha256(RAW).hexdigest()
ISSUED = "d" * 32
PROXIES = ("10.0.0.1",)
RULES = Rules(
    user_header="x-user",
    required_headers=("x-proof",),
    allow_users=("ann@x.example", "bob"),
    proxies=PROXIES,
    identity_scopes={"Ann@X.example": ("operator.write",)},
)
POLICIES = {
    "none": AuthPolicy("none"),
    "token": AuthPolicy("token", token="right", generation=3),
    "password": AuthPolicy("password", password="right"),
    "proxy": AuthPolicy("trusted-proxy", proxy=RULES),
    "proxy+password": AuthPolicy("trusted-proxy", password="right", proxy=RULES),
}
BEHIND = {"host": "claw.example", "x-forwarded-for": "203.0.113.9", "x-proof": "1"}
PLACES = {
    "here": ("127.0.0.1", {"host": "127.0.0.1:18789"}),
    "lan": ("192.168.1.9", {"host": "192.168.1.5:18789"}),
    "proxied": ("127.0.0.1", {"host": "127.0.0.1:18789", "x-forwarded-for": "203.0.113.9"}),
    "rebound": ("127.0.0.1", {"host": "evil.example:18789"}),
    "ann": ("10.0.0.1", BEHIND | {"x-user": "ann@x.example"}),
    "bob": ("::ffff:10.0.0.1", BEHIND | {"x-user": " bob "}),
    "bob, bound": ("10.0.0.1", BEHIND | {"x-user": "bob", "x-openclaw-scopes": "operator.write"}),
    "ann, bound": ("10.0.0.1", BEHIND | {"x-user": "ann@x.example", "x-openclaw-scopes": ""}),
    "eve": ("10.0.0.1", BEHIND | {"x-user": "eve"}),
    "nobody": ("10.0.0.1", BEHIND),
    "unproved": ("10.0.0.1", BEHIND | {"x-user": "bob", "x-proof": " "}),
    "unattributed": ("10.0.0.1", {"host": "claw.example", "x-user": "bob", "x-proof": "1"}),
    "forged": ("10.0.0.2", {"host": "claw.example", "x-user": "bob", "x-proof": "1"}),
    "forged, forwarded": ("10.0.0.2", BEHIND | {"x-user": "bob"}),
    "forged here": ("127.0.0.1", {"host": "127.0.0.1:18789", "x-user": "bob", "x-proof": "1"}),
}
CLIENTS = {
    "cli": ("cli", "cli"),
    "lib": ("gateway-client", "backend"),
    "probe": ("openclaw-probe", "probe"),
    "ui": ("openclaw-control-ui", "webchat"),
}
ASKED = ("operator.read",)


@dataclass
class FakeBook:
    """A book in which the device may stand with a token."""

    known: bool = False
    asked: list[PairingRequest] = field(default_factory=list)

    def token_admits(self, device_id: str, role: str, scopes: tuple[str, ...], token: str) -> bool:
        return (self.known, device_id, role, token) == (True, DEVICE_ID, "operator", ISSUED) and set(scopes) <= {*ASKED}

    def token_scopes(self, token: str) -> tuple[str, ...] | None:
        return ASKED if self.known and token == ISSUED else None

    def pair(self, asking: PairingRequest) -> Granted | WireError:
        self.asked.append(asking)
        if self.known or asking.local:
            return Granted(ISSUED, asking.scopes, 77)
        return WireError("NOT_PAIRED", "pairing required", {"requestId": "r"})


def head(place: str, origin: str | None) -> tuple[str, dict[str, str]]:
    """The address of the peer, and what its request says."""
    address, headers = PLACES[place]
    return address, headers | ({"origin": origin} if origin is not None else {})


def make_door(
    place: str = "here",
    origin: str | None = None,
    *,
    book: FakeBook | None = None,
    lockout: Lockout | None = None,
    **terms: Any,
) -> HandshakeContext:
    address, sent = head(place, origin)
    raw = [(name.encode(), value.encode()) for name, value in sent.items()]
    who = request_origin(address, raw, PROXIES)
    return HandshakeContext(
        terms=Terms(AuthPolicy("none"), **terms),
        source=who,
        devices=book or FakeBook(),
        lockout=Lockout(lambda: 0.0) if lockout is None else lockout,
        identity=identify(RULES, who, raw, own=False),
        challenge="nonce",
        now_ms=NOW,
    )


def spell(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def frame(
    protocol: int,
    client: str,
    auth: dict[str, str],
    *,
    role: str = "operator",
    device: str = "",
    asked: Any = ASKED,
    nonce: str = "nonce",
    now_ms: int = NOW,
) -> str:
    """`device` is "" for none, "good", or "false" for one that signed something else."""
    id, mode = CLIENTS[client]
    params: dict[str, Any] = {
        "minProtocol": protocol,
        "maxProtocol": protocol,
        "client": {"id": id, "version": "1", "platform": "linux", "mode": mode},
        "role": role,
        "scopes": list(asked),
        "auth": auth,
    }
    if device:
        token = auth.get("token", auth.get("deviceToken", "")) + ("x" if device == "false" else "")
        text = "|".join(["v2", DEVICE_ID, id, mode, role, ",".join(asked), str(now_ms), token, nonce])
        signature = spell(KEY.sign(text.encode()))
        params["device"] = {
            "id": DEVICE_ID, "publicKey": spell(RAW), "signature": signature, "signedAt": now_ms, "nonce": nonce
        }  # fmt: skip
    return json.dumps({"type": "req", "id": "c", "method": "connect", "params": params})


def knock(text: str, mode: str, door: HandshakeContext) -> Accepted | HandshakeRefused:
    return receive_connect(text, replace(door, terms=structs.replace(door.terms, auth=POLICIES[mode])))


def answer(text: str, mode: str, door: HandshakeContext) -> str:
    """ "<how>: <scopes>" for who is let in, else the message."""
    outcome = knock(text, mode, door)
    if isinstance(outcome, Accepted):
        return f"{outcome.peer.auth_mode}: {' '.join(outcome.peer.scopes)}".strip()
    assert isinstance(outcome, HandshakeRefused) and outcome.text is not None
    message: str = json.loads(outcome.text)["error"]["message"]
    assert outcome.close.code == 1008 and message.startswith(outcome.close.reason)
    return message


TOKEN, WRONG, PASSWORD, NOTHING = {"token": "right"}, {"token": "wrong"}, {"password": "right"}, {}
READ = "operator.read"
NO_DEVICE = "device identity required"
INSECURE = "control ui requires HTTPS or localhost (secure context)"
UNSIGNED = "device signature invalid"
MISMATCH = "unauthorized: gateway token mismatch (provide gateway auth token)"
PAGE, EVIL = "http://localhost:5173", "https://evil.example"

# mode, credential, place, origin, client, role, device: answer in protocol 3, answer in protocol 4
MATRIX = [
    ("token", TOKEN, "here", None, "lib", "operator", "", f"token: {READ}", f"token: {READ}"),
    ("token", TOKEN, "here", None, "cli", "operator", "", f"token: {READ}", f"token: {READ}"),
    ("token", TOKEN, "here", None, "probe", "operator", "", f"token: {READ}", "token:"),
    ("token", TOKEN, "lan", None, "cli", "operator", "", "token:", "token:"),
    ("token", TOKEN, "proxied", None, "cli", "operator", "", "token:", "token:"),
    ("token", TOKEN, "rebound", None, "cli", "operator", "", "token:", "token:"),
    ("token", WRONG, "here", None, "lib", "operator", "", MISMATCH, MISMATCH),
    ("token", WRONG, "lan", None, "lib", "operator", "", MISMATCH, MISMATCH),
    ("token", NOTHING, "here", None, "lib", "operator", "", NO_DEVICE, NO_DEVICE),
    ("token", PASSWORD, "here", None, "lib", "operator", "", NO_DEVICE, f"token: {READ}"),
    ("password", PASSWORD, "here", None, "lib", "operator", "", NO_DEVICE, f"password: {READ}"),
    ("password", PASSWORD, "here", None, "lib", "operator", "good", f"password: {READ}", f"password: {READ}"),
    ("none", NOTHING, "here", None, "cli", "operator", "", f"none: {READ}", f"none: {READ}"),
    ("none", NOTHING, "proxied", None, "cli", "operator", "", NO_DEVICE, "none:"),
    ("none", NOTHING, "rebound", None, "cli", "operator", "", NO_DEVICE, "none:"),
    # pages
    ("token", TOKEN, "here", EVIL, "lib", "operator", "", ORIGIN_REFUSED, ORIGIN_REFUSED),
    ("token", WRONG, "here", EVIL, "lib", "operator", "", ORIGIN_REFUSED, ORIGIN_REFUSED),
    ("none", NOTHING, "here", EVIL, "cli", "operator", "", ORIGIN_REFUSED, ORIGIN_REFUSED),
    ("token", TOKEN, "here", "null", "ui", "operator", "good", ORIGIN_REFUSED, ORIGIN_REFUSED),
    ("token", TOKEN, "rebound", "http://evil.example:18789", "ui", "operator", "good", ORIGIN_REFUSED, ORIGIN_REFUSED),
    ("token", TOKEN, "here", PAGE, "ui", "operator", "", INSECURE, INSECURE),
    ("none", NOTHING, "here", PAGE, "ui", "operator", "", INSECURE, INSECURE),
    ("token", TOKEN, "here", None, "ui", "operator", "", INSECURE, ORIGIN_REFUSED),
    ("token", TOKEN, "here", PAGE, "ui", "operator", "good", f"token: {READ}", f"token: {READ}"),
    ("token", TOKEN, "lan", "http://192.168.1.5:18789", "ui", "operator", "good", "pairing required",
     "pairing required"),
    # devices and roles
    ("token", TOKEN, "here", None, "cli", "operator", "good", f"token: {READ}", f"token: {READ}"),
    ("token", TOKEN, "here", None, "cli", "operator", "false", UNSIGNED, UNSIGNED),
    ("token", WRONG, "here", None, "lib", "operator", "good", MISMATCH, MISMATCH),
    ("token", NOTHING, "here", None, "lib", "operator", "good",
     *["unauthorized: gateway token missing (provide gateway auth token)"] * 2),
    ("token", TOKEN, "lan", None, "cli", "operator", "good", "pairing required", "pairing required"),
    ("token", TOKEN, "proxied", None, "cli", "operator", "good", "pairing required", "pairing required"),
    ("token", WRONG, "lan", None, "lib", "operator", "good", MISMATCH, MISMATCH),
    ("token", {"token": ISSUED}, "here", None, "lib", "operator", "good", MISMATCH, MISMATCH),
    ("none", NOTHING, "lan", None, "cli", "operator", "good", "pairing required", "pairing required"),
    ("token", TOKEN, "here", None, "lib", "node", "", f"token: {READ}", NO_DEVICE),
    ("token", TOKEN, "here", None, "lib", "node", "good", f"token: {READ}", f"token: {READ}"),
    ("token", TOKEN, "here", None, "lib", "king", "", "invalid role", "invalid role"),
    ("token", TOKEN, "here", EVIL, "lib", "king", "", "invalid role", "invalid role"),
    # the word of a proxy
    *[("proxy", auth, place, None, "lib", "operator", device, *[answer] * 2) for auth, place, device, answer in (
        (NOTHING, "ann", "", "trusted-proxy: operator.write"),
        (NOTHING, "ann, bound", "", "trusted-proxy:"),
        (NOTHING, "bob", "", "trusted-proxy:"),
        (WRONG, "bob", "", "trusted-proxy:"),
        (NOTHING, "bob", "good", "pairing required"),
        (NOTHING, "bob", "false", UNSIGNED),
        (NOTHING, "eve", "", NO_DEVICE),
        (NOTHING, "eve", "good", "unauthorized"),
        (TOKEN, "eve", "", "unauthorized"),
        (TOKEN, "nobody", "", "unauthorized"),
        (TOKEN, "unproved", "", "unauthorized"),
        (TOKEN, "unattributed", "", ATTRIBUTION_REQUIRED),
        (TOKEN, "forged", "", "unauthorized"),
        (TOKEN, "forged, forwarded", "", ATTRIBUTION_REQUIRED),
        (TOKEN, "forged here", "", "unauthorized"),
        (TOKEN, "here", "", "unauthorized"),
        (TOKEN, "proxied", "good", ATTRIBUTION_REQUIRED),
        (PASSWORD, "here", "", "unauthorized"),
        ({"token": ISSUED}, "forged", "good", "unauthorized: device token mismatch (rotate/reissue device token)"),
    )],
    ("proxy", NOTHING, "ann", "https://claw.example", "ui", "operator", "", ORIGIN_REFUSED, ORIGIN_REFUSED),
    ("proxy", NOTHING, "ann", EVIL, "ui", "operator", "", ORIGIN_REFUSED, ORIGIN_REFUSED),
    ("proxy", NOTHING, "bob", None, "lib", "node", "", NO_DEVICE, NO_DEVICE),
    ("proxy", NOTHING, "bob", None, "lib", "node", "good", "pairing required", "pairing required"),
    ("proxy", NOTHING, "here", PAGE, "ui", "operator", "", INSECURE, INSECURE),
    *[("proxy+password", auth, place, None, "cli", "operator", "", *[answer] * 2) for auth, place, answer in (
        (PASSWORD, "here", f"password: {READ}"),
        ({"password": "wrong"}, "here", "unauthorized: gateway password mismatch (set gateway.remote.password to match "
         "gateway.auth.password)"),
        ({"token": "right"}, "here", "unauthorized"),
        (PASSWORD, "rebound", "unauthorized"),
        (PASSWORD, "lan", "unauthorized"),
        (PASSWORD, "proxied", ATTRIBUTION_REQUIRED),
        (PASSWORD, "nobody", "unauthorized"),
        (PASSWORD, "bob", "trusted-proxy:"),
    )],
]  # fmt: skip

OVER_HTTP = [
    ("none", NOTHING, "here", PAGE, "write"),
    ("none", NOTHING, "here", EVIL, "401"),
    ("none", NOTHING, "here", None, "write"),
    ("none", NOTHING, "lan", None, "401"),
    ("none", NOTHING, "proxied", None, "401"),
    ("none", NOTHING, "rebound", None, "401"),
    ("password", PASSWORD, "here", None, "write"),
    ("proxy", PASSWORD, "here", None, "401"),
    ("proxy", {"token": ISSUED}, "forged", None, "401"),
    ("proxy", TOKEN, "eve", None, "401"),
    ("proxy", TOKEN, "forged here", None, "401"),
    ("proxy", TOKEN, "forged", None, "401"),
    ("proxy", TOKEN, "forged, forwarded", None, "403"),
    ("proxy", TOKEN, "here", None, "401"),
    ("proxy", TOKEN, "nobody", None, "401"),
    ("proxy", TOKEN, "proxied", None, "403"),
    ("proxy", TOKEN, "unattributed", None, "403"),
    ("proxy", TOKEN, "unproved", None, "401"),
    ("proxy", WRONG, "bob", None, "403"),
    ("proxy", NOTHING, "ann", "https://claw.example", "401"),
    ("proxy", NOTHING, "ann", EVIL, "401"),
    ("proxy", NOTHING, "ann", None, "write"),
    ("proxy", NOTHING, "ann, bound", None, "403"),
    ("proxy", NOTHING, "bob", None, "403"),
    ("proxy", NOTHING, "eve", None, "401"),
    ("proxy", NOTHING, "here", PAGE, "401"),
    ("proxy+password", PASSWORD, "bob", None, "403"),
    ("proxy+password", PASSWORD, "here", None, "write"),
    ("proxy+password", PASSWORD, "lan", None, "401"),
    ("proxy+password", PASSWORD, "nobody", None, "401"),
    ("proxy+password", PASSWORD, "proxied", None, "403"),
    ("proxy+password", PASSWORD, "rebound", None, "401"),
    ("proxy+password", {"password": "wrong"}, "here", None, "401"),
    ("proxy+password", TOKEN, "here", None, "write"),
    ("token", PASSWORD, "here", None, "write"),
    ("token", {"token": ISSUED}, "here", None, "401"),
    ("token", TOKEN, "here", PAGE, "write"),
    ("token", TOKEN, "here", EVIL, "write"),
    ("token", TOKEN, "here", "null", "write"),
    ("token", TOKEN, "here", None, "write"),
    ("token", TOKEN, "lan", "http://192.168.1.5:18789", "write"),
    ("token", TOKEN, "lan", None, "write"),
    ("token", TOKEN, "proxied", None, "write"),
    ("token", TOKEN, "rebound", "http://evil.example:18789", "write"),
    ("token", TOKEN, "rebound", None, "write"),
    ("token", WRONG, "here", EVIL, "401"),
    ("token", WRONG, "here", None, "401"),
    ("token", WRONG, "lan", None, "401"),
    ("token", NOTHING, "here", None, "401"),
]
"""The same over HTTP, where neither client, role nor device is named: what may be done, or the status of the refusal.

The bearer is whatever credential there is."""


def table() -> str:
    """All of it in Markdown, for a person: `python -m tests.doors`."""
    heads = ("mode", "credential", "place", "origin", "client", "role", "device", "protocol 3", "protocol 4", "HTTP")
    rows: list[tuple[Any, ...]] = [heads, ("---",) * len(heads)]
    over_http = {(mode, str(auth), place, origin): answer for mode, auth, place, origin, answer in OVER_HTTP}
    for mode, auth, place, origin, *who, three, four in MATRIX:
        credential = " ".join(f"{name} {value[:5]}" for name, value in auth.items())
        http = over_http[mode, str(auth), place, origin]
        rows.append((mode, credential, place, origin or "", *who, three, four if four != three else "the same", http))
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


if __name__ == "__main__":
    print(table())
