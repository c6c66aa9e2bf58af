"""The door: secret, device token and lockout; and who needs no device. The whole table is in `test_auth_matrix`."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.lockout import LOCKED_S, MAX_FAILURES, Lockout
from gateway.protocol.auth import AuthPolicy, Claim, Credentials
from gateway.protocol.frames import WireError
from gateway.protocol.gate import DEVICE_TOKEN, SECURE_CONTEXT, Gate, authenticate, refuse_without_device
from gateway.protocol.pairing import Asking, Granted
from gateway.protocol.proxy import Identity
from gateway.protocol.visitor import CONTROL_UI, Visitor
from tests.fakes.clock import Clock

HERE = Visitor("127.0.0.1", "127.0.0.1:18789", None, False, True, "127.0.0.1")
AWAY = Visitor("203.0.113.9", "gw.example", None, False, False, "203.0.113.9")
TOKEN, PASSWORD, NONE = AuthPolicy("token", token="right"), AuthPolicy("password", password="right"), AuthPolicy("none")
PROXY = AuthPolicy("trusted-proxy", password="right")
ANN = Identity("ann")


@dataclass
class DoorBook:
    """Knows one token of one device."""

    asked: list[tuple[str, str, tuple[str, ...], str]] = field(default_factory=list)

    def token_admits(self, device_id: str, role: str, scopes: tuple[str, ...], token: str) -> bool:
        self.asked.append((device_id, role, scopes, token))
        return (device_id, token) == ("d", "device's")

    def pair(self, asking: Asking) -> Granted | WireError:
        raise AssertionError("nobody is paired at the door")


def gate(visitor: Visitor = AWAY, **more: Any) -> Gate:
    return Gate(visitor, Lockout(Clock()), **more)


def claim(protocol: int = 4, client: str = "cli", mode: str = "cli", *, device: bool = False, **given: str) -> Claim:
    return Claim(protocol, client, mode, device, Credentials(**given))


def enter(at: Gate, policy: AuthPolicy, who: Claim, device_id: str | None = None) -> str:
    """How it is admitted, or the refusal's message."""
    found = authenticate(at, policy, who, device_id, "operator", ("operator.read",))
    return found if isinstance(found, str) else f"no: {found.message}"


@pytest.mark.parametrize(
    ("policy", "who", "how"),
    [
        (NONE, claim(), "none"),
        (TOKEN, claim(token="right"), "token"),
        (PASSWORD, claim(password="right"), "password"),
        (PROXY, claim(), "trusted-proxy"),
    ],
)
def test_how_one_is_admitted(policy: AuthPolicy, who: Claim, how: str) -> None:
    at = gate(identity=ANN if policy is PROXY else "")
    assert enter(at, policy, who) == how
    assert at.user(how) == (ANN if policy is PROXY else None)


def test_behind_a_proxy_the_password_is_for_this_machine_alone() -> None:
    reason = "trusted_proxy_untrusted_source"
    assert enter(gate(HERE, identity=reason), PROXY, claim(password="right")) == "password"
    assert enter(gate(AWAY, identity=reason), PROXY, claim(password="right")) == "no: unauthorized"


@pytest.mark.parametrize("where", ["token", "device_token"])
def test_a_devices_token_stands_in_for_the_secret(where: str) -> None:
    book = DoorBook()
    at = gate(book=book)
    assert enter(at, TOKEN, claim(device=True, **{where: "device's"}), "d") == DEVICE_TOKEN
    assert book.asked == [("d", "operator", ("operator.read",), "device's")]
    assert enter(at, TOKEN, claim(device=True, **{where: "device's"}), "another").startswith("no: ")
    assert enter(at, TOKEN, claim(device=True, **{where: "device's"})).startswith("no: "), "it has not proved itself"


def test_the_refusal_is_of_what_was_tried() -> None:
    at = gate(book=DoorBook())
    assert "token mismatch (set" in enter(at, TOKEN, claim(token="wrong", device=True), "d")
    assert "device token mismatch" in enter(at, TOKEN, claim(device_token="wrong", device=True), "d")


def test_the_right_secret_is_not_heard_while_it_is_locked() -> None:
    clock = Clock(1000.0)
    at = Gate(AWAY, Lockout(clock))
    for _ in range(MAX_FAILURES):
        assert "token mismatch" in enter(at, TOKEN, claim(token="wrong"))
    assert "too many failed authentication attempts" in enter(at, TOKEN, claim(token="right"))
    clock.now += LOCKED_S
    assert enter(at, TOKEN, claim(token="right")) == "token"


def test_a_devices_token_is_heard_while_the_secret_is_locked_and_locked_by_itself() -> None:
    at = gate(book=DoorBook())
    for _ in range(MAX_FAILURES):
        enter(at, TOKEN, claim(token="wrong"))
    assert enter(at, TOKEN, claim(device=True, device_token="device's"), "d") == DEVICE_TOKEN
    for _ in range(MAX_FAILURES):
        assert "device token mismatch" in enter(at, TOKEN, claim(device=True, device_token="wrong"), "d")
    assert "too many failed" in enter(at, TOKEN, claim(device=True, device_token="device's"), "d")


def test_who_tries_nothing_is_not_counted() -> None:
    at = gate()
    for _ in range(MAX_FAILURES + 1):
        enter(at, TOKEN, claim())
    assert len(at.lockout) == 0 and enter(at, TOKEN, claim(token="right")) == "token"


UI = {"client": CONTROL_UI, "mode": "ui"}


@pytest.mark.parametrize(
    ("policy", "at", "who", "role", "message"),
    [
        (TOKEN, gate(), claim(4), "operator", None),
        (TOKEN, gate(), claim(4), "node", "device identity required"),
        (TOKEN, gate(), claim(3), "operator", "device identity required"),
        (TOKEN, gate(), claim(3, token="x"), "operator", None),
        (TOKEN, gate(), claim(3, password="x"), "operator", "device identity required"),
        (NONE, gate(), claim(3, token="x"), "operator", "device identity required"),
        (NONE, gate(HERE), claim(3), "operator", None),
        (TOKEN, gate(), claim(4, **UI), "operator", SECURE_CONTEXT),
        (TOKEN, gate(allow_insecure_ui=True), claim(4, **UI), "operator", None),
        (TOKEN, gate(ignore_ui_device=True), claim(3, **UI, password="x"), "operator", None),
        (PROXY, gate(identity=ANN), claim(4, **UI), "operator", None),
        (PROXY, gate(identity=ANN), claim(4), "node", "device identity required"),
        (PROXY, gate(), claim(4), "operator", "device identity required"),
        (PROXY, gate(), claim(4, password="x"), "operator", None),
        (PROXY, gate(), claim(4, password="x"), "node", "device identity required"),
    ],
)
def test_who_needs_no_device(policy: AuthPolicy, at: Gate, who: Claim, role: str, message: str | None) -> None:
    refused = refuse_without_device(at, policy, who, role)
    assert (refused.message if refused else None) == message
    assert refused is None or (refused.details is not None) is (who.protocol >= 4)


@pytest.mark.parametrize(
    ("at", "who", "kept"),
    [
        (gate(HERE), claim(), True),
        (gate(HERE), claim(client="gateway-client", mode="backend"), True),
        (gate(HERE), claim(client="gateway-client", mode="webchat"), False),
        (gate(HERE), claim(client="other"), False),
        (gate(AWAY), claim(), False),
        (gate(AWAY, allow_insecure_ui=True), claim(**UI), True),
        (gate(AWAY, allow_insecure_ui=True), claim(), False),
    ],
)
def test_who_keeps_its_scopes_without_a_device(at: Gate, who: Claim, kept: bool) -> None:
    assert at.vouches(who) is kept


def test_only_the_page_may_ignore_devices() -> None:
    at = gate(ignore_ui_device=True)
    assert at.ignores_device(CONTROL_UI) and not at.ignores_device("cli")
    assert not gate(allow_insecure_ui=True).ignores_device(CONTROL_UI)
