import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import disk, files
from gateway.config.files import MAX_WARNINGS, Snapshot, read, write
from gateway.config.parse import MAX_BYTES
from gateway.config.schema import Config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "openclaw.json"


def save(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def only(found: Snapshot) -> str:
    assert found.config is None
    [issue] = found.issues
    return str(issue)


def test_a_missing_file_is_the_defaults_with_the_environment(config: Path) -> None:
    found = read(config, {"OPENCLAW_GATEWAY_PORT": "5"})
    assert (found.exists, found.issues, found.raw) == (False, (), None)
    assert found.config and found.config.gateway.port == 5
    assert found.digest == found.raw_hash == hashlib.sha256(b"").hexdigest()
    assert found.files == (config.with_name(".env"), config)


def test_what_a_good_file_gives(config: Path) -> None:
    text = '{"gateway": {"port": 7}, "meta": {}}'
    found = read(save(config, text), {})
    assert (found.exists, found.raw, found.parsed, found.merged, found.tree) == (
        True,
        text,
        *[{"gateway": {"port": 7}, "meta": {}}] * 3,
    )
    assert found.config and found.config.gateway.port == 7
    assert (found.unused, found.warnings, found.issues, found.exposed) == (("meta",), (), (), ())
    assert found.raw_hash == hashlib.sha256(text.encode()).hexdigest()


def test_the_digest_tells_every_change_of_every_file(config: Path) -> None:
    part, dotenv = config.with_name("part.json"), config.with_name(".env")
    digests = set()
    for main, other, env in (("{$include:'part.json'}", "{}", "A=1"), ("{$include:'part.json'} ", "{}", "A=1")):
        digests.add(read(save(config, main), {}).digest)
        digests.add((save(part, other), read(config, {}).digest)[1])
        digests.add((save(dotenv, env), read(config, {}).digest)[1])
        dotenv.unlink()
        part.unlink()
    assert len(digests) == 6
    assert read(config, {}).digest == read(config, {}).digest


def test_text_instead_of_the_file(config: Path) -> None:
    save(config, "{}")
    found = read(config, {}, text="{gateway: {port: 0}}")
    assert str(config) in only(found) and found.raw == "{gateway: {port: 0}}"
    assert config.read_text() == "{}"


# what cannot be read


def test_a_file_that_may_not_be_read(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    found = read(config, {})
    assert only(found) == f"{config}: cannot be read: Permission denied"
    assert found.exists and found.warnings


def test_a_folder_a_fifo_and_a_loop_are_no_file(tmp_path: Path) -> None:
    assert only(read(tmp_path, {})) == f"{tmp_path}: cannot be read: not a regular file"
    os.mkfifo(tmp_path / "fifo")
    assert only(read(tmp_path / "fifo", {})).endswith("cannot be read: not a regular file")
    (tmp_path / "loop").symlink_to("loop")
    assert only(read(tmp_path / "loop", {})).endswith("cannot be read: Too many levels of symbolic links")


def test_a_file_that_is_too_large(config: Path) -> None:
    save(config, "{}" + " " * MAX_BYTES)
    assert only(read(config, {})) == f"{config}: larger than {MAX_BYTES} bytes"


def test_all_files_together_are_bounded(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(config.with_name("part.json"), "{}")
    text = "{$include: 'part.json'}"
    monkeypatch.setattr(disk, "MAX_TOTAL_BYTES", len(text) + 2)
    assert read(save(config, text), {}).issues == ()
    monkeypatch.setattr(disk, "MAX_TOTAL_BYTES", len(text) + 1)
    assert "and its includes are larger than" in only(read(config, {}))


# includes


def test_includes_are_relative_to_the_including_file(config: Path, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    save(tmp_path / "d" / "a.json", "{gateway: {$include: '../b.json'}}")
    save(tmp_path / "b.json", "{port:\n 0}")
    found = read(save(config, "{$include: './d/a.json'}"), {})
    assert only(found).startswith(f"{tmp_path}/b.json:2:2: gateway.port: not an allowed value; found 0")
    assert found.files[1:] == (config, tmp_path / "d" / "a.json", tmp_path / "b.json")


def test_a_missing_include_is_watched_for(config: Path) -> None:
    found = read(save(config, "{$include: 'none.json'}"), {})
    assert "none.json cannot be read: No such file" in only(found)
    assert config.with_name("none.json") in found.files
    assert "cannot be read" in only(read(save(config, "{$include: 'a\\0b'}"), {}))


def test_what_a_missing_include_would_have_set_is_not_called_missing(config: Path) -> None:
    text = "{gateway: {port: 0, auth: {mode: 'password', $include: 'secrets.json'}}}"
    found = read(save(config, text), {})
    assert [issue.path for issue in found.issues] == ["gateway.auth.$include", "gateway.port"]


def test_the_whole_must_be_an_object(config: Path) -> None:
    save(config.with_name("list.json"), "[]")
    assert only(read(save(config, "{$include: 'list.json'}"), {})).endswith("must be an object, includes counted")


# variables


def test_sources_of_variables_in_their_order(config: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    save(state / ".env", "B=dotenv\nC=dotenv\n")
    text = (
        "{env: {A: 'config', B: 'config', C: 'config', vars: {D: '${C}-config'}}, x: ['${A}', '${B}', '${C}', '${D}']}"
    )
    found = read(save(config, text), {"B": "process"}, state)
    assert found.tree["x"] == ["config", "process", "dotenv", "dotenv-config"]
    assert found.merged["x"] == ["${A}", "${B}", "${C}", "${D}"]


def test_a_secret_of_the_environment_is_not_in_what_is_kept(config: Path) -> None:
    found = read(save(config, "{gateway: {auth: {token: '${T}'}}}"), {"T": "s3cret"})
    assert found.config and found.config.gateway.auth.token == "s3cret"
    assert "s3cret" not in repr(found.merged) + repr(found)


def test_the_dotenv_file_fills_in_a_token(config: Path) -> None:
    save(config.with_name(".env"), "OPENCLAW_GATEWAY_TOKEN=t\n")
    found = read(config, {})
    assert found.config and found.config.gateway.auth.token == "t"


def test_a_variable_that_nothing_sets(config: Path) -> None:
    found = read(save(config, "{gateway: {auth: {token: '${T}'}}, ui: {x: '${T}'}}"), {"T": ""})
    assert only(found).startswith(f"{config}:1:26: gateway.auth.token: the environment variable T is not set")
    assert found.warnings[0] == "ui.x: the environment variable T is not set; left as it is"


def test_a_dotenv_that_cannot_be_read_is_a_warning(config: Path) -> None:
    config.with_name(".env").write_bytes(b"A=1\nB=\xff")
    found = read(config, {})
    assert found.dotenv == {"A": "1", "B": "\ufffd"} and ".env: not UTF-8" in found.warnings[0]
    config.with_name(".env").write_bytes(b"A=1\n" + b" " * MAX_BYTES)
    found = read(config, {})
    assert found.config == Config() and len(found.warnings) == 1 and ".env: ignored" in found.warnings[0]


# warnings


def test_a_repeated_key_is_a_warning(config: Path) -> None:
    found = read(save(config, '{"gateway": {"port": 1},\n "gateway": {"port": 2}}'), {})
    assert found.warnings == (f'{config}:2:2: "gateway" is written twice; the last one counts',)


@pytest.mark.parametrize(
    ("text", "mode", "exposed"),
    [
        ("{gateway: {auth: {token: 't'}}}", 0o600, False),
        ("{gateway: {auth: {token: 't'}}}", 0o640, True),
        ("{gateway: {auth: {token: 't'}}}", 0o604, True),
        ("{models: [{apiKey: 'k'}]}", 0o644, True),
        ("{channels: {slack: {botToken: 'k'}}}", 0o644, True),
        ("{gateway: {auth: {token: '${T}'}}}", 0o644, False),
        ("{gateway: {auth: {token: ''}}}", 0o644, False),
        ("{models: {maxTokens: 5, tokens: 'x'}}", 0o644, False),
    ],
)
def test_a_secret_that_others_may_read(config: Path, text: str, mode: int, exposed: bool) -> None:
    found = read(save(config, text, mode), {"T": "x"})
    assert found.exposed == ((config,) if exposed else ())
    assert any(f"chmod 600 {config}" in warning for warning in found.warnings) == exposed


def test_a_dotenv_that_others_may_read(config: Path) -> None:
    save(config.with_name(".env"), "HOME_TOWN=x\n", 0o644)
    assert read(config, {}).exposed == ()
    save(config.with_name(".env"), "MY_API_KEY=x\n", 0o644)
    assert read(config, {}).exposed == (config.with_name(".env"),)


# writing


def test_write_keeps_five_versions(config: Path) -> None:
    for number in range(8):
        write(config, f"{{n: {number}}}")
    kept = {path.name: path.read_text() for path in config.parent.iterdir()}
    names = ["openclaw.json", *(f"openclaw.json.bak{end}" for end in ("", ".1", ".2", ".3", ".4"))]
    assert kept == {name: f"{{n: {7 - age}}}" for age, name in enumerate(names)}
    assert {path.stat().st_mode & 0o777 for path in config.parent.iterdir()} == {0o600}


def test_what_was_changed_meanwhile_is_not_overwritten(config: Path) -> None:
    write(config, "{}", expected=None)
    with pytest.raises(files.ConfigFileChanged, match="another program has changed it meanwhile"):
        write(config, "{a: 1}", expected=None)
    write(config, "{a: 1}", expected="{}")
    with pytest.raises(files.ConfigFileChanged):
        write(config, "{a: 2}", expected="{}")
    assert config.read_text() == "{a: 1}" and len(list(config.parent.iterdir())) == 2


@pytest.mark.parametrize("code", files.MOUNTED)
def test_a_file_that_is_mounted_there_is_written_in_place(
    config: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    config.write_text('{"a": "before, and longer"}')
    replace, inode = os.replace, config.stat().st_ino

    def refuse(source: Any, target: Any) -> None:
        if Path(target) == config:
            raise OSError(code, os.strerror(code))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    files.write(config, '{"b": 1}')
    assert config.read_text() == '{"b": 1}' and config.stat().st_ino == inode
    assert config.with_name("openclaw.json.bak").read_text() == '{"a": "before, and longer"}'
    assert sorted(each.name for each in config.parent.iterdir()) == ["openclaw.json", "openclaw.json.bak"]


def test_write_makes_the_folder_private(tmp_path: Path) -> None:
    write(tmp_path / "a" / "openclaw.json", "{}")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_write_follows_a_link(config: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    target = save(tmp_path / "store" / "real.json", "{}")
    config.symlink_to(target)
    write(config, "{a: 1}")
    assert config.is_symlink() and target.read_text() == "{a: 1}"
    assert config.with_name("openclaw.json.bak").read_text() == "{}"


@given(st.binary(max_size=200))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_a_snapshot(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "openclaw.json").write_bytes(data)
    (tmp_path / ".env").write_bytes(data)
    found = read(tmp_path / "openclaw.json", {})
    assert (found.config is None) == bool(found.issues)


# secrets that lie elsewhere


def vaulted(tmp_path: Path, token: str) -> Path:
    secrets = save(tmp_path / "secrets.json", '{"gateway": {"auth": {"token": "t-of-file"}}, "key": "k-of-file"}')
    return save(
        tmp_path / "openclaw.json",
        "{secrets: {providers: {f: {source: 'file', path: '" + str(secrets) + "', mode: 'json'}}},\n"
        " gateway: {auth: {token: " + token + "}},\n"
        " models: {providers: {openai: {apiKey: {source: 'file', provider: 'f', id: '/key'}, models: [{id: 'm'}]}}}}",
    )


FROM_FILE = "{source: 'file', provider: 'f', id: '/gateway/auth/token'}"


def test_a_token_in_the_environment_and_in_dotenv(config: Path) -> None:
    token = '{source:"env",provider:"default",id:"OPENCLAW_GATEWAY_TOKEN"}'
    save(config, "{gateway:{auth:{mode:'token',token:" + token + "}}}")
    assert (found := read(config, {"OPENCLAW_GATEWAY_TOKEN": "e"})).config and found.config.gateway.auth.token == "e"
    save(config.with_name(".env"), "OPENCLAW_GATEWAY_TOKEN=d")
    assert (found := read(config, {})).config and found.config.gateway.auth.token == "d"


def test_a_token_and_a_key_in_a_file(tmp_path: Path) -> None:
    found = read(vaulted(tmp_path, FROM_FILE), {})
    assert found.config and found.config.gateway.auth.token == "t-of-file" and not found.warnings
    assert found.tree["models"]["providers"]["openai"]["apiKey"] == "k-of-file"
    assert "of-file" not in str(found.merged), "what is kept on disk has the reference"
    assert "of-file" not in repr(found)
    assert found.unused == ()


def test_the_file_is_watched_and_belongs_to_the_digest(tmp_path: Path) -> None:
    before = read(vaulted(tmp_path, FROM_FILE), {})
    assert tmp_path / "secrets.json" in before.files
    save(tmp_path / "secrets.json", '{"gateway": {"auth": {"token": "rotated"}}, "key": "k"}')
    after = read(tmp_path / "openclaw.json", {})
    assert after.digest != before.digest and after.config and after.config.gateway.auth.token == "rotated"
    (tmp_path / "secrets.json").unlink()
    assert tmp_path / "secrets.json" in read(tmp_path / "openclaw.json", {}).files


def test_a_token_that_is_not_there_is_an_error_with_its_place_and_the_way_out(tmp_path: Path) -> None:
    found = read(vaulted(tmp_path, "{source: 'file', provider: 'f', id: '/absent'}"), {"OPENCLAW_GATEWAY_TOKEN": "t"})
    assert only(found) == (
        f"{tmp_path}/openclaw.json:2:26: gateway.auth.token: "
        'the file provider "f" gave no text for the id "/absent" '
        "(put it there, or correct the id; the provider is secrets.providers.f)"
    )
    vaulted(tmp_path, FROM_FILE)
    (tmp_path / "secrets.json").chmod(0o644)
    said = only(read(tmp_path / "openclaw.json", {}))
    assert said.endswith(f"others may use {tmp_path}/secrets.json (run: chmod 600 {tmp_path}/secrets.json)")


def test_a_key_that_is_not_there_is_a_warning_and_no_other_key_is_taken(config: Path) -> None:
    key = "{source: 'exec', provider: 'v', id: 'a'}"
    save(config, "{models: {providers: {openai: {apiKey: " + key + "}}}, agents: {defaults: {model: 'openai/gpt-5'}}}")
    found = read(config, {"OPENAI_API_KEY": "another"})
    assert found.config
    assert found.warnings == (
        "agents.defaults.model: models.providers.openai.apiKey: "
        'there is no provider "v"; add secrets.providers.v with source "exec"',
    )
    save(config, "{models: {providers: {openai: {apiKey: " + key + "}}}, agents: {defaults: {model: 'builtin/echo'}}}")
    assert read(config, {}).warnings == (
        'models.providers.openai.apiKey: there is no provider "v"; add secrets.providers.v with source "exec"',
    )


def test_only_the_door_is_asked_for(tmp_path: Path) -> None:
    found = read(vaulted(tmp_path, FROM_FILE), {}, access_only=True)
    assert found.config and found.config.gateway.auth.token == "t-of-file"
    assert found.tree["models"]["providers"]["openai"]["apiKey"] == {"source": "file", "provider": "f", "id": "/key"}


@pytest.mark.parametrize("known", [False, True])
def test_a_key_goes_on_being_used_while_its_file_is_away(tmp_path: Path, known: bool) -> None:
    before = read(vaulted(tmp_path, "'t'"), {})
    (tmp_path / "secrets.json").unlink()
    after = read(tmp_path / "openclaw.json", {}, known=before.secrets if known else None)
    key = after.tree["models"]["providers"]["openai"]["apiKey"]
    assert (key == "k-of-file") is known and after.config
    assert ("what it gave before is used" in after.warnings[0]) is known


@pytest.mark.parametrize(
    "token",
    [
        "${OPENCLAW_GATEWAY_TOKEN:-change-me}",
        "${gateway_token}",
        "$gateway_token",
        "file:/run/secrets/t",
        "<your-token>",
    ],
)
@pytest.mark.parametrize("env", [{}, {"OPENCLAW_GATEWAY_TOKEN": "t", "gateway_token": "t"}])
def test_a_text_of_a_readme_opens_nothing(config: Path, token: str, env: dict[str, str]) -> None:
    save(config, '{"gateway": {"bind": "lan", "auth": {"token": "' + token + '"}}}')
    said = only(read(config, env))
    assert f"{config}:1:47: gateway.auth.token: this is no secret: it looks like" in said and token not in said
    save(config, '{"gateway": {"bind": "lan"}}')
    assert "OPENCLAW_GATEWAY_TOKEN has no valid value" in only(read(config, {"OPENCLAW_GATEWAY_TOKEN": token}))


ON_A_MOUNT = """
import sys
from pathlib import Path
from gateway.config.files import read, write
path = Path(sys.argv[1])
print(read(path, {}).warnings)
write(path, "{logging: {}}")
print(path.read_text())
"""


@pytest.mark.process
@pytest.mark.skipif(os.getuid() != 0, reason="needs root to mount")
def test_a_mounted_file_that_was_replaced_elsewhere_is_told(config: Path, tmp_path: Path) -> None:
    """Nothing changes below the mount: its file has no name any more."""
    mount = (
        'echo "{}" > "$1"; touch "$2"; mount --bind "$1" "$2"; touch "$1.new"; mv "$1.new" "$1"; exec "$3" -c "$4" "$2"'
    )
    words = ["unshare", "-m", "sh", "-ec", mount, "sh", tmp_path / "outside.json", config, sys.executable, ON_A_MOUNT]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert "was replaced where it is mounted from" in done.stdout, done.stderr
    assert done.stdout.endswith("{logging: {}}\n")


def test_what_forbids_a_tool_and_cannot_be_honoured_is_named_with_its_line(config: Path) -> None:
    text = '{\n  mcp: {servers: {db: {command: "x", toolFilter: {exclude: "admin_*"}}}},\n  tools: {deny: ["a"]},\n}'
    found = only(read(save(config, text), {}))
    assert found == (
        f"{config}:2:60: mcp.servers.db.toolFilter.exclude: must be a list of names of tools, and not empty "
        '(write it as exclude: ["read_*"])'
    )
    save(config, '{\n  tools: {deny: "db__admin_drop"},\n}')
    assert only(read(config, {})).startswith(f"{config}:2:17: tools.deny: must be a list of names of tools")


@pytest.mark.parametrize(("count", "told"), [(MAX_WARNINGS, MAX_WARNINGS), (MAX_WARNINGS + 2, MAX_WARNINGS + 1)])
def test_a_bounded_number_of_warnings_is_told(config: Path, count: int, told: int) -> None:
    save(config, json.dumps({"agents": {"entries": {f"a{number}": {"model": 5} for number in range(count)}}}))
    found = read(config, {}).warnings
    assert len(found) == told and (told == count or found[-1] == "2 more warnings of the config")


def test_what_is_an_error_is_not_called_unused(config: Path) -> None:
    config.write_text("{gateway: {tls: {enabled: true}}, channels: {}}")
    found = read(config, {})
    assert [each.path for each in found.issues] == ["gateway.tls"] and found.unused == ("channels",)
