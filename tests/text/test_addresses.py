from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.text.addresses import is_loopback, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        (" ::1 ", "::1"),
        ("[fe80::1%eth0]", "fe80::1"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("10.0.0.7:80", None),
        ("localhost", None),
        ("", None),
    ],
)
def test_brackets_zones_and_mapped_addresses(text: str, address: str | None) -> None:
    assert parse_address(text) == (ip_address(address) if address else None)


@given(st.text())
def test_any_text_is_an_address_or_none(text: str) -> None:
    assert parse_address(text) is None or ":" in text or "." in text


@pytest.mark.parametrize("text", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "::1%lo", "::ffff:127.0.0.1"])
def test_loopback(text: str) -> None:
    assert is_loopback(text)


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "10.0.0.7", "localhost", "lan", ""])
def test_not_loopback(text: str) -> None:
    assert not is_loopback(text)
