from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.access.devices import Devices, Granted, PairingRequest
from gateway.config.schema import ControlUi, Gateway
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.admission.lockout import Lockout
from gateway.protocol.admission.proxy import Rules
from gateway.protocol.limits import LOCKED_S, MAX_FAILURES
from gateway.protocol.scopes import ADMIN, READ, WRITE, Scope
from gateway.web.admission.bearer import ELSEWHERE, OTHER_HEADERS, UNAUTHORIZED, refuse
from tests.fakes.core import FakeCore

KEY = "jwG5cru2rySS0G3Uf88PwSo-ypZLDrfDAmP5GGl0VDg"


def ask(core: FakeCore, lockout: Lockout, secret: str, ip: str = "203.0.113.9") -> tuple[int, str | None]:
    headers = [(b"host", b"h")] + ([(b"authorization", b"Bearer " + secret.encode())] if secret else [])
    response = refuse(core, lockout, {"type": "http", "client": (ip, 1), "headers": headers})
    return (0, None) if response is None else (response.status, response.headers.get("retry-after"))


def test_guesses_of_the_bearer_lock_their_address_and_no_other() -> None:
    core, lockout = FakeCore(), Lockout(lambda: 0.0)
    for _ in range(MAX_FAILURES):
        assert ask(core, lockout, "no") == (401, None)
    assert ask(core, lockout, "t0k") == (429, f"{LOCKED_S:.0f}")
    assert ask(core, lockout, "") == (401, None)
    assert ask(core, lockout, "t0k", "203.0.113.10") == (0, None)


@pytest.mark.parametrize(("secret", "ip"), [("", "203.0.113.9"), ("no", "127.0.0.1")])
def test_what_is_no_guess_of_a_stranger_is_not_counted(secret: str, ip: str) -> None:
    core, lockout = FakeCore(), Lockout(lambda: 0.0)
    for _ in range(MAX_FAILURES + 1):
        assert ask(core, lockout, secret, ip) == (401, None)
    assert ask(core, lockout, "t0k", ip) == (0, None)


@pytest.mark.parametrize("spelling", ["utf-8", "latin-1"])
def test_a_secret_beyond_ascii(spelling: str) -> None:
    core = FakeCore(auth=AuthPolicy("token", token="schlüssel"))
    headers = [(b"authorization", b"Bearer " + "schlüssel".encode(spelling))]
    assert (
        refuse(core, Lockout(lambda: 0.0), {"type": "http", "client": ("203.0.113.9", 1), "headers": headers}) is None
    )


@pytest.mark.parametrize(
    ("header", "said"),
    [
        *(((name, b"t0k"), True) for name in OTHER_HEADERS),
        ((b"authorization", b"t0k"), True),
        ((b"authorization", b"Basic dDBr"), False),
        ((b"authorization", b"Bearer "), False),
        ((b"authorization", b"Bearer wrong"), False),
        ((b"accept", b"*/*"), False),
    ],
)
def test_a_secret_that_is_sent_in_another_way_is_not_looked_at_and_that_is_said(
    header: tuple[bytes, bytes], said: bool
) -> None:
    scope = {"type": "http", "client": ("127.0.0.1", 1), "headers": [(b"host", b"h"), header]}
    response = refuse(FakeCore(), Lockout(lambda: 0.0), scope)
    assert response is not None and response.status == 401
    assert response.body == (ELSEWHERE if said else UNAUTHORIZED)


WAY = [(b"host", b"claw.example"), (b"x-forwarded-for", b"203.0.113.9")]
ANN = [*WAY, (b"x-user", b"ann")]
HERE = [(b"host", b"127.0.0.1:1")]
RIGHT = [(b"authorization", b"Bearer right")]


@pytest.mark.parametrize(
    ("ip", "headers", "status"),
    [
        ("203.0.113.50", ANN, 0),
        ("203.0.113.50", [*ANN, (b"origin", b"https://claw.example")], 0),
        ("203.0.113.50", [*ANN, (b"origin", b"https://evil.example")], 401),
        ("203.0.113.50", WAY, 401),
        ("203.0.113.50", [*WAY, *RIGHT], 401),
        ("203.0.113.50", [(b"x-user", b"ann"), *RIGHT], 403),
        ("203.0.113.51", ANN, 403),
        ("203.0.113.51", [(b"x-user", b"ann")], 401),
        ("203.0.113.51", RIGHT, 401),
        ("127.0.0.1", [*HERE, *RIGHT], 0),
        ("127.0.0.1", [*HERE, (b"authorization", b"Bearer wrong")], 401),
        ("127.0.0.1", [*HERE, *RIGHT, (b"x-forwarded-for", b"127.0.0.1")], 403),
        ("127.0.0.1", [(b"host", b"evil.example"), *RIGHT], 401),
        ("127.0.0.1", [*HERE, (b"x-user", b"ann")], 401),
    ],
)
def test_behind_a_trusted_proxy(ip: str, headers: list[tuple[bytes, bytes]], status: int) -> None:
    proxies = ("203.0.113.50",)
    core = FakeCore(
        auth=AuthPolicy(
            "trusted-proxy",
            password="right",
            proxy=Rules(user_header="x-user", proxies=proxies, identity_scopes={"ann": (READ,)}),
        )
    )
    ui = ControlUi(allowed_origins=("https://claw.example",))
    core.config = replace(core.config, gateway=Gateway(trusted_proxies=proxies, control_ui=ui))
    response = refuse(core, Lockout(lambda: 0.0), {"type": "http", "client": (ip, 1), "headers": headers})
    assert (response.status if response else 0) == status
    if response and status == 403:
        assert b'"type":"proxy_attribution_required"' in response.body


@pytest.mark.parametrize(
    ("user", "bound", "needed", "status"),
    [
        ("ann", None, READ, 0),
        ("ann", None, WRITE, 403),
        ("ann", b"", READ, 403),
        ("bob", None, READ, 0),
        ("bob", None, WRITE, 0),
        ("bob", b"operator.read", WRITE, 403),
        ("bob", b"operator.write", READ, 0),
        ("eve", None, READ, 403),
        ("eve", b"operator.admin", READ, 403),
        ("root", None, WRITE, 0),
    ],
)
def test_a_user_whom_a_proxy_names_may_do_what_the_config_and_the_proxy_let_them(
    user: str, bound: bytes | None, needed: Scope, status: int
) -> None:
    proxies = ("203.0.113.50",)
    scopes = {"ann": (READ,), "bob": (WRITE,), "root": (ADMIN,)}
    rules = Rules(user_header="x-user", proxies=proxies, identity_scopes=scopes)
    core = FakeCore(auth=AuthPolicy("trusted-proxy", proxy=rules))
    core.config = replace(core.config, gateway=Gateway(trusted_proxies=proxies))
    headers = [*WAY, (b"x-user", user.encode())] + ([] if bound is None else [(b"x-openclaw-scopes", bound)])
    scope = {"type": "http", "client": (proxies[0], 1), "headers": headers}
    response = refuse(core, Lockout(lambda: 0.0), scope, needed)
    assert (response.status if response else 0) == status
    assert status != 403 or f"missing scope: {needed}".encode() in response.body  # type: ignore[union-attr]


@pytest.mark.parametrize("needed", [READ, WRITE])
@pytest.mark.parametrize(
    ("ip", "headers", "status"),
    [
        ("127.0.0.1", HERE, 0),
        ("::1", [(b"host", b"[::1]:18789")], 0),
        ("127.0.0.1", [*HERE, (b"origin", b"http://localhost:5173")], 0),
        ("127.0.0.1", [*HERE, (b"origin", b"https://claw.example")], 0),
        ("127.0.0.1", [*HERE, (b"origin", b"https://evil.example")], 401),
        ("127.0.0.1", [*HERE, (b"x-forwarded-for", b"203.0.113.9")], 401),
        ("127.0.0.1", [(b"host", b"claw.example"), (b"x-forwarded-for", b"203.0.113.9")], 401),
        ("127.0.0.1", [(b"host", b"evil.example")], 401),
        ("127.0.0.1", [(b"host", b"evil.local"), (b"origin", b"http://evil.local")], 401),
        ("127.0.0.1", [], 401),
        ("192.168.1.9", [(b"host", b"192.168.1.5:18789")], 401),
    ],
)
def test_without_a_secret_only_this_machine_is_served(
    ip: str, headers: list[tuple[bytes, bytes]], status: int, needed: Scope
) -> None:
    """As on the WebSocket, where others are let do nothing: tunnels, rebound names, pages of the network."""
    core = FakeCore(auth=AuthPolicy("none"))
    core.config = replace(core.config, gateway=Gateway(control_ui=ControlUi(allowed_origins=("https://claw.example",))))
    response = refuse(core, Lockout(lambda: 0.0), {"type": "http", "client": (ip, 1), "headers": headers}, needed)
    assert (response.status if response else 0) == status


def test_the_token_of_a_paired_device_lets_its_page_read_and_is_no_guess(tmp_path: Path) -> None:
    core, lockout = FakeCore(devices=Devices(tmp_path)), Lockout(lambda: 0.0)
    asking = PairingRequest(device_id="d1", public_key=KEY, role="operator", scopes=(READ,), local=True, protocol=4)
    given = core.devices.pair(asking)
    assert isinstance(given, Granted)
    for _ in range(MAX_FAILURES + 1):
        assert ask(core, lockout, given.token) == (0, None)
    core.devices.remove("d1")
    assert ask(core, lockout, given.token) == (401, None)
