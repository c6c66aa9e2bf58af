from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from click.testing import Result

from gateway.cli import status as module
from gateway.cli.status import MAX_WARNINGS
from gateway.errors import NotRunning, TimedOut
from gateway.exits import ExitCode
from gateway.machine import holders
from gateway.machine.holders import Holder
from gateway.report import ConfigReport, Issue, ReloadResult, RestartRecord, Restarts, StatusReport

pytestmark = pytest.mark.process


Invoke = Callable[..., Result]
Report = Callable[..., StatusReport]


@pytest.fixture(autouse=True)
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "holders", lambda address: [])
    monkeypatch.setattr(module, "lingers", lambda user: None)


def test_at_a_glance(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []
    systemd = Holder(12, 0, "root", "/lib/systemd/systemd --user", "init.scope")
    monkeypatch.setattr(holders, "holders", lambda address: asked.append(address) or [systemd])
    monkeypatch.setattr(module, "lingers", lambda user: True)
    manager.says(words.socket_up, words.service_up + "NRestarts=3\n")
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: 1005.0))
    last = RestartRecord(kind="hot", at=1_000_000, reason="config")
    gateway.report = report(restarts=Restarts(hot=2, cold=1, longest_wait_ms=120.4, last=last))
    result = invoke("status")
    assert result.exit_code == 0, result.output
    assert asked == [("127.0.0.1", 18789)]
    for part in (
        "  gateway  ready, version 0.1.0, pid 77, up 1 min, phase running",
        "     port  18789 on 127.0.0.1:18789 and [::1]:18789: systemd (pid 12)",
        "   socket  openclaw-gateway.socket active (listening), enabled",
        "  service  openclaw-gateway.service active (running), enabled, restarted by systemd 3 times",
        "    agent  not running, starts with the next run (openclaw-agent.socket active (listening))\n",
        "  clients  2 WebSockets, 3 connections",
        "2 hot, 1 cold, 0 crashes; longest wait of a client 120 ms; last: hot 5.0 s ago (config)",
        "   linger  on",
    ):
        assert part in result.stdout
    assert manager.calls == []


def test_what_is_wrong_with_the_state_folder_is_said_behind_it(gateway: Any, report: Report, invoke: Invoke) -> None:
    gateway.report = report(degraded=("state",), state_problem="the file system knows no locks")
    assert "    state  /home/u/.openclaw: the file system knows no locks\n" in invoke("status").stdout


@pytest.mark.parametrize(
    ("closed", "line"),
    [
        ({}, "  carried  12 WebSockets, longest silence 41 ms\n"),
        (
            {"unanswered": 2, "gone": 1},
            "  carried  12 WebSockets, longest silence 41 ms; closed: 1 gone, 2 unanswered\n",
        ),
    ],
)
def test_what_became_of_connections_over_restarts(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any, closed: dict[str, int], line: str
) -> None:
    manager.says(words.socket_up, words.service_up)
    gateway.report = report(restarts=Restarts(hot=1, adopted=12, closed=closed, longest_silence_ms=41.4))
    assert line in invoke("status").stdout
    gateway.report = report(restarts=Restarts(hot=1))
    assert "carried" not in invoke("status").stdout


def test_it_starts_nothing_and_says_so_with_its_exit_code(
    invoke: Invoke, manager: Any, gateway: Any, words: Any
) -> None:
    manager.says(words.socket_up, words.service_off)
    result = invoke("status")
    assert result.exit_code == ExitCode.NOT_RUNNING
    assert "not running" in result.stdout
    assert "18789: nobody listens" in result.stdout
    assert "openclaw-gateway doctor" in result.stdout
    assert manager.calls == []


@pytest.mark.parametrize("more", [{"degraded": ("config",)}, {"ready": False, "phase": "leaving"}])
def test_not_healthy(invoke: Invoke, manager: Any, gateway: Any, report: Report, more: Any) -> None:
    gateway.report = report(**more)
    assert invoke("status").exit_code == ExitCode.UNHEALTHY


def test_frozen(invoke: Invoke, manager: Any, gateway: Any) -> None:
    gateway.report = TimedOut("no answer")
    result = invoke("status")
    assert result.exit_code == ExitCode.UNHEALTHY
    assert "does not answer" in result.stdout


def test_a_config_that_asks_in_vain(invoke: Invoke, manager: Any, gateway: Any, report: Report) -> None:
    warnings = tuple(f"w{number}" for number in range(MAX_WARNINGS + 2))
    gateway.report = report(config=ConfigReport("/c", "good", "file", warnings=warnings))
    output = invoke("status").stdout
    assert "- warning: w4\n" in output and "w5" not in output
    assert "- 2 more: openclaw-gateway config check\n" in output


def test_a_config_that_is_not_in_force(invoke: Invoke, manager: Any, gateway: Any, report: Report) -> None:
    reload = ReloadResult(outcome="invalid", message="1 error", at=1)
    config = ConfigReport("/c", "degraded", "last-good", (Issue("wrong", "a.b", "/c", 1, 2),), last_reload=reload)
    gateway.report = report(degraded=("config",), config=config)
    said = invoke("status").stdout
    assert "/c: degraded, so the last good one runs" in said
    assert "- /c:1:2: a.b: wrong" in said
    assert "invalid" in said


def test_a_restart_that_did_not_happen(invoke: Invoke, manager: Any, gateway: Any, report: Report) -> None:
    gateway.report = report()
    assert "did not happen" not in invoke("status").stdout
    gateway.report = report(restart_problem="ImportError: half installed")
    assert "  restart  did not happen: ImportError: half installed\n" in invoke("status").stdout


def test_version_skew(invoke: Invoke, manager: Any, gateway: Any, report: Report) -> None:
    gateway.report = report(version="0.0.9")
    assert "installed is 0.1.0: openclaw-gateway restart" in invoke("status").stdout
    assert msgspec.json.decode(invoke("status", "--json").stdout)["version_skew"] is True


def test_units_that_are_failed_missing_or_out_of_date(invoke: Invoke, manager: Any, gateway: Any, words: Any) -> None:
    failed = "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=trigger-limit-hit\nNeedDaemonReload=yes\n"
    manager.says(failed, words.missing)
    said = invoke("status").stdout
    assert "openclaw-gateway.socket failed (failed), no install state, result trigger-limit-hit" in said
    assert "systemctl --user daemon-reload" in said
    assert "openclaw-gateway.service is not installed: openclaw-gateway install" in said


@pytest.mark.parametrize(
    ("socket", "service", "line"),
    [
        ({}, "UP", "openclaw-agent.service active (running), pid 88, 143 MB"),
        ({}, "no memory", "openclaw-agent.service active (running), pid 4194305\n"),
        (
            {},
            "again",
            "openclaw-agent.service activating (auto-restart), result oom-kill, restarted by",
        ),
        ({"ActiveState": "inactive", "SubState": "dead"}, "OFF", "openclaw-agent.socket inactive (dead), enabled"),
        (None, "OFF", "openclaw-agent.socket is not installed: openclaw-gateway install"),
        ({}, "missing", "openclaw-agent.service is not installed: openclaw-gateway install"),
    ],
)
def test_the_agent(
    invoke: Invoke,
    manager: Any,
    gateway: Any,
    report: Report,
    words: Any,
    socket: dict[str, str] | None,
    service: str,
    line: str,
) -> None:
    up = dict(pair.split("=") for pair in words.agent_socket_up.split())
    again = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nUnitFileState=static\nNRestarts=2\n"
    services = {
        "UP": words.agent_up,
        "no memory": words.agent_up.replace("143400000", "[not set]").replace("=88", "=4194305"),  # no pid is so high
        "again": f"{again}Result=oom-kill\n",
        "OFF": words.agent_off,
        "missing": words.missing,
    }
    manager.says(words.socket_up, words.service_up)
    gateway.report = report()
    told = words.missing if socket is None else "".join(f"{k}={v}\n" for k, v in (up | socket).items())
    manager.says_of_agent(told, services[service])
    assert f"    agent  {line}" in invoke("status").stdout
    assert manager.calls == []


def test_without_a_manager(invoke: Invoke, manager: Any, gateway: Any, report: Report) -> None:
    manager.is_absent()
    gateway.report = report(unit=None, port_owner="self")
    result = invoke("status")
    assert result.exit_code == 0
    assert "no systemd user manager answers here" in result.stdout


def test_json_has_everything(invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any) -> None:
    manager.says(words.socket_up, words.service_up)
    manager.says_of_agent(words.agent_socket_up, words.agent_up)
    gateway.report = report()
    view = msgspec.json.decode(invoke("status", "--json").stdout)
    assert view["verdict"] == "ok"
    assert view["gateway"]["pid"] == 77
    assert view["units"]["socket"]["listen"][0] == {"host": "127.0.0.1", "port": 18789}
    assert view["units"]["agent_socket"]["active"] == "active"
    assert (view["units"]["agent_service"]["main_pid"], view["units"]["agent_service"]["memory"]) == (88, 143_400_000)


def test_who_has_the_port_of_a_gateway_that_is_down(
    invoke: Invoke, manager: Any, gateway: Any, words: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.report = NotRunning("no")
    manager.says(words.socket_off, words.service_off)
    others = [Holder(9, 4_000_000_000, "bob", "nc -l", None), Holder(None, 5, "eve", "", None)]
    monkeypatch.setattr(holders, "holders", lambda address: others)
    assert "18789: pid 9 of user bob (nc -l), a process of user eve" in invoke("status").stdout


def test_without_units_it_looks_where_the_config_says(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_GATEWAY_PORT", "28920")
    stranger = Holder(None, 2001, "ann", "", None)
    monkeypatch.setattr(holders, "holders", lambda address: [stranger])
    assert "     port  28920: a process of user ann\n" in invoke("status").stdout
