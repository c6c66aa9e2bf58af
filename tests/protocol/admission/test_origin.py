import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.admission.origin import ORIGIN_REFUSED, Headers, origin_refusal, request_origin

TEXT = {"host": "127.0.0.1:18789"}


def headers(**values: str) -> Headers:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in (TEXT | values).items()]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:18789", "127.3.2.1", "[::1]:18789", "[::1]"])
def test_a_client_of_this_machine_is_local(address: str, host: str) -> None:
    assert request_origin(address, headers(host=host), ()).local


@pytest.mark.parametrize("address", ["203.0.113.9", "10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "", "x", None])
def test_another_address_is_not_local(address: str | None) -> None:
    assert not request_origin(address, headers(), ()).local


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1",
                                  "localhost@evil.example", "evil.example:80#localhost"])  # fmt: skip
def test_a_name_that_was_pointed_at_us_is_not_local(host: str) -> None:
    assert not request_origin("127.0.0.1", headers(host=host), ()).local


def test_two_hosts_are_none() -> None:
    assert not request_origin("127.0.0.1", [(b"host", b"localhost"), (b"host", b"localhost")], ()).local


@pytest.mark.parametrize("name", ["x_forwarded_for", "x_forwarded_host", "x_forwarded_proto", "x_real_ip", "forwarded"])
def test_a_proxy_on_this_machine_is_not_local_whatever_it_says(name: str) -> None:
    for proxies in ((), ("127.0.0.1",)):
        for value in ("203.0.113.9", "", "x"):
            who = request_origin("127.0.0.1", headers(**{name: value}), proxies)
            assert who.forwarded and not who.local


@pytest.mark.parametrize(
    ("peer", "chain", "remote_ip", "local"),
    [
        ("127.0.0.1", "203.0.113.9", "203.0.113.9", False),
        ("127.0.0.1", "127.0.0.1, 203.0.113.9", "203.0.113.9", False),
        ("127.0.0.1", "203.0.113.9, 10.1.1.1, 10.2.2.2", "203.0.113.9", False),
        ("127.0.0.1", "127.0.0.1, 10.1.1.1", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", True),
        ("10.1.1.1", "203.0.113.9:5555", "203.0.113.9", False),
        ("10.1.1.1", "[2001:db8::1]:5555", "2001:db8::1", False),
        ("10.1.1.1", "::ffff:203.0.113.9", "203.0.113.9", False),
        ("10.1.1.1", "garbage", "10.1.1.1", False),
        ("10.1.1.1", "127.0.0.1, garbage", "10.1.1.1", False),
        ("10.1.1.1", "", "10.1.1.1", False),
        ("10.1.1.1", "127.0.0.2", "127.0.0.2", True),
        ("203.0.113.9", "127.0.0.1", "203.0.113.9", False),
        ("::ffff:10.1.1.1", "203.0.113.9", "203.0.113.9", False),
    ],
)
def test_the_client_behind_a_proxy(peer: str, chain: str, remote_ip: str, local: bool) -> None:
    who = request_origin(peer, headers(x_forwarded_for=chain), ("127.0.0.1", "10.0.0.0/8", "no address"))
    assert (who.remote_ip, who.local) == (remote_ip, local)


def test_a_client_beside_a_trusted_proxy_is_local_still() -> None:
    assert request_origin("127.0.0.1", headers(), ("127.0.0.1",)).local


REMOTE, LOCAL = "192.168.1.9", "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "host", "origin", "allowed", "passes"),
    [
        (LOCAL, "127.0.0.1:18789", "http://localhost:5173", (), True),
        (LOCAL, "127.0.0.1:18789", "http://127.0.0.1:18789", (), True),
        (LOCAL, "127.0.0.1:18789", "https://evil.example", (), False),
        (LOCAL, "127.0.0.1:18789", "null", ("*",), False),
        (LOCAL, "127.0.0.1:18789", "", ("*",), False),
        (LOCAL, "127.0.0.1:18789", "https://evil.example/path", ("*",), False),
        (LOCAL, "127.0.0.1:18789", "chrome-extension://localhost", (), False),
        (LOCAL, "evil.example:18789", "http://evil.example:18789", (), False),
        (LOCAL, "evil.example:18789", "http://localhost:5173", (), False),
        (REMOTE, "192.168.1.5:18789", "http://192.168.1.5:18789", (), True),
        (REMOTE, "192.168.1.5:18789", "http://192.168.1.5:18790", (), False),
        (REMOTE, "192.168.1.5:18789", "http://localhost:18789", (), False),
        (REMOTE, "[fd00::1]:18789", "http://[fd00::1]:18789", (), True),
        (REMOTE, "100.64.0.1", "http://100.64.0.1", (), True),
        (REMOTE, "box.local:18789", "http://BOX.local:18789", (), True),
        (REMOTE, "box.tail.ts.net", "https://box.tail.ts.net", (), True),
        (REMOTE, "box.example", "https://box.example", (), False),
        (REMOTE, "8.8.8.8", "http://8.8.8.8", (), False),
        (REMOTE, "box.example", "https://ui.example", ("https://ui.example",), True),
        (REMOTE, "box.example", "HTTPS://UI.example:443", ("https://ui.EXAMPLE",), True),
        (REMOTE, "box.example", "http://ui.example", ("https://ui.example",), False),
        (REMOTE, "box.example", "https://ui.example:8443", ("https://ui.example",), False),
        (REMOTE, "box.example", "https://ui.example.evil.example", ("https://ui.example",), False),
        (REMOTE, "box.example", "https://x.example", ("https://ui.example", "*"), True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("protocol", [3, 4])
def test_origins(address: str, host: str, origin: str, allowed: tuple[str, ...], passes: bool, protocol: int) -> None:
    error = origin_refusal(
        request_origin(address, headers(host=host, origin=origin), ()), "cli", "cli", allowed, protocol
    )
    assert (error is None) is passes
    if error is not None:
        assert (error.code, error.message) == ("INVALID_REQUEST", ORIGIN_REFUSED)
        assert (error.details is None) is (protocol == 3)


@pytest.mark.parametrize(
    ("client", "refused"),
    [(("openclaw-control-ui", "ui"), True), (("webchat-ui", "webchat"), True), (("test", "webchat"), True),
     (("cli", "cli"), False)],
)  # fmt: skip
def test_a_page_must_say_where_it_comes_from(client: tuple[str, str], refused: bool) -> None:
    who = request_origin("127.0.0.1", headers(), ())
    error = origin_refusal(who, *client, ("*",), 4)
    assert (error is not None) is refused
    if error is not None:
        assert error.details == {"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": "origin missing or invalid"}
    assert origin_refusal(who, *client, (), 3) is None


NAMES = st.sampled_from([b"host", b"origin", b"x-forwarded-for", b"x-real-ip", b"forwarded", b"other"])
VALUES = st.binary(max_size=30) | st.sampled_from([b"localhost", b"http://[::1", b"127.0.0.1, ::1", b"[%", b"::ffff:1"])
ENTRIES = st.text(max_size=12) | st.sampled_from(["0.0.0.0/0", "::/0", "127.0.0.1"])


@given(
    st.none() | st.text(max_size=12) | st.sampled_from(["127.0.0.1", "::1", "fe80::1%eth0"]),
    st.lists(st.tuples(NAMES, VALUES), max_size=8),
    st.lists(ENTRIES, max_size=4),
    st.lists(st.text(max_size=12), max_size=3),
)
def test_no_header_raises_and_none_makes_a_stranger_local(
    address: str | None, given_headers: list[tuple[bytes, bytes]], proxies: list[str], allowed: list[str]
) -> None:
    who = request_origin(address, given_headers, proxies)
    origin_refusal(who, "webchat", "webchat", allowed, 4)
    assert not who.local or address not in (None, "")
    if not proxies:
        assert not who.local or address in ("127.0.0.1", "::1") or (address or "").startswith("127.")


@pytest.mark.parametrize("name", ["x_forwarded_user", "x_forwarded_anything", "tailscale_user_login"])
def test_whoever_names_a_user_speaks_for_somebody_else(name: str) -> None:
    who = request_origin("127.0.0.1", headers(**{name: "ann"}), ())
    assert who.forwarded and not who.local and not who.direct_local


@pytest.mark.parametrize(
    ("chain", "attributed"),
    [("203.0.113.9", True), ("203.0.113.9, 127.0.0.1", True), ("10.1.1.1", False), ("127.0.0.1", False), ("x", False)],
)
def test_a_proxy_says_for_which_machine_it_speaks(chain: str, attributed: bool) -> None:
    assert request_origin("10.1.1.1", headers(x_forwarded_for=chain), ("10.0.0.0/8",)).attributed is attributed
    assert not request_origin("11.1.1.1", headers(x_forwarded_for=chain), ("10.0.0.0/8",)).attributed


@pytest.mark.parametrize(
    ("peer", "entry", "trusted"),
    [
        ("10.1.2.3", "::ffff:10.0.0.0/104", True),
        ("::ffff:10.1.2.3", "::ffff:10.0.0.0/104", True),
        ("11.1.2.3", "::ffff:10.0.0.0/104", False),
        ("10.1.2.3", "::ffff:10.1.2.3", True),
        ("2001:db8::1", "::ffff:0:0/96", False),
        ("2001:db8::1", "::/0", True),
    ],
)
def test_networks_inside_ipv6(peer: str, entry: str, trusted: bool) -> None:
    assert request_origin(peer, headers(x_forwarded_for="203.0.113.9"), (entry,)).attributed is trusted
