import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gateway.cli import install as module
from gateway.cli.activation import RETIRE
from gateway.exits import ExitCode
from gateway.report import StatusReport
from gateway.units import AGENT_SERVICE, AGENT_SOCKET, ENABLED, MARK, SERVICE, SOCKET, rivals
from gateway.units.syntax import environment

pytestmark = pytest.mark.process


Invoke = Callable[..., Result]
Report = Callable[..., StatusReport]

OPENCLAW = """\
[Service]
ExecStart=/usr/bin/node /opt/openclaw/dist/index.js gateway --port 18801
Environment=OPENCLAW_STATE_DIR={state} OPENCLAW_GATEWAY_TOKEN=s3cret
"""


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """A machine with nobody else's units, where lingering is on."""
    monkeypatch.setattr(rivals, "system_units", lambda: [])
    monkeypatch.setattr(module, "lingers", lambda user: True)
    (home / "bin").mkdir()
    for script in ("openclaw-gateway", "openclaw-agent"):
        (home / "bin" / script).touch()
    monkeypatch.setattr(sys, "executable", str(home / "bin/python3"))


@pytest.fixture
def folder(home: Path) -> Path:
    return home / ".config/systemd/user"


def listening(*addresses: str) -> str:
    lines = "".join(f"Listen={address} (Stream)\n" for address in addresses)
    return f"LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n{lines}"


def test_the_first_time(invoke: Invoke, manager: Any, folder: Path, words: Any) -> None:
    manager.says(words.socket_off, words.service_off, after="daemon-reload")
    result = invoke("install")
    assert result.exit_code == 0, result.output
    assert (folder / SOCKET).read_text().startswith(MARK)
    assert "bin/openclaw-gateway run" in (folder / SERVICE).read_text()
    assert "bin/openclaw-agent\n" in (folder / AGENT_SERVICE).read_text()
    assert manager.calls == ["daemon-reload", f"enable {' '.join(ENABLED)}"]
    assert f"write: {folder / SOCKET}" in result.stdout
    assert f"write: {folder / AGENT_SOCKET}" in result.stdout
    assert f"enabled: {SOCKET}, {SERVICE} and {AGENT_SOCKET}\n" in result.stdout


def test_the_second_time_changes_nothing(invoke: Invoke, manager: Any, folder: Path, words: Any) -> None:
    invoke("install")
    manager.says(words.socket_up, words.service_up)
    before = len(manager.calls)
    result = invoke("install")
    assert result.stdout == "already installed, nothing to change\n"
    assert len(manager.calls) == before


def test_now_starts_it(invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any) -> None:
    manager.says(words.socket_off, words.service_off, after="daemon-reload")
    gateway.report = report()
    result = invoke("install", "--now")
    assert manager.calls[-1] == f"start {SOCKET} {SERVICE}"
    assert "started: ready on 127.0.0.1:18789" in result.stdout


def test_now_restarts_what_runs_when_its_unit_changed_and_only_then(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any
) -> None:
    manager.says(words.socket_up, words.service_up)
    gateway.report = report()
    assert "restarted: ready" in invoke("install", "--now").stdout
    assert manager.calls[-1] == f"restart {SERVICE}"
    assert invoke("install", "--now").stdout == "already installed, nothing to change\n"
    assert manager.calls[-1] == f"restart {SERVICE}"


def test_without_now_a_running_gateway_is_left_alone(invoke: Invoke, manager: Any, words: Any) -> None:
    manager.says(words.socket_up, words.service_up)
    assert "restart --cold" in invoke("install").stdout
    assert manager.calls == ["daemon-reload"]


def test_a_version_with_an_agent_after_one_without(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any, folder: Path
) -> None:
    manager.says(words.socket_up, words.service_up)
    gateway.report = report()
    invoke("install", "--now")
    (folder / AGENT_SOCKET).unlink()
    manager.says_of_agent(words.missing, words.missing)
    manager.says_of_agent(words.agent_socket_up.replace("enabled", "disabled"), words.agent_off, after="daemon-reload")
    done = len(manager.calls)
    result = invoke("install", "--now")
    assert manager.calls[done:] == ["daemon-reload", f"enable {' '.join(ENABLED)}"]
    assert "restart" not in result.stdout


def test_a_running_gateway_of_a_version_without_an_agent_is_given_the_agents_socket(
    invoke: Invoke, manager: Any, words: Any
) -> None:
    manager.says(words.socket_up, words.service_up)
    manager.says_of_agent(words.agent_socket_up.replace("active", "inactive"), words.agent_off)
    result = invoke("install")
    assert manager.calls == ["daemon-reload", f"start {AGENT_SOCKET}"]
    assert f"restart --cold\nstarted: {AGENT_SOCKET}\n" in result.stdout


def test_now_starts_an_agents_socket_that_is_stopped(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any
) -> None:
    invoke("install")
    manager.says(words.socket_up, words.service_up)
    manager.says_of_agent(words.agent_socket_up.replace("active", "inactive"), words.agent_off)
    gateway.report = report()
    invoke("install", "--now")
    assert manager.calls[-1] == f"start {SOCKET} {SERVICE}"


@pytest.mark.parametrize("now", [[], ["--now"]])
def test_an_agent_that_runs_is_asked_to_leave_for_another_unit_and_the_gateway_is_not_disturbed(
    invoke: Invoke, manager: Any, gateway: Any, report: Report, words: Any, folder: Path, now: list[str]
) -> None:
    manager.says(words.socket_up, words.service_up)
    gateway.report = report()
    invoke("install", "--now")
    (folder / AGENT_SERVICE).write_text(f"{MARK}, of an older version\n")
    done = len(manager.calls)
    assert "agent" not in invoke("install", *now).stdout.replace(str(folder / AGENT_SERVICE), "")
    assert manager.calls[done:] == ["daemon-reload"]

    manager.says_of_agent(words.agent_socket_up, words.agent_up)
    (folder / AGENT_SERVICE).write_text(f"{MARK}, of an older version\n")
    done = len(manager.calls)
    result = invoke("install", *now)
    assert manager.calls[done:] == ["daemon-reload", f"kill --kill-whom=main --signal={RETIRE} {AGENT_SERVICE}"]
    assert "the running agent leaves when none of its runs is on" in result.stdout


def test_another_port_moves_the_socket(invoke: Invoke, manager: Any, folder: Path, words: Any) -> None:
    manager.says(words.socket_up, words.service_up)
    invoke("install")
    manager.says(listening("127.0.0.1:19000", "[::1]:19000"), words.service_up, after="daemon-reload")
    result = invoke("install", "--port", "19000")
    assert manager.calls[-2:] == [f"stop {SERVICE} {SOCKET}", f"start {SOCKET} {SERVICE}"]
    assert "moved: the port was closed and opened again on 127.0.0.1:19000, [::1]:19000" in result.stdout
    text = (folder / f"{SOCKET}.d/10-listen.conf").read_text()
    assert text.splitlines()[2:] == ["ListenStream=", "ListenStream=127.0.0.1:19000", "ListenStream=[::1]:19000"]


def test_a_drop_in_of_the_user_wins_and_is_named(invoke: Invoke, manager: Any, folder: Path, words: Any) -> None:
    theirs = folder / f"{SOCKET}.d/override.conf"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("[Socket]\nListenStream=\nListenStream=127.0.0.1:5\n")
    manager.says(listening("127.0.0.1:5"), words.service_up)
    result = invoke("install")
    assert "a drop-in of yours makes it listen on 127.0.0.1:5 instead" in result.stdout
    assert f"your drop-in stays in force: {theirs}" in result.stdout
    assert theirs.read_text().endswith("ListenStream=127.0.0.1:5\n")


def test_a_drop_in_that_replaces_the_command_is_pointed_out(
    invoke: Invoke, manager: Any, folder: Path, words: Any
) -> None:
    theirs = folder / f"{SERVICE}.d/override.conf"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("[Service]\nExecStart=\nExecStart=/usr/bin/node x\n")
    manager.says(words.socket_up, words.service_up)
    assert f"your drop-in stays in force: {theirs}; it replaces the command of {SERVICE}" in invoke("install").stdout


def test_openclaws_unit_is_refused_and_then_taken_over(
    invoke: Invoke, manager: Any, folder: Path, home: Path, words: Any
) -> None:
    folder.mkdir(parents=True)
    (folder / SERVICE).write_text(OPENCLAW.format(state=home / "claw"))
    result = invoke("install")
    assert result.exit_code == ExitCode.UNIT_CONFLICT
    assert "install --take-over" in result.stderr
    assert not (folder / SOCKET).exists()

    manager.says(words.socket_off, words.service_off, after="daemon-reload")
    result = invoke("install", "--take-over")
    assert result.exit_code == 0, result.output
    assert manager.calls[0] == f"stop {SERVICE}"
    (backup,) = folder.glob("*.openclaw-backup-*")
    assert "s3cret" in backup.read_text()
    ours = (folder / SERVICE).read_text()
    assert environment(ours)["OPENCLAW_STATE_DIR"] == str(home / "claw")
    assert "s3cret" not in ours + result.output
    assert "not carried over: OPENCLAW_GATEWAY_TOKEN" in result.stdout
    assert "ListenStream=127.0.0.1:18801" in (folder / f"{SOCKET}.d/10-listen.conf").read_text()


def test_a_directory_in_the_place_of_a_unit_stops_it_before_anything_is_moved(
    invoke: Invoke, manager: Any, folder: Path, home: Path
) -> None:
    (folder / SOCKET).mkdir(parents=True)
    theirs = OPENCLAW.format(state=home / "claw")
    (folder / SERVICE).write_text(theirs)
    result = invoke("install", "--take-over")
    assert result.exit_code == ExitCode.FAILURE
    assert result.stderr.startswith(f"error: {folder / SOCKET} is a directory, and a unit file must go there")
    assert (folder / SERVICE).read_text() == theirs
    assert manager.calls == []


def test_a_hand_written_unit_is_refused_too(invoke: Invoke, manager: Any, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / SOCKET).write_text("[Socket]\nListenStream=1\n")
    result = invoke("install")
    assert result.exit_code == ExitCode.UNIT_CONFLICT
    assert "not written by this program" in result.stderr


def test_a_system_unit(invoke: Invoke, manager: Any, monkeypatch: pytest.MonkeyPatch, words: Any) -> None:
    manager.says(words.socket_up, words.service_up)
    path = Path("/etc/systemd/system") / SERVICE
    monkeypatch.setattr(rivals, "system_units", lambda: [rivals.SystemUnit(path, enabled=True)])
    result = invoke("install")
    assert result.exit_code == ExitCode.UNIT_CONFLICT
    assert f"sudo systemctl disable --now {SOCKET} {SERVICE}" in result.stderr
    monkeypatch.setattr(rivals, "system_units", lambda: [rivals.SystemUnit(path, enabled=False)])
    result = invoke("install")
    assert result.exit_code == 0
    assert "is not enabled" in result.stdout


def test_without_a_manager_the_files_wait_for_one(invoke: Invoke, manager: Any, folder: Path) -> None:
    manager.is_absent()
    result = invoke("install")
    assert result.exit_code == 0
    assert (folder / SOCKET).exists()
    assert "no systemd user manager answers here" in result.stdout
    assert invoke("install", "--now").exit_code == ExitCode.FAILURE


@pytest.mark.parametrize(
    ("reason", "said"), [(None, "lingering enabled for "), ("Access denied", "sudo loginctl enable-linger ")]
)
def test_lingering_never_fails_the_installation(
    invoke: Invoke, manager: Any, monkeypatch: pytest.MonkeyPatch, words: Any, reason: str | None, said: str
) -> None:
    manager.says(words.socket_up, words.service_up)
    monkeypatch.setattr(module, "lingers", lambda user: False)
    monkeypatch.setattr(module, "enable_linger", lambda env, user: reason)
    result = invoke("install")
    assert result.exit_code == 0
    assert said in result.stdout
    assert reason is None or reason in result.stdout


def test_uninstall_leaves_what_is_the_users(invoke: Invoke, manager: Any, folder: Path, home: Path, words: Any) -> None:
    config = home / ".openclaw/openclaw.json"
    config.parent.mkdir()
    config.write_text("{}")
    theirs = folder / f"{SOCKET}.d/override.conf"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("[Socket]\n")
    backup = folder / f"{SERVICE}.openclaw-backup-20260101-000000"
    backup.touch()
    manager.says(words.socket_up, words.service_up)
    invoke("install", "--port", "19000")
    done = len(manager.calls)
    result = invoke("uninstall")
    assert result.exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == [backup.name, f"{SOCKET}.d"]
    assert list(theirs.parent.iterdir()) == [theirs]
    assert config.exists()
    assert manager.calls[done:] == [
        f"stop {SERVICE} {SOCKET}",
        f"stop {AGENT_SERVICE} {AGENT_SOCKET}",
        f"disable {SERVICE} {SOCKET} {AGENT_SOCKET}",
        "daemon-reload",
        f"reset-failed {SERVICE} {SOCKET} {AGENT_SERVICE} {AGENT_SOCKET}",
    ]
    assert f"mv {backup} {folder / SERVICE}" in result.stdout
    assert "config and state are left as they are" in result.stdout


def test_uninstall_where_nothing_is_ours(invoke: Invoke, manager: Any, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / SERVICE).write_text("[Service]\n")
    result = invoke("uninstall")
    assert "nothing of ours" in result.stdout
    assert (folder / SERVICE).exists()
    assert manager.calls == []
