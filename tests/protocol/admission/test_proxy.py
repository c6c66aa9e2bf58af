"""Whom a proxy names, and when it is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.protocol.admission.origin import request_origin
from gateway.protocol.admission.proxy import ATTRIBUTION, ProxyUser, Rules, identify

Lines = list[tuple[bytes, bytes]]
RULES = Rules(user_header="X-Forwarded-User", proxies=("10.0.0.0/8", "127.0.0.1", "::1"))
WAY: Lines = [(b"x-forwarded-for", b"203.0.113.9")]


def ask(headers: Lines, rules: Rules = RULES, peer: str = "10.0.0.1", own: bool | None = False) -> ProxyUser | str:
    return identify(rules, request_origin(peer, headers, rules.proxies), headers, own=own)


def named(*users: bytes) -> Lines:
    return [*WAY, *((b"x-forwarded-user", user) for user in users)]


@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1"])
def test_a_user(peer: str) -> None:
    assert ask(named(b" ann@x.example "), peer=peer) == ProxyUser("ann@x.example")


@pytest.mark.parametrize(
    ("rules", "peer", "headers", "reason"),
    [
        (Rules(), "10.0.0.1", named(b"a"), "trusted_proxy_config_missing"),
        (Rules(user_header="x"), "10.0.0.1", named(b"a"), "trusted_proxy_no_proxies_configured"),
        (RULES, "192.168.0.1", [(b"x-forwarded-user", b"a")], ATTRIBUTION),
        (
            replace(RULES, user_header="x-user"),
            "192.168.0.1",
            [(b"x-user", b"a")],
            "trusted_proxy_untrusted_source",
        ),
        (RULES, "fe80::1%eth0", [], "trusted_proxy_untrusted_source"),
        (RULES, "", [], "trusted_proxy_untrusted_source"),
        (RULES, "10.0.0.1", [(b"x-forwarded-user", b"a")], ATTRIBUTION),
        (RULES, "10.0.0.1", [(b"x-forwarded-user", b"a"), (b"x-forwarded-for", b"10.9.9.9, 127.0.0.1")], ATTRIBUTION),
        (RULES, "10.0.0.1", [(b"x-forwarded-user", b"a"), (b"x-forwarded-for", b"unknown")], ATTRIBUTION),
        (RULES, "127.0.0.1", named(b"a"), "trusted_proxy_loopback_source"),
        (RULES, "::ffff:127.0.0.1", named(b"a"), "trusted_proxy_loopback_source"),
        (RULES, "127.0.0.1", [], "trusted_proxy_loopback_source"),
        (
            replace(RULES, allow_loopback=True, user_header="x-user"),
            "127.0.0.1",
            [(b"x-user", b"a")],
            ATTRIBUTION,
        ),
        (
            replace(RULES, required_headers=("X-Jwt",)),
            "10.0.0.1",
            named(b"a"),
            "trusted_proxy_missing_header_X-Jwt",
        ),
        (RULES, "10.0.0.1", WAY, "trusted_proxy_user_missing"),
        (RULES, "10.0.0.1", named(b""), "trusted_proxy_user_missing"),
        (RULES, "10.0.0.1", named(b" \t "), "trusted_proxy_user_missing"),
        (RULES, "10.0.0.1", named(b"ann", b"eve"), "trusted_proxy_user_missing"),
        (RULES, "10.0.0.1", named(b"ann", b"ann"), "trusted_proxy_user_missing"),
        (RULES, "10.0.0.1", named(b"", b"eve"), "trusted_proxy_user_missing"),
        (RULES, "10.0.0.1", named(b"a\x00nn"), "trusted_proxy_user_missing"),
        (RULES, "10.0.0.1", named(b"ann\xe2\x80\xae"), "trusted_proxy_user_missing"),
        (RULES, "10.0.0.1", named(b"\xff"), "trusted_proxy_user_missing"),
        (RULES, "10.0.0.1", [*WAY, (b"x_forwarded_user", b"eve")], "trusted_proxy_user_missing"),
        (RULES, "10.0.0.1", [*WAY, (b"x-forwarded_user", b"eve")], "trusted_proxy_user_missing"),
        (replace(RULES, allow_users=("ann",)), "10.0.0.1", named(b"Ann"), "trusted_proxy_user_not_allowed"),
        (
            replace(RULES, allow_users=("ann",)),
            "10.0.0.1",
            named(b"ann, eve"),
            "trusted_proxy_user_not_allowed",
        ),
    ],
)
def test_nobody(rules: Rules, peer: str, headers: Lines, reason: str) -> None:
    assert ask(headers, rules, peer) == reason


def test_who_has_an_address_of_this_machine_is_no_proxy_on_another() -> None:
    assert ask(named(b"a"), own=True) == "trusted_proxy_local_interface_source"
    assert ask(named(b"a"), own=None) == "trusted_proxy_local_interface_check_failed"


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1"])
def test_a_proxy_of_this_machine_when_it_is_allowed(peer: str) -> None:
    rules = replace(RULES, allow_loopback=True)
    assert ask(named(b"a"), rules, peer, own=True) == ProxyUser("a")
    assert ask([*named(b"a"), (b"x-forwarded-for", b"127.0.0.1")], rules, peer, own=True) == ProxyUser("a")


def test_an_underscore_beside_the_header_changes_nothing() -> None:
    assert ask([(b"x_forwarded_user", b"eve"), *named(b"ann"), (b"x_forwarded_user", b"eve")]) == ProxyUser("ann")


def test_required_headers_must_be_there_and_say_something() -> None:
    rules = replace(RULES, required_headers=("X-Jwt", "x-forwarded-for"))
    assert ask([*named(b"a"), (b"x-jwt", b"j")], rules) == ProxyUser("a")
    assert ask([*named(b"a"), (b"x-jwt", b" ")], rules) == "trusted_proxy_missing_header_X-Jwt"


def test_a_name_beyond_ascii_is_read_as_utf_8() -> None:
    rules = replace(RULES, allow_users=("ännchen",))
    assert ask(named("ännchen".encode()), rules) == ProxyUser("ännchen")
    assert ask(named("ännchen".encode("latin-1")), rules) == "trusted_proxy_user_missing"


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ([], ("a", "b")),
        ([b"a"], ("a",)),
        ([b" b , a"], ("a", "b")),
        ([b""], ()),
        ([b"c"], ()),
        ([b"a", b"a,b"], ("a",)),
        ([b"a", b""], ()),
    ],
)
def test_the_proxy_narrows_and_never_widens(lines: list[bytes], kept: tuple[str, ...]) -> None:
    identity = ask([*named(b"u"), *((b"x-openclaw-scopes", line) for line in lines)])
    assert isinstance(identity, ProxyUser)
    assert identity.restrict(("a", "b")) == kept


@pytest.mark.parametrize(
    ("user", "scopes"),
    [("Ann@X.example", ("r",)), ("ann@x.EXAMPLE", ("r",)), ("bob", ("w",)), ("Bob", ()), ("eve@x.example", ())],
)
def test_scopes_of_a_user(user: str, scopes: tuple[str, ...]) -> None:
    rules = Rules(identity_scopes={"ann@x.example": ("r",), "bob": ("w",)})
    assert rules.scopes_of(user) == scopes


@pytest.mark.parametrize(
    ("client", "requested", "cap", "offered"),
    [
        (("openclaw-control-ui", "webchat"), None, None, ("r", "w")),
        (("openclaw-control-ui", "ui"), ["w", "admin"], None, ("w",)),
        (("webchat-ui", "x"), [], None, ()),
        (("any", "webchat"), None, frozenset({"r"}), ("r",)),
        (("openclaw-ios", "ui"), None, frozenset(), ()),
        (("openclaw-ios", "node"), None, None, None),
        (("cli", "cli"), None, None, None),
        (("gateway-client", "backend"), None, None, None),
    ],
)
def test_what_a_users_device_is_offered(
    client: tuple[str, str], requested: list[str] | None, cap: frozenset[str] | None, offered: tuple[str, ...] | None
) -> None:
    rules = Rules(auto_approve=("r", "w"))
    assert rules.offer(ProxyUser("u", cap), *client, requested) == offered
    assert Rules().offer(ProxyUser("u"), *client, requested) is None


NAMES = st.sampled_from(
    [b"x-forwarded-user", b"x_forwarded_user", b"x-forwarded-for", b"x-real-ip", b"forwarded", b"host", b"x-jwt"]
)
VALUES = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"ann", b"eve", b"203.0.113.9", b"127.0.0.1", b"::ffff:127.0.0.1", b"", b"1"]),
)


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=6),
    st.sampled_from(["10.0.0.1", "192.168.0.1", "127.0.0.1", "::1", "::ffff:10.0.0.1", "fe80::1%lo", "", "x"]),
    st.sampled_from([True, False, None]),
    st.booleans(),
)
def test_an_identity_has_all_that_it_needs(headers: Lines, peer: str, own: bool | None, loopback: bool) -> None:
    rules = replace(RULES, required_headers=("x-jwt",), allow_users=("ann",), allow_loopback=loopback)
    found = ask(headers, rules, peer, own)
    if isinstance(found, str):
        assert found == ATTRIBUTION or found.startswith("trusted_proxy_")
        return
    assert found.user == "ann"
    assert [value.strip() for name, value in headers if name == b"x-forwarded-user"] == [b"ann"]
    assert any(name == b"x-jwt" and value.strip() for name, value in headers)
    assert any(name == b"x-forwarded-for" for name, _ in headers)
    assert peer in ("10.0.0.1", "::ffff:10.0.0.1") and own is False or (peer in ("127.0.0.1", "::1") and loopback)
