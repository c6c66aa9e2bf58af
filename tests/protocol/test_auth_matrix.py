"""Who gets in, as one table: mode, credential, address, origin, role and device to the answer; for both protocols."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.config.catalog import defaults
from gateway.lockout import MAX_FAILURES, Lockout
from gateway.protocol.auth import ATTRIBUTION_REQUIRED, AuthPolicy
from gateway.protocol.frames import StateVersion, WireError
from gateway.protocol.gate import Gate
from gateway.protocol.handshake import Accepted, Refused, receive_connect
from gateway.protocol.hello import Facts, hello
from gateway.protocol.pairing import Asking, Granted
from gateway.protocol.proxy import Rules, identify
from gateway.protocol.visitor import ORIGIN_REFUSED, visitor

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
    asked: list[Asking] = field(default_factory=list)

    def token_admits(self, device_id: str, role: str, scopes: tuple[str, ...], token: str) -> bool:
        return (self.known, device_id, role, token) == (True, DEVICE_ID, "operator", ISSUED) and set(scopes) <= {*ASKED}

    def pair(self, asking: Asking) -> Granted | WireError:
        self.asked.append(asking)
        if self.known or asking.local:
            return Granted(ISSUED, asking.scopes, 77)
        return WireError("NOT_PAIRED", "pairing required", {"requestId": "r"})


def make_gate(place: str = "here", origin: str | None = None, **more: Any) -> Gate:
    address, headers = PLACES[place]
    sent = headers | ({"origin": origin} if origin is not None else {})
    raw = [(name.encode(), value.encode()) for name, value in sent.items()]
    who = visitor(address, raw, PROXIES)
    identity = identify(RULES, who, raw, own=False)
    given = {"visitor": who, "identity": identity, "lockout": Lockout(lambda: 0.0), "challenge": "nonce", "now_ms": NOW}
    return Gate(**{**given, **more})


def spell(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def frame(
    protocol: int, client: str, auth: dict[str, str], *, role: str = "operator", device: str = "", asked: Any = ASKED
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
        text = "|".join(["v2", DEVICE_ID, id, mode, role, ",".join(asked), str(NOW), token, "nonce"])
        signature = spell(KEY.sign(text.encode()))
        params["device"] = {
            "id": DEVICE_ID, "publicKey": spell(RAW), "signature": signature, "signedAt": NOW, "nonce": "nonce"
        }  # fmt: skip
    return json.dumps({"type": "req", "id": "c", "method": "connect", "params": params})


def answer(text: str, mode: str, gate: Gate) -> str:
    """ "<how>: <scopes>" for who is let in, else the message."""
    outcome = receive_connect(text, POLICIES[mode], gate)
    if isinstance(outcome, Accepted):
        return f"{outcome.peer.auth_mode}: {' '.join(outcome.peer.scopes)}".strip()
    assert isinstance(outcome, Refused) and outcome.text is not None
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


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: " ".join(str(cell) for cell in row[:7]))
@pytest.mark.parametrize("protocol", [3, 4])
def test_matrix(protocol: int, row: tuple[Any, ...]) -> None:
    mode, auth, place, origin, client, role, device, *wanted = row
    text = frame(protocol, client, auth, role=role, device=device)
    assert answer(text, mode, make_gate(place, origin, book=FakeBook())) == wanted[protocol - 3]


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_page_behind_a_proxy(protocol: int) -> None:
    """Its origin must be named; without a device it may do what its user may, with one what is approved, and more."""
    origin = "https://claw.example"
    known = FakeBook(known=True)
    facts = Facts("1", "b", "h", [], [], {}, StateVersion(1, 1), 0, "/c", "/s", defaults({}))
    for place, device, wanted in (
        ("ann", "", ("operator.write",)),
        ("bob", "", ()),
        ("ann", "good", (READ, "operator.write")),
        ("bob", "good", (READ,)),
        ("bob, bound", "good", ()),
        ("ann, bound", "good", ()),
    ):
        gate = make_gate(place, origin, allowed_origins=(origin,), book=known)
        outcome = receive_connect(frame(protocol, "ui", NOTHING, device=device), POLICIES["proxy"], gate)
        assert isinstance(outcome, Accepted)
        assert (outcome.peer.scopes, outcome.peer.auth_mode) == (wanted, "trusted-proxy")
        assert outcome.peer.user == place.split(",")[0].replace("ann", "ann@x.example")
        assert "deviceToken" not in hello(outcome.peer, "c", facts, outcome.granted).get("auth", {})
    assert [asking.scopes for asking in known.asked] == [ASKED, ASKED, (), ()]
    assert not any(asking.local for asking in known.asked)


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_device_token_is_good_beside_a_proxy_but_not_for_what_nobody_answers_for(protocol: int) -> None:
    text = frame(protocol, "cli", {"deviceToken": ISSUED}, device="good")
    for place, wanted in (("lan", f"device-token: {READ}"), ("here", f"device-token: {READ}"),
                          ("eve", f"device-token: {READ}"), ("proxied", ATTRIBUTION_REQUIRED)):  # fmt: skip
        assert answer(text, "proxy", make_gate(place, book=FakeBook(known=True))) == wanted


def test_the_reason_is_for_the_log_and_for_protocol_4() -> None:
    for place, reason in (("eve", "trusted_proxy_user_not_allowed"), ("forged", "trusted_proxy_untrusted_source"),
                          ("unproved", "trusted_proxy_missing_header_x-proof")):  # fmt: skip
        outcome = receive_connect(frame(4, "cli", TOKEN), POLICIES["proxy"], make_gate(place))
        assert isinstance(outcome, Refused) and outcome.text
        assert outcome.why == json.loads(outcome.text)["error"]["details"]["authReason"] == reason


def test_a_guess_at_the_password_beside_a_proxy_is_counted_only_where_it_is_heard() -> None:
    lockout = Lockout(lambda: 0.0)
    page = make_gate("here", PAGE, lockout=lockout)
    for _ in range(MAX_FAILURES):
        assert "password mismatch" in answer(frame(4, "lib", {"password": "no"}), "proxy+password", page)
        answer(frame(4, "lib", {"password": "no"}), "proxy+password", make_gate("lan", lockout=lockout))
    assert len(lockout) == 1
    assert "too many failed" in answer(frame(4, "lib", PASSWORD), "proxy+password", page)


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize(
    ("flags", "auth", "device", "wanted"),
    [
        ({"allow_insecure_ui": True}, TOKEN, "", f"token: {READ}"),
        ({"ignore_ui_device": True}, TOKEN, "", f"token: {READ}"),
        ({"ignore_ui_device": True}, TOKEN, "false", f"token: {READ}"),
        ({"allow_insecure_ui": True}, TOKEN, "false", UNSIGNED),
        ({"allow_insecure_ui": True}, NOTHING, "", NO_DEVICE),
        ({"ignore_ui_device": True}, NOTHING, "good", NO_DEVICE),
    ],
)
def test_a_control_ui_may_be_excused_from_its_device_but_not_from_the_secret(
    protocol: int, flags: dict[str, bool], auth: dict[str, str], device: str, wanted: str
) -> None:
    gate = make_gate("lan", "http://192.168.1.5:18789", book=FakeBook(), **flags)
    assert answer(frame(protocol, "ui", auth, device=device), "token", gate) == wanted


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("auth", [{"token": ISSUED}, {"deviceToken": ISSUED}, {"token": "old", "deviceToken": ISSUED}])
def test_a_device_token_stands_in_for_the_secret_and_survives_its_change(protocol: int, auth: dict[str, str]) -> None:
    gate = make_gate("lan", book=FakeBook(known=True))
    outcome = receive_connect(frame(protocol, "cli", auth, device="good"), POLICIES["token"], gate)
    assert isinstance(outcome, Accepted)
    assert (outcome.peer.auth_mode, outcome.peer.device_id) == ("device-token", DEVICE_ID)
    assert outcome.peer.gateway_mode == "token"
    assert len(gate.lockout) == 0
    wider = frame(protocol, "lib", auth, device="good", asked=("operator.admin",))
    assert answer(wider, "token", gate).startswith("unauthorized: ")
    unproved = frame(protocol, "lib", {"token": ISSUED})
    assert answer(unproved, "token", gate) == MISMATCH


def test_a_wrong_device_token_alone_is_named() -> None:
    gate = make_gate("lan", book=FakeBook(known=True))
    text = frame(4, "cli", {"deviceToken": "no"}, device="good")
    outcome = receive_connect(text, POLICIES["token"], gate)
    assert isinstance(outcome, Refused) and outcome.text
    error = json.loads(outcome.text)["error"]
    assert error["message"] == "unauthorized: device token mismatch (rotate/reissue device token)"
    assert error["details"]["code"] == "AUTH_DEVICE_TOKEN_MISMATCH"


@pytest.mark.parametrize("protocol", [3, 4])
def test_who_guesses_is_not_heard_even_when_right_and_nobody_else_suffers(protocol: int) -> None:
    lockout = Lockout(lambda: 0.0)
    gate, other = make_gate("lan", lockout=lockout), make_gate("here", lockout=lockout)
    for _ in range(MAX_FAILURES):
        assert answer(frame(protocol, "lib", WRONG), "token", gate) == MISMATCH
    outcome = receive_connect(frame(protocol, "lib", TOKEN), POLICIES["token"], gate)
    assert isinstance(outcome, Refused) and outcome.text
    error = json.loads(outcome.text)["error"]
    assert error["message"] == "unauthorized: too many failed authentication attempts (retry later)"
    assert error["retryAfterMs"] == 300_000
    assert error.get("details", {}).get("code") == ("AUTH_RATE_LIMITED" if protocol == 4 else None)
    assert answer(frame(protocol, "lib", TOKEN), "token", other) == f"token: {READ}"
    known = make_gate("lan", lockout=lockout, book=FakeBook(known=True))
    assert answer(frame(protocol, "lib", {"token": ISSUED}, device="good"), "token", known) == f"device-token: {READ}"


@pytest.mark.parametrize("protocol", [3, 4])
def test_what_the_book_is_asked_and_what_hello_says(protocol: int) -> None:
    book = FakeBook()
    gate = make_gate(book=book)
    outcome = receive_connect(frame(protocol, "cli", TOKEN, device="good"), POLICIES["token"], gate)
    assert isinstance(outcome, Accepted)
    asking = Asking(
        device_id=DEVICE_ID, public_key=spell(RAW), platform="linux", client_id="cli", client_mode="cli",
        role="operator", roles=("operator",), scopes=ASKED, local=True, protocol=protocol,
    )  # fmt: skip
    assert book.asked == [asking]
    facts = Facts("1", "b", "h", [], [], {}, StateVersion(1, 1), 0, "/c", "/s", defaults({}))
    auth = hello(outcome.peer, "conn", facts, outcome.granted)["auth"]
    assert auth.pop("method", None) == ("token" if protocol == 4 else None)
    assert auth == {"deviceToken": ISSUED, "role": "operator", "scopes": ASKED, "issuedAtMs": 77}
    bare = receive_connect(frame(protocol, "cli", TOKEN), POLICIES["token"], gate)
    assert isinstance(bare, Accepted)
    assert ("auth" in hello(bare.peer, "conn", facts, bare.granted)) is (protocol == 4)
