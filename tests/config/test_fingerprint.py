"""The hash of the config that clients see."""

import hashlib
import hmac
import re
from pathlib import Path

import pytest

from gateway.config import fingerprint as module
from gateway.config.fingerprint import PREFIX, fingerprint, key_file
from gateway.files.atomic import create_text


def restart() -> None:
    module._key.cache_clear()


def test_it_says_nothing_of_a_text_to_who_has_no_key(tmp_path: Path) -> None:
    told, plain = fingerprint(tmp_path, "a text's"), hashlib.sha256(b"dragon99").hexdigest()
    assert re.fullmatch(re.escape(PREFIX) + r"[A-Za-z0-9_-]{43}", told)
    guesses = (fingerprint(tmp_path / other, plain) for other in ("a", "b"))
    assert len({fingerprint(tmp_path, plain), *guesses, plain}) == 4
    assert hmac.new(b"", b"a text's", "sha256").hexdigest() not in told


def test_it_is_the_same_after_a_restart_and_another_for_another_text(tmp_path: Path) -> None:
    told = fingerprint(tmp_path, "one")
    assert key_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert key_file(tmp_path).parent.stat().st_mode & 0o777 == 0o700
    restart()
    assert fingerprint(tmp_path, "one") == told != fingerprint(tmp_path, "two")


@pytest.mark.parametrize("text", ["", "00", "no key at all", "é" * 64])
def test_what_is_no_key_is_made_anew(tmp_path: Path, text: str) -> None:
    key_file(tmp_path).parent.mkdir()
    key_file(tmp_path).write_text(text)
    told = fingerprint(tmp_path, "one")
    restart()
    assert fingerprint(tmp_path, "one") == told
    assert len(bytes.fromhex(key_file(tmp_path).read_text())) == module.KEY_BYTES


def test_without_a_place_for_the_key_it_holds_for_the_process(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = tmp_path / "none"
    told = fingerprint(nowhere, "one")
    assert fingerprint(nowhere, "one") == told and not nowhere.exists()
    assert str(key_file(nowhere)) in caplog.text
    restart()
    assert fingerprint(nowhere, "one") != told


def test_of_two_processes_that_make_the_key_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first: list[str] = []

    def late(path: Path, text: str) -> bool:
        restart()
        with monkeypatch.context() as patch:
            patch.setattr(module, "create_text", create_text)
            first.append(fingerprint(tmp_path, "one"))
        return create_text(path, text)

    monkeypatch.setattr(module, "create_text", late)
    assert fingerprint(tmp_path, "one") == first[0]
