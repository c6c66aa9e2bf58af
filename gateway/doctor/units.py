"""Checks of our units, and of other units that compete with them."""

import shlex
from collections.abc import Iterator

from gateway.doctor.evidence import Evidence
from gateway.doctor.finding import Finding, Severity
from gateway.units import AGENT_SERVICE, AGENT_SOCKET, SOCKET
from gateway.units.installation import UnitChange
from gateway.units.sandbox import FAILURES
from gateway.units.state import START_S, UnitState

JOURNAL = "journalctl --user -u {unit} -n 50"
NO_PROGRAM = 203
"""systemd's exit status EXIT_EXEC: the program could not be executed."""
_NO_AGENT = "no model can be asked"
_REVIVE = "systemctl --user reset-failed {unit}; openclaw-gateway start"
_LIMITS = {
    "trigger-limit-hit": "it was activated too often in a short time and gave the port up",
    "service-start-limit-hit": "the service hit its start limit and took the port with it",
    "start-limit-hit": "it was started too often in a short time",
    "resources": "it could not open its port; see who holds it",
}


def manager(evidence: Evidence) -> Iterator[Finding]:
    if evidence.units is None:
        severity: Severity = "problem" if evidence.installed else "note"
        remedy = f"sudo loginctl enable-linger {evidence.user}" if evidence.installed else "openclaw-gateway run"
        detail = "systemctl --user gets no answer: no login session, a container, or another init system"
        yield Finding(severity, "no systemd user manager", detail, remedy)


def former(evidence: Evidence) -> Iterator[Finding]:
    """Units with old names. Even without their program, systemd may hold the port or start them again and again."""
    for path in evidence.former_units:
        holds = any(holder.unit == path.name for holder in evidence.holders)
        severity: Severity = "problem" if holds else "warning"
        detail = f"{path}{' holds the port' if holds else ' would take the port at the next login'}"
        remedy = f"systemctl --user disable --now {path.name}; rm {shlex.quote(str(path))}"
        yield Finding(severity, f"{path.name} is of OpenClaw's former days", detail, remedy)


def installed(evidence: Evidence) -> Iterator[Finding]:
    if evidence.units and not evidence.installed and not (evidence.openclaw_unit or evidence.foreign_units):
        yield Finding("problem", "the units are not installed", "", "openclaw-gateway install --now")


def outdated(evidence: Evidence) -> Iterator[Finding]:
    """Units that differ: after an upgrade, or a change of the environment or of the files."""
    changes = [change for change in evidence.outdated if not _is_agent_missing(change)]
    if evidence.installed and changes:
        names = ", ".join(change.path.name for change in changes)
        detail = f"differs from what this version writes: {names}"
        yield Finding("warning", "unit files are out of date", detail, "openclaw-gateway install")


def agent_missing(evidence: Evidence) -> Iterator[Finding]:
    """The agent's units do not exist: after an upgrade from a version without an agent."""
    missing = [change.path.name for change in evidence.outdated if _is_agent_missing(change)]
    if evidence.installed and missing:
        detail = f"{', '.join(missing)}: {_NO_AGENT}"
        yield Finding("problem", "the agent is not installed", detail, "openclaw-gateway install --now")


def _is_agent_missing(change: UnitChange) -> bool:
    return change.kind == "write" and change.unit in (AGENT_SERVICE, AGENT_SOCKET)


def namespaces(evidence: Evidence) -> Iterator[Finding]:
    """The sandbox cannot be made here, as on another kernel or in a container, or lacks namespaces."""
    unit = evidence.units.service if evidence.units else None
    if unit and unit.exit_status in FAILURES and not unit.main_pid:
        detail = (
            f"{unit.name} ends with {unit.exit_status}/{FAILURES[unit.exit_status]}; install tries what can be made"
        )
        yield Finding("problem", "the gateway's sandbox cannot be made here", detail, "openclaw-gateway install --now")
    elif evidence.sandbox_refusal and evidence.installed:
        title = "the gateway's sandbox is without namespaces"
        yield Finding("note", title, evidence.sandbox_refusal, "openclaw-gateway install")


def hindered(evidence: Evidence) -> Iterator[Finding]:
    """Drop-ins of the user with settings that hinder the unit; systemd does not complain about them."""
    for found in evidence.hindrances if evidence.installed else ():
        detail = f"{found.setting} in {found.path}: {found.why}"
        yield Finding("warning", f"a drop-in hinders {found.unit}", detail, f"systemctl --user edit {found.unit}")


def memory(evidence: Evidence) -> Iterator[Finding]:
    if evidence.memory_bound is False:
        detail = "MemoryMax= of openclaw-agent.service does nothing: user@.service has no Delegate=memory"
        yield Finding("note", "the agent's memory has no bound", detail, "sudo systemctl edit user@.service")


def not_loaded(evidence: Evidence) -> Iterator[Finding]:
    for unit in _all(evidence):
        if unit.load == "masked":
            yield Finding("problem", f"{unit.name} is masked", "", f"systemctl --user unmask {unit.name}")
        elif unit.load in ("bad-setting", "error"):
            remedy = f"systemd-analyze --user verify {unit.name}"
            yield Finding("problem", f"{unit.name} does not load ({unit.load})", "a drop-in with an error?", remedy)
        if unit.needs_daemon_reload:
            detail = "systemd runs an older text of it"
            yield Finding("warning", f"{unit.name} changed on disk", detail, "systemctl --user daemon-reload")


def not_enabled(evidence: Evidence) -> Iterator[Finding]:
    """The gateway's units are not enabled; they start the agent's socket too."""
    for unit in (evidence.units.socket, evidence.units.service) if evidence.units else ():
        if unit.load == "loaded" and not unit.is_enabled:
            what = "the port is closed after the next boot" if unit.name == SOCKET else "only a connection starts it"
            remedy = f"systemctl --user enable {unit.name}"
            severity: Severity = "problem" if unit.name == SOCKET else "warning"
            yield Finding(severity, f"{unit.name} is not enabled", what, remedy)


def socket_down(evidence: Evidence) -> Iterator[Finding]:
    unit = evidence.units.socket if evidence.units else None
    if unit is None or unit.load != "loaded" or unit.is_active:
        return
    if unit.active == "failed":
        why = _LIMITS.get(unit.result, f"result {unit.result}")
        yield Finding("problem", f"{SOCKET} failed", why, _REVIVE.format(unit=SOCKET))
    else:
        yield Finding("problem", f"{SOCKET} is stopped", "the port is closed", "openclaw-gateway start")


def agent_socket_down(evidence: Evidence) -> Iterator[Finding]:
    """The agent's socket is down while a gateway runs; a start of the gateway would start it."""
    units = evidence.units
    if units is None or units.agent_socket.load != "loaded" or units.agent_socket.is_active:
        return
    name = units.agent_socket.name
    if units.agent_socket.active == "failed":
        detail = f"result {units.agent_socket.result}: {_NO_AGENT}; why: {JOURNAL.format(unit=name)}"
        yield Finding("problem", f"{name} failed", detail, _REVIVE.format(unit=name))
    elif units.service.is_active:
        yield Finding("problem", f"{name} is stopped", _NO_AGENT, f"systemctl --user start {name}")


def service_down(evidence: Evidence) -> Iterator[Finding]:
    for unit in (evidence.units.service, evidence.units.agent_service) if evidence.units else ():
        journal = JOURNAL.format(unit=unit.name)
        if unit.active == "failed" and unit.exit_status == NO_PROGRAM:
            detail = "systemd could not execute it (203/EXEC) and has closed its socket"
            yield Finding("problem", f"{unit.name} has no program", detail, "openclaw-gateway install --now")
        elif unit.load == "loaded" and unit.active == "failed":
            why = _LIMITS.get(unit.result, f"result {unit.result}")
            yield Finding("problem", f"{unit.name} failed", f"{why}; why: {journal}", _REVIVE.format(unit=unit.name))
        elif unit.load == "loaded" and unit.is_pausing:
            detail = f"it ends and is started again, {unit.restarts} times so far (result {unit.result})"
            yield Finding("problem", f"{unit.name} cannot start", detail, journal)
        elif unit.load == "loaded" and unit.is_starting:
            detail = f"for more than {START_S:g} s; automatic restarts so far: {unit.restarts}"
            yield Finding("problem", f"{unit.name} is still starting", detail, journal)


def system_rivals(evidence: Evidence) -> Iterator[Finding]:
    for unit in evidence.system_units:
        if unit.enabled:
            detail = f"{unit.path} and the user's unit fight for the port"
            yield Finding(
                "problem", "a system-wide gateway too", detail, f"sudo systemctl disable --now {unit.path.name}"
            )
        else:
            yield Finding("note", "a system-wide unit of the same name", f"{unit.path}, not enabled")


def user_rivals(evidence: Evidence) -> Iterator[Finding]:
    remedy = "openclaw-gateway install --take-over"
    if evidence.openclaw_unit:
        yield Finding("problem", "OpenClaw's own unit is installed", str(evidence.openclaw_unit.path), remedy)
    # A masked unit is a link in the place of a unit, which `not_loaded` reports.
    masked = {unit.name for unit in _all(evidence) if unit.load == "masked"}
    for path in (path for path in evidence.foreign_units if path.name not in masked):
        yield Finding("problem", "a unit of ours that we did not write", str(path), remedy)


def other_state(evidence: Evidence) -> Iterator[Finding]:
    """This shell has other paths than the service, so its commands do not find the gateway."""
    service, here = evidence.service_paths, evidence.paths
    if service is None or not evidence.installed:
        return
    if service.state != here.state:
        name, there, mine = "OPENCLAW_STATE_DIR", service.state, here.state
    elif service.config != here.config:
        name, there, mine = "OPENCLAW_CONFIG_PATH", service.config, here.config
    else:
        return
    detail = f"the service has {name}={there}, this shell means {mine}"
    yield Finding("warning", "this shell looks at other files than the service", detail, f"export {name}={there}")


def _all(evidence: Evidence) -> tuple[UnitState, ...]:
    return evidence.units.all if evidence.units else ()
