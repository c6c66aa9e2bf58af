import logging
import stat
from pathlib import Path

import pytest

from gateway.access.token import generated_token, token_file


def test_a_token_is_made_once_and_kept_for_the_user_alone(tmp_path: Path) -> None:
    token = generated_token(tmp_path)
    assert token is not None and len(token) >= 43  # 32 bytes in base64
    assert generated_token(tmp_path) == token
    assert stat.S_IMODE(token_file(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(token_file(tmp_path).parent.stat().st_mode) == 0o700


def test_an_empty_file_gets_a_token_and_the_right_mode(tmp_path: Path) -> None:
    token_file(tmp_path).parent.mkdir()
    token_file(tmp_path).touch(mode=0o644)
    assert token_file(tmp_path).read_text() == ""
    token = generated_token(tmp_path)
    assert token and token_file(tmp_path).read_text() == f"{token}\n"
    assert stat.S_IMODE(token_file(tmp_path).stat().st_mode) == 0o600


def test_two_folders_have_two_tokens(tmp_path: Path) -> None:
    assert generated_token(tmp_path / "a") != generated_token(tmp_path / "b")


def test_without_a_place_to_keep_it_nobody_can_connect_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("gateway"), "propagate", True)
    (tmp_path / "file").write_text("")
    assert generated_token(tmp_path / "file") is None
    assert "OPENCLAW_GATEWAY_TOKEN" in caplog.text


def test_a_link_in_the_place_of_the_file_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    token_file(tmp_path).parent.mkdir()
    token_file(tmp_path).symlink_to(victim)
    generated_token(tmp_path)
    assert not victim.exists()
