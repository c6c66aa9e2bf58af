"""`config migrate` as a user types it."""

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import gateway.cli.migrate as module
from gateway.cli.config import config
from gateway.config import migration
from gateway.config.files import Snapshot
from gateway.errors import ConfigInvalid, GatewayError
from gateway.exits import ExitCode

OLD = "{\n  // mine\n  agent: { model: 'builtin/echo', workspace: '~/clawd' },\n  identity: { name: 'Sam' },\n}\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("OPENCLAW_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / ".openclaw").mkdir()
    return tmp_path


def call(*args: str, exit: ExitCode = ExitCode.OK) -> Result:
    done = CliRunner().invoke(config, ["migrate", *args])
    assert done.exit_code == exit, done.output
    return done


def test_names_become_todays_once(home: Path) -> None:
    file = home / ".openclaw" / "openclaw.json"
    file.write_text(OLD)
    assert call("--dry-run").output.splitlines()[-1] == f"would write: {file}" and file.read_text() == OLD
    output = call().output
    assert "- agent.model\n+ agents.defaults.model\n" in output
    assert output.endswith(f"saved: {file}; before: {file}.bak\n")
    assert file.with_name("openclaw.json.bak").read_text() == OLD and "// mine" in file.read_text()
    new = file.read_text()
    assert call().output == f"{file} has today's names: nothing to do\n" and file.read_text() == new


@pytest.mark.parametrize("old", [".clawdbot/clawdbot.json", ".openclaw/moltbot.json"])
def test_a_config_of_another_name_is_taken_over(home: Path, old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / old).parent.mkdir(exist_ok=True)
    (home / old).write_text(OLD)
    monkeypatch.setenv("CLAWDBOT_GATEWAY_TOKEN", "x")
    report = json.loads(call("--json").output)
    assert (report["source"], report["backup"], report["written"]) == (str(home / old), str(home / old), True)
    assert ["identity", "agents.entries.main.identity"] in report["moved"]
    assert "CLAWDBOT_GATEWAY_TOKEN" in report["warnings"][0]
    assert (home / old).read_text() == OLD and (home / ".openclaw/openclaw.json").stat().st_mode & 0o777 == 0o600
    assert json.loads(call("--json").output)["changed"] is False


def test_what_stays_is_told(home: Path) -> None:
    file = home / ".openclaw" / "openclaw.json"
    file.with_name("more.json").write_text('{"identity": {"name": "Sam"}}')
    file.write_text("{$include: './more.json', agent: {model: 'a/b'}, agents: {defaults: {model: 'c/d'}}, zzz: 1}")
    output = call().output
    assert f"kept: identity: {file.with_name('more.json')}:1:2 has it; rename it there: a name of former days" in output
    assert "- agent.model  (dropped: agents.defaults.model is set, and counts)" in output
    assert "kept: what OpenClaw 2026.9.6 does not know: zzz\n" in output
    assert call().output.endswith(f"{file}: nothing else can be renamed here\n")


def test_a_result_with_errors_is_written_and_told(home: Path) -> None:
    file = home / ".openclaw" / "openclaw.json"
    file.write_text("{gateway: {token: 'x', tls: {enabled: true}}}")
    assert "gateway.tls" in call(exit=ExitCode.CONFIG_INVALID).output
    assert "\"token\": 'x'" in file.read_text()


def test_a_change_in_between_is_not_overwritten(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home / ".openclaw" / "openclaw.json"
    file.write_text(OLD)
    monkeypatch.setattr(module, "_read", lambda *_: file.write_text("{agent: {}}") and Snapshot(file, True, ()))
    failed = CliRunner().invoke(config, ["migrate"])
    assert str(failed.exception) == f"{file} cannot be written: another program has changed it meanwhile; try again"
    assert file.read_text() == "{agent: {}}" and not list(file.parent.glob("*.bak*"))


def test_variables_beside_a_config_of_another_name_are_named(home: Path) -> None:
    (home / ".clawdbot").mkdir()
    (home / ".clawdbot" / "clawdbot.json").write_text(OLD)
    (home / ".clawdbot" / ".env").write_text("ANTHROPIC_API_KEY=x\n")
    told = f"warning: {home}/.clawdbot/.env is not read; put what is needed of it into {home}/.openclaw/.env\n"
    assert told in call().output and told not in call().output


def test_many_names_are_told_within_bounds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home / ".openclaw" / "openclaw.json"
    monkeypatch.setattr(migration, "MAX_MOVED", 3)
    file.write_text(json.dumps({"agent": {f"k{number}": 1 for number in range(4)}, **{f"k{n}": 1 for n in range(99)}}))
    lines = call("--dry-run").output.splitlines()
    (told,) = (line for line in lines if line.startswith("kept: what OpenClaw"))
    assert re.search(r" and \d+ more; --json names them all$", told) and told.count(",") == module.MAX_KEPT - 1
    assert lines[-1] == "3 names are changed in one go: run it again for the others" and len(lines) < 70
    report = json.loads(call("--json", "--dry-run").output)
    assert report["more"] and len(report["unknown"]) >= 99


def test_nothing_to_read(home: Path) -> None:
    assert isinstance(CliRunner().invoke(config, ["migrate"]).exception, GatewayError)
    (home / ".openclaw" / "openclaw.json").write_text("{a: ")
    assert isinstance(CliRunner().invoke(config, ["migrate"]).exception, ConfigInvalid)
