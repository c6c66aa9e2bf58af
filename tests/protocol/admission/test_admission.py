"""The door: secret, device token, lock-out, and who needs no device; then the table of `tests.doors`."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.config.catalog import defaults
from gateway.protocol.admission.admission import DEVICE_TOKEN, SECURE_CONTEXT, Admission, Refusal, Terms, admit
from gateway.protocol.admission.auth import ATTRIBUTION_REQUIRED, AuthPolicy, Claim, Credentials
from gateway.protocol.admission.handshake import Accepted, HandshakeRefused
from gateway.protocol.admission.hello import Facts, hello
from gateway.protocol.admission.lockout import Lockout
from gateway.protocol.admission.origin import CONTROL_UI, ORIGIN_REFUSED, RequestOrigin
from gateway.protocol.admission.pairing import PairingRequest
from gateway.protocol.admission.proxy import ATTRIBUTION, ProxyUser, Rules
from gateway.protocol.frames import StateVersion, WireError
from gateway.protocol.limits import LOCKED_S, MAX_FAILURES
from gateway.protocol.scopes import ADMIN, WRITE
from tests.doors import (
    ASKED,
    DEVICE_ID,
    ISSUED,
    MATRIX,
    MISMATCH,
    NO_DEVICE,
    NOTHING,
    PAGE,
    PASSWORD,
    RAW,
    READ,
    TOKEN,
    UNSIGNED,
    WRONG,
    FakeBook,
    answer,
    frame,
    knock,
    make_door,
    spell,
)  # fmt: skip
from tests.fakes.clock import Clock

HERE = RequestOrigin("127.0.0.1", "127.0.0.1:18789", None, False, True, "127.0.0.1")
AWAY = RequestOrigin("203.0.113.9", "gw.example", None, False, False, "203.0.113.9")
BY_TOKEN, BY_PASSWORD = AuthPolicy("token", token="right"), AuthPolicy("password", password="right")
BY_NOTHING, BY_PROXY = AuthPolicy("none"), AuthPolicy("trusted-proxy", password="right")
ANN = ProxyUser("ann")
UI = {"client_id": CONTROL_UI, "client_mode": "ui"}


@dataclass
class OneToken:
    """Knows one token of one device."""

    asked: list[tuple[str, str, tuple[str, ...], str]] = field(default_factory=list)

    def token_admits(self, device_id: str, role: str, scopes: tuple[str, ...], token: str) -> bool:
        self.asked.append((device_id, role, scopes, token))
        return (device_id, token) == ("d", "device's")

    def token_scopes(self, token: str) -> tuple[str, ...] | None:
        return (READ,) if token == "device's" else None


def claim(source: RequestOrigin = AWAY, protocol: int = 4, **more: Any) -> Claim:
    """A client of ours that wants to read, by the credentials among `more`."""
    sent = {each: more.pop(each) for each in ("token", "password", "device_token") if each in more}
    ours = {"client_id": "cli", "client_mode": "cli", "scopes": (READ,), "credentials": Credentials(**sent)}
    return Claim("websocket", source, protocol=protocol, **(ours | more))


def bearer(secret: str = "", source: RequestOrigin = AWAY, **more: Any) -> Claim:
    return Claim("http", source, Credentials(secret, secret, secret), **more)


def enter(policy: AuthPolicy, who: Claim, lockout: Lockout | None = None, tokens: OneToken | None = None) -> str:
    """How it is admitted and what it may, or the refusal; the guesses are counted."""
    lockout = Lockout(Clock()) if lockout is None else lockout
    found = admit(who, Terms(policy), tokens or OneToken(), lockout.waits(who.source))
    lockout.record(who.source, found.attempts)
    if isinstance(found, Admission):
        return f"{found.method}: {' '.join(found.scopes(found.pairing_scopes))}".strip()
    return f"{found.status} {found.error.message}"


@pytest.mark.parametrize(
    ("policy", "who", "how"),
    [
        (BY_NOTHING, claim(), "none:"),
        (BY_NOTHING, claim(HERE), f"none: {READ}"),
        (BY_NOTHING, bearer(), "401 device identity required"),
        (BY_NOTHING, bearer(source=HERE), f"none: {ADMIN}"),
        (BY_TOKEN, claim(token="right"), "token:"),
        (BY_TOKEN, bearer("right"), f"token: {ADMIN}"),
        (BY_PASSWORD, claim(HERE, password="right"), f"password: {READ}"),
        (BY_PASSWORD, bearer("right"), f"password: {ADMIN}"),
        (BY_PROXY, claim(identity=ANN), "trusted-proxy:"),
        (BY_PROXY, claim(identity=ANN, device="d"), f"trusted-proxy: {READ}"),
        (BY_PROXY, bearer(identity=ANN), "trusted-proxy:"),
    ],
)
def test_how_one_is_admitted(policy: AuthPolicy, who: Claim, how: str) -> None:
    assert enter(policy, who) == how


@pytest.mark.parametrize("face", ["websocket", "http"])
def test_behind_a_proxy_the_password_is_for_this_machine_alone(face: str) -> None:
    def ask(who: RequestOrigin, identity: str) -> str:
        sent = claim(who, password="right") if face == "websocket" else bearer("right", who)
        return enter(BY_PROXY, replace(sent, identity=identity))

    reason = "trusted_proxy_untrusted_source"
    assert ask(HERE, reason).startswith("password: ")
    assert ask(AWAY, reason).startswith("401 unauthorized")
    assert ask(AWAY, ATTRIBUTION).startswith("403 unauthorized: proxy client attribution")


def test_a_user_has_what_the_config_and_the_proxy_let_them() -> None:
    rules = Rules(identity_scopes={"ann": (READ, WRITE)})
    policy = AuthPolicy("trusted-proxy", proxy=rules)
    for ask in (claim, bearer):
        assert enter(policy, ask(identity=ANN)) == f"trusted-proxy: {READ} {WRITE}"
        assert enter(policy, ask(identity=ProxyUser("ann", frozenset({READ})))) == f"trusted-proxy: {READ}"
        assert enter(policy, ask(identity=ProxyUser("ann", frozenset()))) == "trusted-proxy:"
    node = claim(identity=ANN, role="node", device="d", scopes=())
    assert enter(policy, node) == "trusted-proxy:"


@pytest.mark.parametrize("where", ["token", "device_token"])
def test_a_devices_token_stands_in_for_the_secret(where: str) -> None:
    tokens, sent = OneToken(), {where: "device's"}
    assert enter(BY_TOKEN, claim(device="d", **sent), tokens=tokens) == f"{DEVICE_TOKEN}: {READ}"
    assert tokens.asked == [("d", "operator", (READ,), "device's")]
    assert enter(BY_TOKEN, claim(device="another", **sent)).startswith("401 ")
    assert enter(BY_TOKEN, claim(**sent)).startswith("401 "), "it has not proved itself"
    assert enter(BY_TOKEN, bearer("device's")) == f"{DEVICE_TOKEN}: {READ}"


def test_the_refusal_is_of_what_was_tried() -> None:
    assert "token mismatch (set" in enter(BY_TOKEN, claim(token="wrong", device="d"))
    assert "device token mismatch" in enter(BY_TOKEN, claim(device_token="wrong", device="d"))


@pytest.mark.parametrize("ask", [lambda token: claim(token=token), bearer], ids=["websocket", "http"])
def test_the_right_secret_is_not_heard_while_it_is_locked(ask: Any) -> None:
    clock = Clock(1000.0)
    lockout = Lockout(clock)
    for _ in range(MAX_FAILURES):
        assert "token mismatch" in enter(BY_TOKEN, ask("wrong"), lockout)
    assert enter(BY_TOKEN, ask("right"), lockout).startswith("429 unauthorized: too many failed")
    clock.now += LOCKED_S
    assert enter(BY_TOKEN, ask("right"), lockout).startswith("token:")


def test_a_devices_token_is_heard_while_the_secret_is_locked_and_locked_by_itself() -> None:
    lockout = Lockout(Clock())
    right, wrong = claim(device="d", device_token="device's"), claim(device="d", device_token="wrong")
    for _ in range(MAX_FAILURES):
        enter(BY_TOKEN, claim(token="wrong"), lockout)
    assert enter(BY_TOKEN, right, lockout) == f"{DEVICE_TOKEN}: {READ}"
    for _ in range(MAX_FAILURES):
        assert "device token mismatch" in enter(BY_TOKEN, wrong, lockout)
    assert "too many failed" in enter(BY_TOKEN, right, lockout)


def test_a_bearer_is_one_guess_though_it_may_be_the_secret_or_a_devices_token() -> None:
    lockout = Lockout(Clock())
    for _ in range(MAX_FAILURES):
        assert enter(BY_TOKEN, bearer("wrong"), lockout).startswith("401 ")
    assert lockout.waits(AWAY) == {"shared-secret": LOCKED_S * 1000, "device-token": 0}
    assert enter(BY_TOKEN, bearer("device's"), lockout).startswith("429 "), "nobody knows which of them it is"


def test_who_tries_nothing_is_not_counted() -> None:
    lockout = Lockout(Clock())
    for _ in range(MAX_FAILURES + 1):
        enter(BY_TOKEN, claim(), lockout)
        enter(BY_TOKEN, bearer(), lockout)
    assert len(lockout) == 0 and enter(BY_TOKEN, claim(token="right"), lockout) == "token:"


@pytest.mark.parametrize(
    ("policy", "terms", "who", "message"),
    [
        (BY_TOKEN, {}, claim(token="right"), None),
        (BY_TOKEN, {}, claim(token="right", role="node"), "device identity required"),
        (BY_TOKEN, {}, claim(protocol=3), "device identity required"),
        (BY_TOKEN, {}, claim(protocol=3, token="right"), None),
        (BY_TOKEN, {}, claim(protocol=3, password="right"), "device identity required"),
        (BY_NOTHING, {}, claim(protocol=3, token="x"), "device identity required"),
        (BY_NOTHING, {}, claim(HERE, 3), None),
        (BY_TOKEN, {}, claim(token="right", **UI), ORIGIN_REFUSED),
        (BY_TOKEN, {}, claim(protocol=3, token="right", **UI), SECURE_CONTEXT),
        (BY_TOKEN, {"allow_insecure_ui": True}, claim(protocol=3, token="right", **UI), None),
        (BY_PASSWORD, {"ignore_ui_device": True}, claim(protocol=3, password="right", **UI), None),
        (BY_PROXY, {}, claim(protocol=3, identity=ANN, **UI), None),
        (BY_PROXY, {}, claim(identity=ANN, role="node"), "device identity required"),
        (BY_PROXY, {}, claim(), "device identity required"),
        (BY_PROXY, {}, claim(HERE, identity="", password="right"), None),
        (BY_PROXY, {}, claim(HERE, identity="", password="right", role="node"), "device identity required"),
        (BY_TOKEN, {}, claim(device=WireError("INVALID_REQUEST", "device signature invalid"), token="right"),
         "device signature invalid"),
    ],
)  # fmt: skip
def test_who_needs_no_device(policy: AuthPolicy, terms: dict[str, bool], who: Claim, message: str | None) -> None:
    found = admit(who, Terms(policy, **terms), OneToken(), {})
    assert (found.error.message if isinstance(found, Refusal) else None) == message


@pytest.mark.parametrize(
    ("who", "terms", "kept"),
    [
        (claim(HERE), {}, True),
        (claim(HERE, client_id="gateway-client", client_mode="backend"), {}, True),
        (claim(HERE, client_id="gateway-client", client_mode="probe"), {}, False),
        (claim(HERE, client_id="other"), {}, False),
        (claim(HERE, 3, client_id="other"), {}, True),
        (claim(AWAY), {}, False),
        (claim(AWAY, 3), {}, False),
        (claim(AWAY, 3, **UI), {"allow_insecure_ui": True}, True),
        (claim(AWAY), {"allow_insecure_ui": True}, False),
    ],
)
def test_who_keeps_its_scopes_without_a_device(who: Claim, terms: dict[str, bool], kept: bool) -> None:
    who = replace(who, credentials=Credentials("right"))
    found = admit(who, Terms(BY_TOKEN, **terms), OneToken(), {})
    assert isinstance(found, Admission) and found.scopes() == ((READ,) if kept else ())


def test_only_the_page_may_ignore_devices() -> None:
    ignoring = Terms(BY_TOKEN, ignore_ui_device=True)
    assert ignoring.ignores_device(CONTROL_UI) and not ignoring.ignores_device("cli")
    assert not Terms(BY_TOKEN, allow_insecure_ui=True).ignores_device(CONTROL_UI)


PAGE_OF = RequestOrigin("203.0.113.9", "gw.example", "https://evil.example", False, False, "203.0.113.9")
PAGE_HERE = replace(HERE, origin="https://evil.example")


@pytest.mark.parametrize(
    ("policy", "who", "let_in"),
    [
        (BY_NOTHING, bearer(source=PAGE_HERE), False),
        (BY_PROXY, bearer(source=PAGE_OF, identity=ProxyUser("ann")), False),
        (BY_TOKEN, bearer("right", PAGE_OF), True),
        (BY_TOKEN, claim(PAGE_OF, token="right"), False),
    ],
)
def test_a_foreign_page_is_refused_where_it_need_not_know_the_proof(
    policy: AuthPolicy, who: Claim, let_in: bool
) -> None:
    assert isinstance(admit(who, Terms(policy), OneToken(), {}), Admission) is let_in


CLAIMS = st.builds(
    claim,
    st.sampled_from([HERE, AWAY, PAGE_OF, PAGE_HERE]),
    st.sampled_from([3, 4]),
    token=st.sampled_from(["", "right", "wrong", "device's"]),
    password=st.sampled_from(["", "right", "wrong"]),
    device=st.sampled_from([None, "d", "other", WireError("INVALID_REQUEST", "no")]),
    role=st.sampled_from(["operator", "node"]),
    client_id=st.sampled_from(["cli", "x", CONTROL_UI]),
    identity=st.sampled_from(["reason", ATTRIBUTION, ANN, ProxyUser("ann", frozenset())]),
)


@given(CLAIMS, st.sampled_from([BY_TOKEN, BY_PASSWORD, BY_PROXY]))
def test_without_a_proof_nobody_is_let_in(who: Claim, policy: AuthPolicy) -> None:
    found = admit(who, Terms(policy), OneToken(), {})
    proved = "right" in (who.credentials.token, who.credentials.password)
    by_device = who.device == "d" and who.credentials.token == "device's"
    by_proxy = policy is BY_PROXY and isinstance(who.identity, ProxyUser)
    assert isinstance(found, Refusal) or proved or by_device or by_proxy


@given(CLAIMS, st.sampled_from([BY_NOTHING, BY_TOKEN, BY_PASSWORD, BY_PROXY]))
def test_from_elsewhere_nobody_has_scopes_that_no_operator_approved(who: Claim, policy: AuthPolicy) -> None:
    found = admit(who, Terms(policy), OneToken(), {})
    if isinstance(found, Admission) and not who.source.local:
        assert found.scopes() == ()


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: " ".join(str(cell) for cell in row[:7]))
@pytest.mark.parametrize("protocol", [3, 4])
def test_matrix_of_the_websocket(protocol: int, row: tuple[Any, ...]) -> None:
    mode, auth, place, origin, client, role, device, *wanted = row
    text = frame(protocol, client, auth, role=role, device=device)
    assert answer(text, mode, make_door(place, origin, book=FakeBook())) == wanted[protocol - 3]


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_page_behind_a_proxy(protocol: int) -> None:
    """Its origin must be named; without a device it may do what its user may, with one what is approved, and more."""
    origin = "https://claw.example"
    known = FakeBook(known=True)
    facts = Facts("1", "b", "h", {}, [], {}, StateVersion(1, 1), 0, "/c", "/s", defaults({}))
    for place, device, wanted in (
        ("ann", "", ("operator.write",)),
        ("bob", "", ()),
        ("ann", "good", (READ, "operator.write")),
        ("bob", "good", (READ,)),
        ("bob, bound", "good", ()),
        ("ann, bound", "good", ()),
    ):
        door = make_door(place, origin, allowed_origins=(origin,), book=known)
        outcome = knock(frame(protocol, "ui", NOTHING, device=device), "proxy", door)
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
        assert answer(text, "proxy", make_door(place, book=FakeBook(known=True))) == wanted


def test_the_reason_is_for_the_log_and_for_protocol_4() -> None:
    for place, reason in (("eve", "trusted_proxy_user_not_allowed"), ("forged", "trusted_proxy_untrusted_source"),
                          ("unproved", "trusted_proxy_missing_header_x-proof")):  # fmt: skip
        outcome = knock(frame(4, "cli", TOKEN), "proxy", make_door(place))
        assert isinstance(outcome, HandshakeRefused) and outcome.text
        assert outcome.why == json.loads(outcome.text)["error"]["details"]["authReason"] == reason


def test_a_guess_at_the_password_beside_a_proxy_is_counted_only_where_it_is_heard() -> None:
    lockout = Lockout(lambda: 0.0)
    page = make_door("here", PAGE, lockout=lockout)
    for _ in range(MAX_FAILURES):
        assert "password mismatch" in answer(frame(4, "lib", {"password": "no"}), "proxy+password", page)
        answer(frame(4, "lib", {"password": "no"}), "proxy+password", make_door("lan", lockout=lockout))
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
    door = make_door("lan", "http://192.168.1.5:18789", book=FakeBook(), **flags)
    assert answer(frame(protocol, "ui", auth, device=device), "token", door) == wanted


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("auth", [{"token": ISSUED}, {"deviceToken": ISSUED}, {"token": "old", "deviceToken": ISSUED}])
def test_a_device_token_stands_in_for_the_secret_and_survives_its_change(protocol: int, auth: dict[str, str]) -> None:
    door = make_door("lan", book=FakeBook(known=True))
    outcome = knock(frame(protocol, "cli", auth, device="good"), "token", door)
    assert isinstance(outcome, Accepted)
    assert (outcome.peer.auth_mode, outcome.peer.device_id) == ("device-token", DEVICE_ID)
    assert outcome.peer.gateway_mode == "token"
    assert len(door.lockout) == 0
    wider = frame(protocol, "lib", auth, device="good", asked=("operator.admin",))
    assert answer(wider, "token", door).startswith("unauthorized: ")
    unproved = frame(protocol, "lib", {"token": ISSUED})
    assert answer(unproved, "token", door) == MISMATCH


def test_a_wrong_device_token_alone_is_named() -> None:
    door = make_door("lan", book=FakeBook(known=True))
    text = frame(4, "cli", {"deviceToken": "no"}, device="good")
    outcome = knock(text, "token", door)
    assert isinstance(outcome, HandshakeRefused) and outcome.text
    error = json.loads(outcome.text)["error"]
    assert error["message"] == "unauthorized: device token mismatch (rotate/reissue device token)"
    assert error["details"]["code"] == "AUTH_DEVICE_TOKEN_MISMATCH"


@pytest.mark.parametrize("protocol", [3, 4])
def test_who_guesses_is_not_heard_even_when_right_and_nobody_else_suffers(protocol: int) -> None:
    lockout = Lockout(lambda: 0.0)
    door, other = make_door("lan", lockout=lockout), make_door("here", lockout=lockout)
    for _ in range(MAX_FAILURES):
        assert answer(frame(protocol, "lib", WRONG), "token", door) == MISMATCH
    outcome = knock(frame(protocol, "lib", TOKEN), "token", door)
    assert isinstance(outcome, HandshakeRefused) and outcome.text
    error = json.loads(outcome.text)["error"]
    assert error["message"] == "unauthorized: too many failed authentication attempts (retry later)"
    assert error["retryAfterMs"] == 300_000
    assert error.get("details", {}).get("code") == ("AUTH_RATE_LIMITED" if protocol == 4 else None)
    assert answer(frame(protocol, "lib", TOKEN), "token", other) == f"token: {READ}"
    known = make_door("lan", lockout=lockout, book=FakeBook(known=True))
    assert answer(frame(protocol, "lib", {"token": ISSUED}, device="good"), "token", known) == f"device-token: {READ}"


@pytest.mark.parametrize("protocol", [3, 4])
def test_what_the_book_is_asked_and_what_hello_says(protocol: int) -> None:
    book = FakeBook()
    door = make_door(book=book)
    outcome = knock(frame(protocol, "cli", TOKEN, device="good"), "token", door)
    assert isinstance(outcome, Accepted)
    asking = PairingRequest(
        device_id=DEVICE_ID, public_key=spell(RAW), platform="linux", client_id="cli", client_mode="cli",
        role="operator", roles=("operator",), scopes=ASKED, local=True, protocol=protocol,
    )  # fmt: skip
    assert book.asked == [asking]
    facts = Facts("1", "b", "h", {}, [], {}, StateVersion(1, 1), 0, "/c", "/s", defaults({}))
    auth = hello(outcome.peer, "conn", facts, outcome.granted)["auth"]
    assert auth.pop("method", None) == ("token" if protocol == 4 else None)
    assert auth == {"deviceToken": ISSUED, "role": "operator", "scopes": ASKED, "issuedAtMs": 77}
    bare = knock(frame(protocol, "cli", TOKEN), "token", door)
    assert isinstance(bare, Accepted)
    assert ("auth" in hello(bare.peer, "conn", facts, bare.granted)) is (protocol == 4)
