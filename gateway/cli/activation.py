"""The last step of `install`: make the user manager follow the files that were written."""

from collections.abc import Mapping

import click

from gateway.cli.listening import Choice
from gateway.cli.progress import waiting
from gateway.control import READY_LIMIT, Control
from gateway.units import SERVICE, SOCKET, state
from gateway.units.systemctl import Systemctl


def activate(systemctl: Systemctl, env: Mapping[str, str], choice: Choice, changed: bool, now: bool) -> bool:
    """Make the manager follow the files. Whether it had to do anything."""
    before = state.read(systemctl)
    did = False
    if changed or before.socket.needs_daemon_reload or before.service.needs_daemon_reload:
        systemctl.do("daemon-reload")
        did = True
    after = state.read(systemctl)
    if not (after.socket.is_enabled and after.service.is_enabled):
        systemctl.do("enable", SOCKET, SERVICE)
        click.echo(f"enabled: {SOCKET} and {SERVICE}")
        did = True
    moved = before.socket.is_active and set(before.socket.listen) != set(after.socket.listen)
    if moved:
        _reopen(systemctl, after, before.service.is_active or now)
    elif now:
        did = _bring_up(systemctl, env, after, changed) or did
    elif changed and after.service.is_active:
        click.echo("the running gateway takes this with its next cold start: openclaw-gateway restart --cold")
    if set(after.socket.listen) != set(choice.addresses):
        listed = ", ".join(map(str, after.socket.listen))
        click.echo(f"note: a drop-in of yours makes it listen on {listed or 'nothing'} instead ({SOCKET}.d)")
    return did or moved


def _reopen(systemctl: Systemctl, states: state.UnitStates, with_service: bool) -> None:
    """A socket cannot be reloaded: its addresses change only between a stop and a start."""
    systemctl.do("stop", SERVICE, SOCKET)
    systemctl.do("start", SOCKET, *([SERVICE] if with_service else []))
    listed = ", ".join(map(str, states.socket.listen))
    click.echo(f"moved: the port was closed and opened again on {listed}; clients have to connect there")


def _bring_up(systemctl: Systemctl, env: Mapping[str, str], states: state.UnitStates, changed: bool) -> bool:
    with waiting("starting"):
        if changed and states.service.active == "active":
            systemctl.do("restart", SERVICE)
            verb = "restarted"
        elif states.socket.active == "active" and states.service.active == "active":
            return False
        else:
            systemctl.do("start", SOCKET, SERVICE)
            verb = "started"
        report = Control.from_env(env).wait_for_boot(None, READY_LIMIT)
    click.echo(f"{verb}: ready on {' and '.join(report.listeners)} (pid {report.pid})")
    return True
