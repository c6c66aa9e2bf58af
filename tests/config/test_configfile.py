"""How a process uses the config file: what others can reach is an error where no secret is asked of them."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.config import files
from gateway.config.configfile import ConfigFile, guard
from gateway.config.files import Snapshot, read

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


def make(folder: Path, reachable: tuple[str, ...] = ()) -> ConfigFile:
    return ConfigFile(folder / "openclaw.json", {}, folder / "state", reachable)


def test_what_is_kept_is_there_when_the_file_is_bad(tmp_path: Path) -> None:
    file = make(tmp_path)
    (tmp_path / "openclaw.json").write_text('{"gateway": {"auth": {"mode": "none"}}}')
    assert file.last_good() is None
    file.keep(good := file.read())
    (tmp_path / "openclaw.json").write_text("{")
    assert file.read().config is None
    again = make(tmp_path).last_good()
    assert again is not None and again.config == good.config


def test_what_is_kept_is_guarded_like_the_file(tmp_path: Path) -> None:
    file = make(tmp_path)
    (tmp_path / "openclaw.json").write_text('{"gateway": {"auth": {"mode": "none"}}}')
    file.keep(file.read())
    file.reachable = LAN
    assert file.read().config is None
    kept = file.last_good()
    assert kept is not None and kept.config is None


def test_a_disk_that_takes_nothing_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state").write_text("a file in place of the folder")
    file = make(tmp_path)
    file.keep(file.read(text="{}"))
    assert "cannot be kept" in caplog.text


def test_programs_are_asked_once_for_a_secret_and_drafts_leave_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    secrets: list[object] = [{"a": "1"}, {"b": "2"}, {"c": "3"}]
    real = files.read

    def look(*args: Any, known: Any, **options: Any) -> Snapshot:
        seen.append(known)
        return replace(real(*args, **options), secrets=secrets.pop(0))

    monkeypatch.setattr(files, "read", look)
    file = make(tmp_path)
    file.read()
    file.read(text="{}")
    file.read()
    assert seen == [{}, {"a": "1"}, {"a": "1"}]
