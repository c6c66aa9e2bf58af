import os
from pathlib import Path

import pytest

from gateway.cli.config_snapshots import config_in_force, plan_between, read_config, require_valid, service_plan
from gateway.config import lastgood
from gateway.config.files import read
from gateway.errors import ConfigInvalid
from gateway.files.paths import Paths
from gateway.units import installation
from gateway.units.addresses import resolve

GOOD, BAD = "{gateway: {port: 5, auth: {token: 'abcdefgh'}}}", "{gateway: {port: 0}}"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("OPENCLAW_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / ".openclaw" / "openclaw.json"
    path.parent.mkdir(mode=0o700)
    path.write_text(GOOD)
    return path


def paths() -> Paths:
    return Paths.from_env(os.environ)


def test_addresses_of_the_socket_unit_count(tmp_path: Path) -> None:
    assert read_config(text="{}").config is not None
    installation.plan({"HOME": str(tmp_path)}, resolve("lan", 5)).apply()
    assert read_config(text="{}").config is None and read_config().config is not None


def test_issues_end_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    good = read_config()
    assert require_valid(good) is good
    with pytest.raises(ConfigInvalid, match="1 error; nothing was written"):
        require_valid(read_config(text=BAD), "nothing was written")
    assert "gateway.port" in capsys.readouterr().err


def test_without_a_running_gateway_there_is_no_plan_of_it() -> None:
    assert service_plan(read_config()) is None
    with pytest.raises(ConfigInvalid):
        service_plan(read_config(text=BAD))


def test_what_is_in_force(file: Path) -> None:
    assert config_in_force(paths()).raw == GOOD
    nothing = config_in_force(paths(), file)
    assert nothing.config is not None and not nothing.exists
    lastgood.save(file.parent, read(file, {}))
    file.write_text(BAD)
    assert config_in_force(paths()).tree == config_in_force(paths(), file).tree == read_config(text=GOOD).tree


def test_a_plan_between_two(file: Path) -> None:
    assert [
        change.path for change in plan_between(read_config(), read_config(text="{gateway: {port: 6}}")).changes
    ] == [
        "gateway.auth.token",
        "gateway.port",
    ]
