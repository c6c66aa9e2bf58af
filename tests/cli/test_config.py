"""`config …` as a user types it: the whole command line, a real file, no gateway running."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import config_snapshots
from gateway.cli.config import config
from gateway.client.served import SHELL
from gateway.config import lastgood
from gateway.config.files import read
from gateway.errors import ConfigInvalid, GatewayError
from gateway.exits import ExitCode
from gateway.units import installation
from gateway.units.addresses import resolve

TEXT = """{
  // the port that everybody knows
  gateway: {
    port: 18789, // keep
    auth: { token: "t0p-s3cret" },
  },
  channels: {},
}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("OPENCLAW_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def file(home: Path) -> Path:
    path = home / ".openclaw" / "openclaw.json"
    path.parent.mkdir(mode=0o700)
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def call(*arguments: str, fails: type[GatewayError] | None = None) -> Result:
    result = CliRunner().invoke(config, arguments)
    if fails:
        assert type(result.exception) is fails, result.output
    elif result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def told(*arguments: str) -> Any:
    return json.loads(call(*arguments).output)


# check


def test_check_of_a_good_file(file: Path) -> None:
    result = call("check")
    assert result.exit_code == ExitCode.OK
    assert result.output.splitlines() == ["not used by this gateway: channels", SHELL, f"{file}: good"]


def test_keys_without_a_use_are_told_within_bounds(file: Path) -> None:
    file.write_text(json.dumps({f"key{number}": 1 for number in range(2000)}))
    assert len(call("check").output.splitlines()) < 210


def test_check_lists_every_error_and_ends_with_78(file: Path) -> None:
    file.write_text("{gateway: {port: 0, bind: 'lann'}}")
    result = call("check")
    assert result.exit_code == ExitCode.CONFIG_INVALID
    assert f"{file}:1:18: gateway.port: not an allowed value; found 0" in result.output
    assert f"{file}:1:27: gateway.bind: not an allowed value" in result.output
    assert result.output.endswith("2 errors; the gateway keeps the config that it has\n")


def test_check_as_json(file: Path) -> None:
    file.write_text("{gateway: {port: 0}}")
    facts = told("check", "--json")
    assert facts["valid"] is False
    assert facts["issues"][0]["path"] == "gateway.port"
    assert (facts["issues"][0]["line"], facts["issues"][0]["column"]) == (1, 18)


def test_check_of_another_file(file: Path, home: Path) -> None:
    draft = home / "draft.json"
    draft.write_text("{gateway: {porrt: 1}}")
    result = call("check", str(draft))
    assert result.exit_code == ExitCode.CONFIG_INVALID
    assert 'did you mean "port"?' in result.output
    assert "no such file" in str(call("check", str(home / "none"), fails=GatewayError).exception)


def test_check_without_a_file() -> None:
    result = call("check")
    assert result.exit_code == ExitCode.OK
    assert "does not exist; the defaults are in force" in result.output


def test_check_knows_where_the_installed_socket_listens(file: Path, home: Path) -> None:
    installation.plan({"HOME": str(home)}, resolve("lan", 18789)).apply()
    assert call("check").exit_code == ExitCode.OK
    for text in ("{}", "{gateway: {auth: {mode: 'none'}}}"):
        file.write_text(text)
        result = call("check")
        assert result.exit_code == ExitCode.CONFIG_INVALID
        assert f"error: {file}: gateway.auth." in result.output
        assert "Refusing to bind to 0.0.0.0:18789, [::]:18789 without auth (set gateway.auth" in result.output
        assert "openclaw-gateway install --bind loopback" in result.output
    file.unlink()
    result = call("check")
    assert result.exit_code == ExitCode.CONFIG_INVALID and "defaults are in force" not in result.output
    file.write_text(TEXT)
    assert "nothing was written" in str(call("set", "gateway.auth.mode", "none", fails=ConfigInvalid).exception)
    assert file.read_text() == TEXT
    file.write_text("{gateway: {auth: {mode: 'none'}}}")
    assert "saved" in call("set", "gateway.auth", '{mode: "token", token: "t"}').output


# plan


def test_plan_says_what_each_change_does(file: Path, home: Path) -> None:
    draft = home / "draft.json"
    draft.write_text(
        TEXT.replace("18789", "1").replace("t0p", "n3w").replace("channels: {}", "logging: {level: 'debug'}")
    )
    result = call("plan", str(draft))
    assert result.output.splitlines() == [
        "channels: nothing",
        "gateway.auth.token: applied hot",
        "gateway.port: restart, unseen by clients",
        "logging.level: applied hot",
    ]
    assert "s3cret" not in result.output


def test_plan_knows_when_systemd_holds_the_port(file: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_snapshots, "installed_addresses", lambda folder: ())
    draft = home / "draft.json"
    draft.write_text(TEXT.replace("18789", "1"))
    assert "gateway.port: socket unit: run `openclaw-gateway install`" in call("plan", str(draft)).output
    assert told("plan", str(draft), "--json")["unit"] == ["gateway.port"]


def test_plan_of_the_same_meaning(file: Path, home: Path) -> None:
    draft = home / "draft.json"
    draft.write_text('{"channels": {}, "gateway": {"auth": {"token": "t0p-s3cret"}, "port": 18789.0}}')
    assert call("plan", str(draft)).output == "no difference in meaning: nothing will happen\n"
    facts = told("plan", str(draft), "--json")
    assert (facts["outcome"], facts["changes"]) == ("nothing", [])


@pytest.mark.parametrize(
    ("mode", "line"),
    [
        ("hot", "gateway.controlUi.basePath: ignored: it needs a restart, and gateway.reload.mode is hot"),
        ("off", "gateway.reload.mode is off: nothing is applied until `openclaw-gateway restart`"),
        ("restart", "gateway.controlUi.basePath: restart, unseen by clients"),
    ],
)
def test_plan_follows_the_mode_in_force(file: Path, home: Path, mode: str, line: str) -> None:
    file.write_text(f"{{gateway: {{reload: {{mode: '{mode}'}}}}}}")
    draft = home / "draft.json"
    draft.write_text(f"{{gateway: {{reload: {{mode: '{mode}'}}, controlUi: {{basePath: '/ui'}}}}}}")
    assert line in call("plan", str(draft)).output.splitlines()


def test_plan_of_the_config_itself_compares_with_what_ran(file: Path, home: Path) -> None:
    lastgood.save(home / ".openclaw", read(file, {}))
    file.write_text(TEXT.replace("t0p", "n3w"))
    assert call("plan", str(file)).output == "gateway.auth.token: applied hot\n"


def test_plan_of_a_bad_file(file: Path, home: Path) -> None:
    draft = home / "draft.json"
    draft.write_text("{gateway: {port: 0}}")
    result = call("plan", str(draft), fails=ConfigInvalid)
    assert f"{draft}:1:18: gateway.port" in result.output


# get


def test_get_gives_values_in_force_and_hides_secrets(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_GATEWAY_PORT", "5")
    assert call("get", "gateway.port").output == "5\n"
    assert call("get", "gateway.port", "--raw").output == "18789\n"
    assert call("get", "logging.level").output == "info\n"
    assert call("get", "logging.level", "--json").output == '"info"\n'
    assert call("get", "gateway.auth.token").output == "__OPENCLAW_REDACTED__\n"
    assert call("get", "gateway.auth.token", "--show-secrets").output == "t0p-s3cret\n"
    assert "s3cret" not in call("get").output
    assert told("get")["channels"] == {}


def test_get_of_what_is_not_there(file: Path) -> None:
    assert str(call("get", "gateway.nope", fails=GatewayError).exception) == "gateway.nope is not set"
    assert call("get", "gateway..port").exit_code == ExitCode.USAGE


def test_get_of_a_bad_config_says_so_but_raw_works(file: Path) -> None:
    file.write_text("{gateway: {port: 0}}")
    call("get", "gateway.bind", fails=ConfigInvalid)
    assert call("get", "gateway.port", "--raw").output == "0\n"


# set


def test_set_keeps_comments_and_the_version_before(file: Path) -> None:
    result = call("set", "gateway.port", "18790")
    assert result.output.splitlines() == ["gateway.port: restart, unseen by clients", f"saved: {file}"]
    assert file.read_text() == TEXT.replace("18789", "18790")
    assert file.with_name("openclaw.json.bak").read_text() == TEXT
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("value", "stored"),
    [("debug", "debug"), ("'debug'", "debug"), ('"warn"', "warn")],
    ids=["bare", "single", "double"],
)
def test_set_takes_json5_or_a_text(file: Path, value: str, stored: str) -> None:
    call("set", "logging.level", value)
    assert told("get", "logging.level", "--json") == stored


def test_set_in_a_file_that_is_not_there(home: Path) -> None:
    call("set", "gateway.reload.debounceMs", "0")
    assert json.loads((home / ".openclaw" / "openclaw.json").read_text()) == {"gateway": {"reload": {"debounceMs": 0}}}


def test_set_writes_nothing_on_a_dry_run(file: Path) -> None:
    assert "would write" in call("set", "gateway.port", "1", "--dry-run").output
    assert file.read_text() == TEXT


def test_set_of_the_same_value_writes_nothing(file: Path) -> None:
    before = file.stat().st_mtime_ns
    assert "no difference in meaning" in call("set", "gateway.port", "18789").output
    assert file.stat().st_mtime_ns == before
    assert not file.with_name("openclaw.json.bak").exists()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("gateway.port", "0"),
        ("gateway.prot", "1"),
        ("gateway.auth.mode", "trusted-proxy"),
        ("gateway.bind", "lan2"),
        ("gateway.port.x", "1"),
    ],
)
def test_set_refuses_what_would_be_invalid(file: Path, path: str, value: str) -> None:
    result = call("set", path, value, fails=ConfigInvalid)
    assert "nothing was written" in str(result.exception)
    assert file.read_text() == TEXT


def test_set_refuses_the_word_for_a_hidden_secret(file: Path) -> None:
    call("set", "gateway.auth.token", "__OPENCLAW_REDACTED__", fails=GatewayError)
    assert file.read_text() == TEXT


def test_set_writes_into_the_file_that_has_the_key(file: Path) -> None:
    included = file.with_name("more.json")
    included.write_text('{"list": [1]} // mine')
    file.write_text(text := '{"tts": {"$include": "more.json"}}')
    assert call("set", "tts.auto", "off").output.endswith(f"saved: {included}\n")
    assert (file.read_text(), included.read_text()) == (text, '{"list": [1], "auto": "off"} // mine')


def test_set_refuses_what_no_file_has_alone(file: Path) -> None:
    for name in ("one.json", "two.json"):
        file.with_name(name).write_text('{"bindings": [1]}')
    file.write_text(text := '{"$include": ["one.json", "two.json"]}')
    told = str(call("set", "bindings", "[2]", fails=ConfigInvalid).exception)
    assert "one.json" in told and "two.json" in told and file.read_text() == text


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("zzz", '<root>: Unrecognized key: "zzz"; nothing was written'),
        ("chanels.telegram.enabled", 'Unrecognized key: "chanels"; did you mean channels?'),
        ("agents.main.model", 'agents: Unrecognized key: "main"'),
    ],
)
def test_set_writes_no_key_that_nobody_knows(file: Path, path: str, told: str) -> None:
    before = file.read_text()
    assert told in str(call("set", path, "1", fails=ConfigInvalid).exception)
    assert file.read_text() == before


# schema


def test_schema_describes_each_setting() -> None:
    output = call("schema", "gateway.controlUi").output
    assert output.splitlines()[0] == "gateway.controlUi.enabled"
    assert "gateway.controlUi.basePath" in output
    assert "  a change: restart, unseen by clients" in output
    assert "gateway.port" not in output
    assert call("schema", "gateway.port").output.startswith("gateway.port\n")


def test_schema_as_json() -> None:
    whole = told("schema", "--json")
    assert whole["$schema"].startswith("https://json-schema.org/")
    assert told("schema", "gateway.port", "--json")["x-effect"] == "unit"
    assert "is not a setting" in str(call("schema", "gateway.tls", fails=GatewayError).exception)


def test_every_command_explains_itself() -> None:
    for name in config.commands:
        assert len(call(name, "--help").output.splitlines()) > 8, name
