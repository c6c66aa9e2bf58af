from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from click.testing import Result

from gateway.cli import doctor as module
from gateway.doctor.finding import Finding
from gateway.exits import ExitCode

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
