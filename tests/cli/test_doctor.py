import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result

from gateway.cli import doctor as module
from gateway.doctor import evidence
from gateway.doctor.finding import Finding
from gateway.doctor.security import SECURITY, Risk
from gateway.exits import ExitCode
from gateway.machine import holders
from gateway.units import installation
from gateway.units.addresses import resolve

Invoke = Callable[..., Result]


@pytest.fixture
def findings(home: Any, monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    found: list[Finding] = []
    monkeypatch.setattr(module, "gather", lambda env: None)
    monkeypatch.setattr(module, "examine", lambda evidence: found)
    return found


def test_nothing_to_mend(invoke: Invoke, findings: list[Finding]) -> None:
    result = invoke("doctor")
    assert result.exit_code == 0
    assert result.stdout.startswith("nothing to mend (")


def test_a_problem_with_its_remedy(invoke: Invoke, findings: list[Finding]) -> None:
    findings.append(Finding("problem", "the port is closed", "because", "openclaw-gateway start"))
    result = invoke("doctor")
    assert result.exit_code == ExitCode.UNHEALTHY
    assert result.stdout == "problem: the port is closed\n    because\n    → openclaw-gateway start\n"
    assert msgspec.json.decode(invoke("doctor", "--json").stdout, type=list[Finding]) == findings


def test_a_note_needs_no_mending(invoke: Invoke, findings: list[Finding]) -> None:
    findings.append(Finding("note", "good to know"))
    result = invoke("doctor")
    assert result.exit_code == 0
    assert "note: good to know" in result.stdout


@pytest.mark.process
def test_for_real_it_changes_nothing(invoke: Invoke, manager: Any, gateway: Any, home: Any) -> None:
    result = invoke("doctor")
    assert result.exit_code == ExitCode.UNHEALTHY
    assert "openclaw-gateway install --now" in result.stdout
    assert manager.calls == []
    assert list(home.iterdir()) == []


RECKLESS = """{gateway: {bind: "lan", auth: {token: "hunter22"}, trustedProxies: ["0.0.0.0/0"],
  controlUi: {allowedOrigins: ["*"], dangerouslyDisableDeviceAuth: true, allowInsecureAuth: true}}}"""
PROXIED = """{gateway: {trustedProxies: ["10.0.0.1"], auth: {mode: "trusted-proxy", password: "%s", trustedProxy:
  {userHeader: "x-user", allowUsers: ["you@example.com"]}}}}"""
TOKEN = "{gateway: {auth: {token: '%s'}}}"


@pytest.mark.process
@pytest.mark.parametrize(
    ("setup", "text", "bind", "ids"),
    [
        ("loopback", TOKEN % ("x" * 48), "loopback", []),
        ("lan", TOKEN % ("x" * 48), "lan", ["in-clear"]),
        ("proxied", PROXIED % ("x" * 48), "10.0.0.7", ["in-clear"]),
        ("mode none", "{gateway: {auth: {mode: 'none'}}}", "loopback", ["no-auth"]),
        ("mode none in a lan", "{gateway: {auth: {mode: 'none'}}}", "lan", ["no-auth", "unknown-config", "in-clear"]),
        (
            "reckless",
            RECKLESS,
            "lan",
            [
                *("weak-secret", "no-device", "page-without-device", "wide-proxies", "writable-files", "any-origin"),
                *("in-clear", "readable-secret"),
            ],
        ),
    ],
)
def test_security_of_six_set_ups(
    setup: str, text: str, bind: str, ids: list[str], invoke: Invoke, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "public_addresses", lambda: [])
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(holders, "holders", lambda address: [])
    path = home / ".openclaw/openclaw.json"
    path.parent.mkdir(mode=0o700)
    path.write_text(text)
    path.chmod(0o666 if setup == "reckless" else 0o600)
    installation.plan({"HOME": str(home)}, resolve(bind, 18789)).apply()
    result = invoke("doctor", "--security")
    assert re.findall(r"\[([a-z-]+)\]$", result.stdout, re.MULTILINE) == ids, result.output
    assert result.exit_code == (ExitCode.UNHEALTHY if ids else ExitCode.OK)
    if not ids:
        assert result.stdout == f"nothing to mend ({len(SECURITY)} checks)\n"
    found = msgspec.json.decode(invoke("doctor", "--security", "--json").stdout, type=list[Risk])
    assert [risk.id for risk in found] == ids
    assert all(risk.remedy for risk in found)
