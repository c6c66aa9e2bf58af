import pytest

from gateway.exits import ExitCode
from gateway.units.addresses import BadAddress, ListenAddress, parse, resolve


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        ("loopback", ["127.0.0.1:18789", "[::1]:18789"]),
        ("lan", ["0.0.0.0:18789", "[::]:18789"]),
        ("192.168.1.4", ["192.168.1.4:18789"]),
        ("[fd00::1]", ["[fd00::1]:18789"]),
    ],
)
def test_bind_words(bind: str, expected: list[str]) -> None:
    assert [str(address) for address in resolve(bind, 18789)] == expected


@pytest.mark.parametrize("bind", ["", "everywhere", "localhost:1", "1.2.3"])
def test_what_is_no_address_is_a_usage_error(bind: str) -> None:
    with pytest.raises(BadAddress, match="loopback, lan, or an IP address") as caught:
        resolve(bind, 18789)
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:18789", ListenAddress("127.0.0.1", 18789)),
        ("[::1]:18789 (Stream)", ListenAddress("::1", 18789)),
        ("18789", ListenAddress("::", 18789)),
        ("/run/x.sock (Stream)", None),
        ("@abstract", None),
        ("vsock:2:1234", None),
        ("127.0.0.1:http", None),
    ],
)
def test_listen_values(text: str, expected: ListenAddress | None) -> None:
    assert parse(text) == expected


def test_loopback() -> None:
    assert ListenAddress("127.0.0.2", 1).is_loopback
    assert not ListenAddress("::", 1).is_loopback
