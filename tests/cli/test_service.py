from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from click.testing import Result

from gateway.errors import GatewayError, NotRunning, TimedOut
from gateway.exits import ExitCode
from gateway.machine import holders
from gateway.report import Change, Issue, ReloadResult, RestartRecord, Restarts, RestartTicket, StatusReport
from gateway.units import AGENT_SERVICE, AGENT_SOCKET, SERVICE, SOCKET, UNITS

Invoke = Callable[..., Result]
Report = Callable[..., StatusReport]


@pytest.mark.process
def test_start_starts_the_gateway_and_waits(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any
) -> None:
    manager.says(words.socket_off, words.service_off)
    gateway.report = report()
    result = invoke("start")
    assert result.exit_code == 0, result.output
    assert manager.calls == [f"start {SOCKET} {SERVICE}"]
    assert "ready on 127.0.0.1:18789 and [::1]:18789 (pid 77)" in result.stdout
    assert result.stderr == ""


@pytest.mark.process
def test_start_says_that_the_config_is_not_in_force(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any
) -> None:
    manager.says(words.socket_off, words.service_off)
    gateway.report = report(degraded=("config",))
    assert "config check" in invoke("start").stderr


@pytest.mark.process
def test_start_that_systemd_refuses(
    invoke: Invoke, manager: Any, gateway: Any, words: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holders, "holders", lambda address: [])
    manager.says(words.socket_off, words.service_off)
    manager.refuses("start", "Job failed: resources")
    result = invoke("start")
    assert result.exit_code == ExitCode.FAILURE
    assert "Job failed: resources" in result.stderr


@pytest.mark.process
@pytest.mark.parametrize("command", ["start", "stop"])
def test_without_units_or_manager_it_says_what_to_do(invoke: Invoke, manager: Any, gateway: Any, command: str) -> None:
    result = invoke(command)
    assert result.exit_code == ExitCode.NOT_RUNNING
    assert "openclaw-gateway install --now" in result.stderr
    manager.is_absent()
    result = invoke(command)
    assert result.exit_code == ExitCode.FAILURE
    assert "openclaw-gateway run" in result.stderr


@pytest.mark.process
def test_stop_stops_all_the_gateway_first(invoke: Invoke, manager: Any, gateway: Any, words: Any) -> None:
    manager.says(words.socket_up, words.service_up)
    result = invoke("stop")
    assert manager.calls == [f"stop {SERVICE} {SOCKET}", f"stop {AGENT_SERVICE} {AGENT_SOCKET}"]
    assert "the port is closed" in result.stdout
    assert msgspec.json.decode(invoke("stop", "--json").stdout) == {"stopped": list(UNITS)}


@pytest.mark.process
def test_stop_where_no_agent_is_installed(invoke: Invoke, manager: Any, gateway: Any, words: Any) -> None:
    manager.says(words.socket_up, words.service_up)
    manager.says_of_agent(words.missing, words.missing)
    assert invoke("stop").exit_code == 0
    assert manager.calls == [f"stop {SERVICE} {SOCKET}"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("load", "active", "said"),
    [("loaded", "failed", "is failed"), ("masked", "inactive", "is masked"), ("not-found", "inactive", "is not-found")],
)
def test_start_serves_without_an_agent_and_says_so(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any, load: str, active: str, said: str
) -> None:
    manager.says(words.socket_off, words.service_off)
    manager.says_of_agent(f"LoadState={load}\nActiveState={active}\nSubState=dead\n", words.agent_off)
    gateway.report = report()
    result = invoke("start")
    assert result.exit_code == 0
    assert "ready on " in result.stdout
    assert result.stderr == f"note: {AGENT_SOCKET} {said}, so no model can be asked: openclaw-gateway doctor\n"


def test_stop_does_not_pretend_to_stop_what_was_started_by_hand(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any
) -> None:
    manager.says(words.socket_up, words.service_off)
    gateway.report = report(unit="session-1.scope")
    result = invoke("stop")
    assert result.exit_code == ExitCode.FAILURE
    assert "to stop it: kill 77" in result.stderr
    assert manager.calls == []


def restarted(report: Report, queued: int, adopted: int = 0, **closed: int) -> StatusReport:
    last = RestartRecord(
        kind="hot", at=1, gap_ms=120.4, queued=queued, longest_wait_ms=98.6, adopted=adopted, closed=closed
    )
    return report(boot_id="two", restarts=Restarts(hot=1, longest_wait_ms=98.6, last=last))


@pytest.mark.parametrize(
    ("queued", "story"),
    [
        (0, "nobody was served for 120 ms; no connection had to wait"),
        (1, "1 connection waited, the longest 99 ms"),
        (3, "3 connections waited, the longest 99 ms"),
    ],
)
def test_restart_tells_how_long_clients_waited(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, queued: int, story: str
) -> None:
    gateway.report, gateway.next = report(), restarted(report, queued)
    result = invoke("restart", "--reason", "new broom")
    assert result.exit_code == 0
    assert gateway.asked == [("restart", "new broom"), ("wait", "one")]
    assert result.stdout.startswith("hot restart, ready after ")
    assert story in result.stdout
    assert manager.calls == []


@pytest.mark.parametrize(
    ("adopted", "closed", "story"),
    [
        (7, {}, "for 120 ms; 7 of 7 WebSockets went on; no connection had to wait"),
        (7, {"auth": 1, "gone": 2}, "for 120 ms; 7 of 10 WebSockets went on; no connection had to wait"),
        (0, {"unreadable": 3}, "0 of 3 WebSockets went on"),
    ],
)
def test_restart_tells_how_many_went_on(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, adopted: int, closed: dict[str, int], story: str
) -> None:
    gateway.report, gateway.next = report(), restarted(report, 0, adopted, **closed)
    assert story in invoke("restart").stdout


def test_a_restart_that_does_not_happen_fails_with_the_reason(invoke: Invoke, gateway: Any, report: Report) -> None:
    gateway.report, gateway.next = report(), GatewayError("the restart did not happen: half installed")
    result = invoke("restart")
    assert result.exit_code == ExitCode.FAILURE
    assert result.stderr == "error: the restart did not happen: half installed\n"
    assert gateway.is_asked
    gateway.reload = ReloadResult(outcome="restart", message="needs a restart")
    gateway.is_asked = None
    result = invoke("reload")
    assert (result.exit_code, gateway.is_asked) == (ExitCode.FAILURE, True)
    assert "half installed" in result.stderr


def test_a_gateway_that_leaves_anyway_was_not_asked(invoke: Invoke, gateway: Any, report: Report) -> None:
    gateway.restart, gateway.next = RestartTicket(state="leaving", boot_id="one"), restarted(report, 0)
    assert invoke("restart").exit_code == 0
    assert gateway.is_asked is False


def test_restart_as_json(invoke: Invoke, gateway: Any, report: Report) -> None:
    gateway.report, gateway.next = report(), restarted(report, 0)
    assert msgspec.json.decode(invoke("restart", "--json").stdout, type=StatusReport) == gateway.next


@pytest.mark.process
def test_a_cold_restart_goes_through_systemd(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any
) -> None:
    manager.says(words.socket_up, words.service_up)
    gateway.report, gateway.next = report(), restarted(report, 0)
    assert invoke("restart", "--cold").exit_code == 0
    assert gateway.is_asked is False
    assert manager.calls == [f"--no-block restart {SERVICE}"]
    assert gateway.asked == [("wait", "one")]


@pytest.mark.process
@pytest.mark.parametrize("error", [NotRunning("nobody"), TimedOut("frozen")])
def test_a_gateway_that_does_not_answer_is_restarted_by_systemd(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any, error: Exception
) -> None:
    manager.says(words.socket_up, words.service_up)
    gateway.restart, gateway.next = error, restarted(report, 0)
    result = invoke("restart")
    assert result.exit_code == 0
    assert "restarting it through systemd" in result.stderr
    assert gateway.asked[-1] == ("wait", None)


@pytest.mark.process
def test_from_inside_the_unit_a_cold_restart_does_not_wait_for_its_own_end(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holders, "unit", lambda pid: SERVICE)
    manager.says(words.socket_up, words.service_up)
    gateway.report = report()
    result = invoke("restart", "--cold")
    assert result.exit_code == 0
    assert "restart queued" in result.stderr
    assert gateway.asked == []


def test_a_restart_that_does_not_come_in_time(invoke: Invoke, gateway: Any, report: Report) -> None:
    gateway.report, gateway.next = report(), TimedOut("pid 77 is deferred")
    result = invoke("restart", "--timeout", "1")
    assert result.exit_code == ExitCode.TIMEOUT
    assert "pid 77 is deferred; a restart that was asked for still happens" in result.stderr


def test_reload_lists_what_changed(invoke: Invoke, gateway: Any, report: Report) -> None:
    gateway.report = report()
    changes = (Change("logging.level", "hot", "logging"), Change("gateway.port", "unit"))
    gateway.reload = ReloadResult(outcome="hot", message="applied", changes=changes, warnings=("w1",))
    result = invoke("reload")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:3] == ["applied", "  logging.level: hot (logging)", "  gateway.port: unit"]
    assert "openclaw-gateway install" in result.stdout
    assert "warning: w1" in result.stderr


def test_reload_of_a_file_with_errors_lists_all_of_them(invoke: Invoke, gateway: Any, report: Report) -> None:
    gateway.report = report()
    issues = (Issue("not a number", "gateway.port", "/c", 3, 4), Issue("unknown key", "gateway.prot", "/c", 5, 2))
    gateway.reload = ReloadResult(outcome="invalid", message="2 errors", issues=issues)
    result = invoke("reload")
    assert result.exit_code == ExitCode.CONFIG_INVALID
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: 2 errors",
        "  /c:3:4: gateway.port: not a number",
        "  /c:5:2: gateway.prot: unknown key",
    ]


def test_reload_as_json_keeps_the_exit_code(invoke: Invoke, gateway: Any, report: Report) -> None:
    gateway.report = report()
    gateway.reload = ReloadResult(outcome="failed", message="no")
    result = invoke("reload", "--json")
    assert result.exit_code == ExitCode.FAILURE
    assert msgspec.json.decode(result.stdout, type=ReloadResult) == gateway.reload


def test_reload_waits_for_the_restart_that_it_causes(invoke: Invoke, gateway: Any, report: Report) -> None:
    gateway.report, gateway.next = report(), report(boot_id="two", pid=78)
    gateway.reload = ReloadResult(outcome="restart", message="needs a restart")
    result = invoke("reload")
    assert result.exit_code == 0
    assert gateway.asked == [("wait", "one")]
    assert "the new process is ready (pid 78)" in result.stderr


def test_a_deferred_restart_is_no_failed_reload(invoke: Invoke, gateway: Any, report: Report) -> None:
    gateway.report, gateway.next = report(phase="deferred"), TimedOut("still there")
    gateway.reload = ReloadResult(outcome="restart", message="needs a restart")
    result = invoke("reload")
    assert result.exit_code == 0
    assert "waits for an idle moment" in result.stderr


def test_a_restart_that_fails_to_come_is_a_failed_reload(invoke: Invoke, gateway: Any, report: Report) -> None:
    gateway.report, gateway.next = report(), TimedOut("still there")
    gateway.reload = ReloadResult(outcome="restart", message="needs a restart")
    assert invoke("reload").exit_code == ExitCode.TIMEOUT


def test_reload_without_a_gateway(invoke: Invoke, gateway: Any) -> None:
    gateway.reload = NotRunning("no gateway answers")
    assert invoke("reload").exit_code == ExitCode.NOT_RUNNING
