"""`status`: the port, the units, the process, the config and the restarts.

It uses `systemctl show` and the control socket, so that a stopped gateway stays stopped.
"""

import os
import time
from collections.abc import Iterator
from typing import Literal

import click
import msgspec

from gateway import __version__
from gateway.cli.listening import choose
from gateway.client.control import Control
from gateway.errors import NotRunning, TimedOut
from gateway.exits import ExitCode
from gateway.machine import holders
from gateway.report import StatusReport
from gateway.terminal.format import duration
from gateway.terminal.writer import print_json, print_line
from gateway.text.visible import BOLD, GREEN, RED, YELLOW, Inked, paint
from gateway.units import state
from gateway.units.addresses import ListenAddress, parse
from gateway.units.installation import installed_addresses, service_environment
from gateway.units.places import lingers, unit_folder
from gateway.units.state import UnitStates
from gateway.units.systemctl import NoManager, Systemctl

MEGABYTE = 1_000_000
MAX_WARNINGS = 5
"""Warnings of the config that are printed; more are counted."""


class PortHolder(msgspec.Struct, frozen=True):
    pid: int | None
    user: str
    command: str
    unit: str | None


class StatusView(msgspec.Struct, frozen=True):
    """The object of `status --json`."""

    verdict: Literal["ok", "unhealthy", "not-running", "frozen"]
    installed_version: str
    version_skew: bool
    """Whether the running process has another version than the installed one."""
    gateway: StatusReport | None
    units: UnitStates | None
    """None if no user manager answers."""
    port: int
    holders: tuple[PortHolder, ...]
    linger: bool | None
    """None if it is unknown: there is no logind."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object with all there is.")
def status(as_json: bool) -> None:
    """Show port, units, process, config and restarts.

    Starts nothing, the agent neither. Exit code 0: serves · 3: not running · 4: runs, but not ready or degraded.
    """
    view = look()
    if as_json:
        print_json(view)
    else:
        for label, text in lines(view):
            print_line(paint(f"{label:>9}", BOLD), "  ", text)
    codes = {"ok": ExitCode.OK, "not-running": ExitCode.NOT_RUNNING}
    raise click.exceptions.Exit(codes.get(view.verdict, ExitCode.UNHEALTHY))


def look() -> StatusView:
    report, frozen = _ask_gateway()
    units = _ask_systemd()
    address = _address(report, units)
    found = tuple(PortHolder(h.pid, h.user, h.command, h.unit) for h in holders.holders((address.host, address.port)))
    return StatusView(
        verdict="frozen" if frozen else _verdict(report),
        installed_version=__version__,
        version_skew=report is not None and report.version != __version__,
        gateway=report,
        units=units,
        port=address.port,
        holders=found,
        linger=lingers(holders.user_name(os.getuid())),
    )


def _ask_gateway() -> tuple[StatusReport | None, bool]:
    """The gateway's report, and whether it has a socket but does not answer."""
    try:
        return Control.from_env(service_environment(os.environ)).steady_status(), False
    except NotRunning:
        return None, False
    except TimedOut:
        return None, True


def _ask_systemd() -> UnitStates | None:
    try:
        return state.read(Systemctl(os.environ))
    except NoManager:
        return None


def _address(report: StatusReport | None, units: UnitStates | None) -> ListenAddress:
    listening = [parse(text) for text in report.listeners] if report else []
    if listening and listening[0]:
        return listening[0]
    if units and units.socket.listen:
        return units.socket.listen[0]
    installed = installed_addresses(unit_folder(os.environ))
    return (installed or choose(service_environment(os.environ), None, None).addresses)[0]


def _verdict(report: StatusReport | None) -> Literal["ok", "unhealthy", "not-running"]:
    if report is None:
        return "not-running"
    return "ok" if report.ready and not report.degraded else "unhealthy"


def lines(view: StatusView) -> Iterator[tuple[str, str]]:
    """Label and text of each printed line."""
    yield "gateway", _gateway_line(view)
    yield "port", _port_line(view)
    if view.units is None:
        yield "units", "no systemd user manager answers here"
    else:
        for name, unit in (("socket", view.units.socket), ("service", view.units.service)):
            yield name, _unit_line(unit)
        yield "agent", _agent_line(view.units.agent_socket, view.units.agent_service)
    if view.gateway:
        yield from _process_lines(view.gateway)
    if view.linger is False and view.units is not None:
        yield "linger", "off: the gateway ends at logout (loginctl enable-linger)"
    elif view.linger:
        yield "linger", "on"
    if view.verdict != "ok":
        yield "help", "openclaw-gateway doctor"


def _gateway_line(view: StatusView) -> str:
    report = view.gateway
    if view.verdict == "frozen":
        return paint("does not answer", RED) + ": it has the control socket open and says nothing"
    if report is None:
        return paint("not running", RED)
    word = paint("ready", GREEN) if report.ready else paint(f"not ready ({report.phase})", YELLOW)
    if report.degraded:
        word += paint(f", degraded: {', '.join(report.degraded)}", YELLOW)
    skew = ""
    if view.version_skew:
        skew = f"; installed is {view.installed_version}: openclaw-gateway restart"
    uptime = duration(report.uptime_ms / 1000)
    return word + f", version {report.version}{skew}, pid {report.pid}, up {uptime}, phase {report.phase}"


def _port_line(view: StatusView) -> str:
    if not view.holders:
        return f"{view.port}: nobody listens"
    who = ", ".join(_holder(holder) for holder in view.holders)
    where = f" on {' and '.join(view.gateway.listeners)}" if view.gateway else ""
    return f"{view.port}{where}: {who}"


def _holder(holder: PortHolder) -> str:
    if holder.unit == "init.scope" or holder.pid == 1:
        return f"systemd (pid {holder.pid})"
    if holder.pid is None:
        return f"a process of user {holder.user}"
    whose = "" if holder.user == holders.user_name(os.getuid()) else f" of user {holder.user}"
    return f"pid {holder.pid}{whose} ({holder.command})"


def _unit_line(unit: state.UnitState) -> str:
    if unit.load == "not-found":
        return f"{unit.name} is not installed: openclaw-gateway install"
    word = f"{unit.active} ({unit.sub})"
    colour = {"active": GREEN, "failed": RED}.get(unit.active, YELLOW)
    parts: list[str] = [f"{unit.name} " + paint(word, colour)]
    if unit.enabled != "static":  # a unit that only its socket starts
        parts.append(unit.enabled or "no install state")
    if unit.result != "success":
        parts.append(f"result {unit.result}")
    if unit.restarts:
        parts.append(f"restarted by systemd {unit.restarts} times")
    if unit.needs_daemon_reload:
        parts.append("changed on disk: systemctl --user daemon-reload")
    return Inked(", ").join(parts)


def _agent_line(socket: state.UnitState, service: state.UnitState) -> str:
    """The agent's line. The socket is left out while the service runs, because the service was started by it."""
    if "not-found" in (socket.load, service.load) or not socket.is_active:
        return _unit_line(socket if service.load != "not-found" else service)
    if service.active == "inactive":
        waits = paint("not running", GREEN) + ", starts with the next run"
        return waits + f" ({socket.name} {socket.active} ({socket.sub}))"
    facts = [f"pid {service.main_pid}"] if service.main_pid else []
    facts += [f"{service.memory / MEGABYTE:.0f} MB"] if service.memory is not None else []
    return Inked(", ").join([_unit_line(service), *facts])


def _process_lines(report: StatusReport) -> Iterator[tuple[str, str]]:
    yield "clients", f"{report.websockets} WebSockets, {report.connections} connections"
    restarts = report.restarts
    text = f"{restarts.hot} hot, {restarts.cold} cold, {restarts.crash} crashes"
    if restarts.last:
        text += f"; longest wait of a client {restarts.longest_wait_ms:.0f} ms; last: {restarts.last.kind}"
        text += f" {_ago(restarts.last.at)}{f' ({restarts.last.reason})' if restarts.last.reason else ''}"
    yield "restarts", text
    if restarts.adopted or restarts.closed:
        text = f"{restarts.adopted} WebSockets, longest silence {restarts.longest_silence_ms:.0f} ms"
        if restarts.closed:
            text += f"; closed: {', '.join(f'{n} {reason}' for reason, n in sorted(restarts.closed.items()))}"
        yield "carried", text
    if report.conversations_problem:
        yield "sessions", paint("cannot be written", RED) + f": {report.conversations_problem}"
    if report.restart_problem:
        yield "restart", paint("did not happen", RED) + f": {report.restart_problem}"
    config = report.config
    runs = {"file": "", "last-good": ", so the last good one runs", "defaults": ", so defaults run"}[config.source]
    colour = GREEN if config.state == "good" else YELLOW
    yield "config", f"{config.path}: " + paint(config.state, colour) + f"{runs}, watching by {report.watching}"
    for issue in config.issues:
        yield "", f"- {issue}"
    if config.suspect:
        yield "", f"- {config.suspect}"
    for warning in config.warnings[:MAX_WARNINGS]:
        yield "", f"- warning: {warning}"
    if len(config.warnings) > MAX_WARNINGS:
        yield "", f"- {len(config.warnings) - MAX_WARNINGS} more: openclaw-gateway config check"
    if config.last_reload:
        yield "reload", f"{config.last_reload.outcome} {_ago(config.last_reload.at)}: {config.last_reload.message}"
    yield "state", report.state_dir + (paint(f": {report.state_problem}", YELLOW) if report.state_problem else "")
    if report.log_file:
        yield "log", report.log_file


def _ago(at_ms: int) -> str:
    return f"{duration(max(time.time() - at_ms / 1000, 0))} ago"
