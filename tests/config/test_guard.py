"""What others can reach is an error where nothing asks them for a secret."""

from pathlib import Path

import pytest

from gateway.config.files import read
from gateway.config.guard import guard

LAN = ("0.0.0.0:18789",)


@pytest.mark.parametrize(
    ("auth", "key"),
    [
        ('{"mode": "none"}', "mode"),
        ('{"mode": "none", "token": "t"}', "mode"),
        ("{}", "token"),
        ('{"token": "t"}', None),
        ('{"password": "p"}', None),
        ('{"mode": "trusted-proxy", "trustedProxy": {"userHeader": "x"}}', None),
    ],
)
def test_what_counts_as_a_secret(tmp_path: Path, auth: str, key: str | None) -> None:
    text = f'{{"gateway": {{"trustedProxies": ["10.0.0.1"], "auth": {auth}}}}}'
    found = read(tmp_path / "c.json", {}, text=text)
    assert guard(found, ()) is found and found.config is not None
    guarded = guard(found, LAN)
    if key is None:
        assert guarded is found
        return
    assert guarded.config is None and guarded.digest == found.digest
    [issue] = guarded.issues
    assert str(issue).startswith(
        f"{tmp_path}/c.json: gateway.auth.{key}: Refusing to bind to 0.0.0.0:18789 without auth"
    )
    assert "openclaw-gateway install --bind loopback" in str(issue)


def test_a_file_that_is_not_there_is_guarded_too(tmp_path: Path) -> None:
    assert guard(read(tmp_path / "c.json", {}), LAN).config is None
    assert guard(read(tmp_path / "c.json", {"OPENCLAW_GATEWAY_TOKEN": "t"}), LAN).config is not None


def test_errors_are_not_piled_up(tmp_path: Path) -> None:
    found = read(tmp_path / "c.json", {}, text="{")
    assert guard(found, LAN) is found
