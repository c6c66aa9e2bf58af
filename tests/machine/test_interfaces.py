from pathlib import Path

import pytest

from gateway.machine.interfaces import is_own

FIB = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.3
           /32 link UNICAST
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
"""
INET6 = """\
fd000000000000000000000000000002 04 40 00 82     eth0
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "fib_trie").write_text(FIB)
    (tmp_path / "if_inet6").write_text(INET6)
    return tmp_path


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("192.0.2.2", True),
        ("192.0.2.3", True),
        ("::ffff:192.0.2.2", True),
        ("192.0.2.0", False),
        ("192.0.2.255", False),
        ("192.0.2.20", False),
        ("fd00::2", True),
        ("fe80::fc:ff:fe00:1%eth0", True),
        ("fd00::1", False),
        ("", None),
        ("name", None),
    ],
)
def test_own_addresses(proc: Path, address: str, own: bool | None) -> None:
    assert is_own(address, proc) is own


@pytest.mark.parametrize("address", ["192.0.2.2", "fd00::2"])
def test_a_machine_that_does_not_say(tmp_path: Path, address: str) -> None:
    assert is_own(address, tmp_path) is None


def test_this_machine() -> None:
    assert is_own("127.0.0.1") and not is_own("203.0.113.77")
