import hashlib
from pathlib import Path
from typing import Any

import pytest

from gateway.config import files
from gateway.config.fingerprint import fingerprint
from gateway.protocol.scopes import ADMIN
from tests.fakes.core import PATHS, FakeCore
from tests.rpc.calls import call, make_peer


def get(tmp_path: Path, text: str | None, protocol: int = 3, **included: str) -> dict[str, Any]:
    path = tmp_path / "openclaw.json"
    if text is not None:
        path.write_text(text)
        path.chmod(0o600)
    for name, content in included.items():
        (tmp_path / f"{name}.json").write_text(content)
    core = FakeCore(snapshot=files.read(path, {"OWN": "s3cret"}, tmp_path))
    payload: dict[str, Any] = call(core, make_peer(protocol, ADMIN), "config.get")["payload"]
    return payload


def test_a_config_without_secrets_is_shown_as_it_is(tmp_path: Path) -> None:
    text = "{gateway: {port: 18800}, /* mine */ agents: {x: 1}}"
    payload = get(tmp_path, text)
    assert payload["raw"] == text
    assert payload["parsed"] == {"gateway": {"port": 18800}, "agents": {"x": 1}}
    assert payload["hash"] == fingerprint(PATHS.state, hashlib.sha256(text.encode()).hexdigest())
    assert (payload["exists"], payload["valid"], payload["issues"]) == (True, True, [])
    assert payload["config"] == payload["parsed"], "a client writes it back: nothing is in it that nobody wrote"
    assert "sourceConfig" not in payload


def test_secrets_are_redacted_everywhere(tmp_path: Path) -> None:
    text = '{gateway: {auth: {token: "t0k-t0k"}}, env: {vars: {A: "b-b-b"}}, x: {apiKey: "${OWN}"}}'
    payload = get(tmp_path, text, protocol=4)
    assert payload["raw"] is None
    assert payload["parsed"]["gateway"]["auth"]["token"] == "__OPENCLAW_REDACTED__"
    assert payload["config"]["x"]["apiKey"] == "${OWN}"
    everything = str(payload)
    assert not any(secret in everything for secret in ("t0k-t0k", "b-b-b", "s3cret"))
    assert payload["sourceConfig"]["gateway"]["auth"] == {"token": "__OPENCLAW_REDACTED__"}
    assert payload["hash"] == fingerprint(PATHS.state, hashlib.sha256(text.encode()).hexdigest())


def test_a_file_that_cannot_be_parsed_may_hold_a_secret(tmp_path: Path) -> None:
    payload = get(tmp_path, '{gateway: {auth: {token: "t0k-t0k"}},,}')
    assert (payload["raw"], payload["parsed"], payload["valid"]) == (None, {}, False)
    assert payload["issues"] and "t0k-t0k" not in str(payload)


def test_no_file(tmp_path: Path) -> None:
    payload = get(tmp_path, None)
    assert (payload["exists"], payload["raw"], payload["parsed"], payload["valid"]) == (False, None, {}, True)
    assert payload["hash"] == fingerprint(PATHS.state, hashlib.sha256(b"").hexdigest())


def test_faults_are_listed(tmp_path: Path) -> None:
    payload = get(tmp_path, "{gateway: {port: 0}}")
    assert payload["valid"] is False
    assert [each["path"] for each in payload["issues"]] == ["gateway.port"]


def test_included_files_are_named(tmp_path: Path) -> None:
    payload = get(tmp_path, '{"$include": "./more.json"}', protocol=4, more='{"token": "t0k-t0k"}')
    assert payload["raw"] == '{"$include": "./more.json"}'
    assert [Path(file).name for file in payload["includedPaths"]].count("more.json") == 1
    assert "t0k-t0k" not in str(payload)


@pytest.mark.parametrize("protocol", [3, 4])
def test_reading_needs_the_scope(protocol: int) -> None:
    error = call(FakeCore(), make_peer(protocol, "operator.pairing"), "config.get")["error"]
    assert error["message"] == "missing scope: operator.read"
