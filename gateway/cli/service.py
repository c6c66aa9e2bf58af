"""`start`, `stop`, `restart`, `reload`.

`restart` and `reload` use the control socket, because only the gateway knows when it is idle and how long clients
waited. systemd is used if the gateway does not answer, or for a cold start.
"""

import os
import time

import click

from gateway.cli import activation
from gateway.client.control import READY_LIMIT, Control
from gateway.errors import GatewayError, NotRunning, TimedOut
from gateway.exits import ExitCode
from gateway.machine import holders
from gateway.report import ReloadResult, StatusReport
from gateway.terminal.spinner import Spinner
from gateway.terminal.writer import print_error, print_json, print_line
from gateway.units import SERVICE, SOCKET, UNITS, state
from gateway.units.installation import service_environment
from gateway.units.systemctl import NoManager, Systemctl

RESTART_TIMEOUT = 60.0
RELOAD_TIMEOUT = 60.0
"""Seconds; below the unit's TimeoutStartSec, which also bounds ExecReload."""

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.command()
@_json
def start(as_json: bool) -> None:
    """Open the port and start the gateway.

    Starts the socket unit and the service, and returns when the gateway serves.
    """
    systemctl, _ = _manager()
    with Spinner("starting"):
        activation.start(systemctl, SOCKET, SERVICE)
        report = _control().wait_for_boot(None, READY_LIMIT)
    _tell_ready(report, f"ready on {' and '.join(report.listeners)} (pid {report.pid})", as_json)


@click.command()
@_json
def stop(as_json: bool) -> None:
    """Stop the gateway and the agent, and close the port.

    Stops the sockets too: with one of them open, the next connection would start its service again. They come back at
    the next login or boot, or with `openclaw-gateway start`. Runs that are on end.
    """
    _refuse_foreign_process()
    systemctl, states = _manager()
    names = [name for name in UNITS if name in {unit.name for unit in states.all if unit.load != "not-found"}]
    with Spinner("stopping"):
        activation.stop(systemctl, names)
    if as_json:
        print_json({"stopped": names})
        return
    print_line(f"stopped {', '.join(names)}: the port is closed. Start again: openclaw-gateway start")


def _refuse_foreign_process() -> None:
    """Refuse to stop a gateway that systemd did not start: systemd would report success."""
    try:
        report = _control().status()
    except GatewayError:
        return
    if report.unit != SERVICE:
        raise GatewayError(f"the gateway that answers was not started by systemd; to stop it: kill {report.pid}")


def _control() -> Control:
    return Control.from_env(service_environment(os.environ))


def _manager() -> tuple[Systemctl, state.UnitStates]:
    """The user manager and the states of the gateway's units. Raises NoManager, and NotRunning without units."""
    systemctl = Systemctl(os.environ)
    try:
        states = state.read(systemctl)
    except NoManager as error:
        raise NoManager(f"{error}. Without systemd: openclaw-gateway run, and Ctrl-C to stop it") from None
    if "not-found" in (states.socket.load, states.service.load):
        raise NotRunning("the units are not installed: openclaw-gateway install --now")
    return systemctl, states


@click.command()
@click.option("--cold", is_flag=True, help="Let systemd start a new process, instead of the gateway replacing itself.")
@click.option("--timeout", default=RESTART_TIMEOUT, show_default=True, metavar="SECONDS", help="How long to wait.")
@click.option("--reason", default="requested by command", help="For the log and the clients' `shutdown` event.")
@_json
def restart(cold: bool, timeout: float, reason: str, as_json: bool) -> None:
    """Restart without a client noticing.

    The gateway replaces itself when it is idle, and this returns when the new one is ready, saying how long clients
    waited. One that does not answer is restarted by systemd. Safe to call from inside the gateway.
    """
    control = _control()
    before = _boot_id(control) if cold else None
    asked = False
    if not cold:
        try:
            ticket = control.restart(reason)
            before, asked = ticket.boot_id, ticket.state != "leaving"
        except (NotRunning, TimedOut) as error:
            print_line(f"{error}; restarting it through systemd", err=True)
            cold = True
    if cold and _restart_cold():
        return
    begun = time.monotonic()
    try:
        with Spinner("waiting for the new process"):
            report = control.wait_for_boot(before, timeout, asked=asked)
    except TimedOut as error:
        raise TimedOut(f"{error}; a restart that was asked for still happens. See: openclaw-gateway doctor") from None
    _tell_ready(report, _restart_story(report, time.monotonic() - begun), as_json)


def _boot_id(control: Control) -> str | None:
    try:
        return control.status().boot_id
    except GatewayError:
        return None


def _restart_cold() -> bool:
    """Queue the job. True if this process is in the unit: it ends with the old gateway, and cannot wait."""
    systemctl, _ = _manager()
    systemctl.do("--no-block", "restart", SERVICE)
    if holders.unit(os.getpid()) != SERVICE:
        return False
    print_line("restart queued; this command runs inside the gateway's unit and ends with it", err=True)
    return True


def _restart_story(report: StatusReport, waited: float) -> str:
    last = report.restarts.last
    head = f"restarted, ready after {waited:.2f} s (pid {report.pid})"
    if last is None:
        return head
    head = f"{last.kind} restart, ready after {waited:.2f} s (pid {report.pid})"
    gap = "" if last.gap_ms is None else f"nobody was served for {last.gap_ms:.0f} ms; "
    if last.adopted or last.closed:
        gap += f"{last.adopted} of {last.adopted + sum(last.closed.values())} WebSockets went on; "
    if not last.queued:
        return f"{head}: {gap}no connection had to wait"
    noun = "connection" if last.queued == 1 else "connections"
    return f"{head}: {gap}{last.queued} {noun} waited, the longest {last.longest_wait_ms:.0f} ms"


def _tell_ready(report: StatusReport, story: str, as_json: bool) -> None:
    print_json(report) if as_json else print_line(story)
    if not as_json and "config" in report.degraded:
        print_line("the config file has errors, so the last good one runs: openclaw-gateway config check", err=True)


@click.command()
@click.option("--timeout", default=RELOAD_TIMEOUT, show_default=True, metavar="SECONDS", help="How long to wait.")
@_json
def reload(timeout: float, as_json: bool) -> None:
    """Take the config file as it is now.

    Returns when the change is in force. A change that needs a restart gets one, and this waits for it. A file with
    errors changes nothing: every error is listed, and the exit code is 78.
    """
    control = _control()
    before = _boot_id(control)
    with Spinner("reloading"):
        result = control.reload(timeout)
    if as_json:
        print_json(result)
    else:
        _tell_result(result)
    if not result.ok:
        code = ExitCode.CONFIG_INVALID if result.outcome == "invalid" else ExitCode.FAILURE
        raise click.exceptions.Exit(code)
    if result.outcome == "restart":
        _follow_restart(control, before, timeout)


def _tell_result(result: ReloadResult) -> None:
    print_line(result.message) if result.ok else print_error(result.message)
    for issue in result.issues:
        print_line(f"  {issue}", err=True)
    for warning in result.warnings:
        print_line(f"  warning: {warning}", err=True)
    for change in result.changes:
        print_line(
            f"  {change.path}: {change.effect}{f' ({change.action})' if change.action else ''}", err=not result.ok
        )
    if any(change.effect == "unit" for change in result.changes):
        print_line("  the socket unit holds the port; to move it: openclaw-gateway install")


def _follow_restart(control: Control, before: str | None, timeout: float) -> None:
    """Wait for the restart. One that is deferred until runs end is a success: the config will be used."""
    try:
        with Spinner("waiting for the restart"):
            report = control.wait_for_boot(before, timeout, asked=True)
    except TimedOut:
        if control.status().phase != "deferred":
            raise
        print_line("the restart waits for an idle moment; openclaw-gateway status shows it", err=True)
    else:
        print_line(f"the new process is ready (pid {report.pid})", err=True)
