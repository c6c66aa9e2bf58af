import json
import logging
from pathlib import Path

import pytest

from gateway.config import lastgood
from gateway.config.files import read
from gateway.config.lastgood import load, location, save


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "openclaw.json"
    file.write_text("{gateway: {port: 7, auth: {token: '${T}'}}, meta: {}}")
    file.chmod(0o600)
    return file


def test_what_ran_is_found_again(config: Path, tmp_path: Path) -> None:
    snapshot = read(config, {"T": "one"})
    save(tmp_path, snapshot)
    found = load(tmp_path, config, {"T": "two"})
    assert found is not None and found.config is not None
    assert (found.config.gateway.port, found.config.gateway.auth.token) == (7, "two")
    assert (found.path, found.digest, found.unused) == (config, snapshot.digest, ("meta",))
    assert found.tree["gateway"]["auth"]["token"] == "two"


def test_it_is_private_and_holds_no_secret_of_the_environment(config: Path, tmp_path: Path) -> None:
    save(tmp_path, read(config, {"T": "s3cret"}))
    file = location(tmp_path)
    assert file == tmp_path / "gateway" / "last-good.json"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "s3cret" not in file.read_text()


def test_includes_are_kept_in_it(config: Path, tmp_path: Path) -> None:
    (tmp_path / "part.json").write_text("{port: 9}")
    config.write_text("{gateway: {$include: 'part.json'}}")
    save(tmp_path, read(config, {}))
    (tmp_path / "part.json").unlink()
    found = load(tmp_path, config, {})
    assert found and found.config and found.config.gateway.port == 9


def test_the_dotenv_file_counts(config: Path, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("T=dotenv\n")
    save(tmp_path, read(config, {}))
    found = load(tmp_path, config, {})
    assert found and found.config and found.config.gateway.auth.token == "dotenv"


def test_nothing_is_written_when_nothing_changed(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[Path] = []
    monkeypatch.setattr(lastgood, "replace_text", lambda file, text: (writes.append(file), file.write_text(text)))
    for text in ("{}", "{}", "{logging: {}}", "{logging: {}}"):
        config.write_text(text)
        save(tmp_path, read(config, {}))
    assert len(writes) == 2


def test_a_bad_config_is_never_saved(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a good one"):
        save(tmp_path, read(config, {}))
    assert not location(tmp_path).exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b"{}",
        json.dumps({"version": 1, "path": "PATH", "digest": "d", "tree": []}).encode(),
        json.dumps({"version": 2, "path": "PATH", "digest": "d", "tree": {}}).encode(),
        json.dumps({"version": 1, "path": "PATH", "tree": {}}).encode(),
        json.dumps({"version": 1, "path": "elsewhere", "digest": "d", "tree": {}}).encode(),
        json.dumps({"version": 1, "path": "PATH", "digest": "d", "tree": {"gateway": {"port": 0}}}).encode(),
    ],
    ids=["empty", "binary", "array", "deep", "nothing", "tree", "version", "digest", "other", "invalid"],
)
def test_what_does_not_fit_is_no_last_good_and_can_be_replaced(
    content: bytes, config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = location(tmp_path)
    file.parent.mkdir()
    file.write_bytes(content.replace(b"PATH", str(config).encode()))
    with caplog.at_level(logging.WARNING):
        assert load(tmp_path, config, {}) is None
    save(tmp_path, read(config, {"T": "t"}))
    assert load(tmp_path, config, {"T": "t"})


def test_there_is_none(config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load(tmp_path / "none", config, {}) is None
    (tmp_path / "gateway").mkdir()
    location(tmp_path).mkdir()
    assert load(tmp_path, config, {}) is None
    assert "cannot be read" in caplog.text


def test_a_variable_that_is_gone_is_said(config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, read(config, {"T": "t"}))
    assert load(tmp_path, config, {}) is None
    assert "the environment variable T is not set" in caplog.text
