"""Variables that programs started for a user inherit."""

from gateway.machine.inherited import NAMES


def test_a_name_stands_once_and_no_secret_is_among_them() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert not [name for name in NAMES if any(word in name.upper() for word in ("TOKEN", "KEY", "SECRET", "PASSWORD"))]


def test_proxies_in_both_cases() -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        assert name in NAMES and name.lower() in NAMES
