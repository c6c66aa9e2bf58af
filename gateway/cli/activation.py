"""The last step of `install`: make the user manager follow the files that were written."""

from collections.abc import Mapping

import click

from gateway.cli.listening import Choice
from gateway.cli.progress import waiting
from gateway.control import READY_LIMIT, Control
from gateway.errors import PortBusy
from gateway.lifecycle import holders
from gateway.units import SERVICE, SOCKET, state
from gateway.units.systemctl import Systemctl, SystemctlFailed


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


def start(systemctl: Systemctl, *names: str) -> None:
    """Start units; when it fails because of the port, raise PortBusy with the sentence that names the owner."""
    try:
        systemctl.do("start", *names)
    except SystemctlFailed:
        listen = state.read(systemctl).socket.listen
        found = [holder for address in listen for holder in holders.holders((address.host, address.port))]
        # With our own manager among them, the socket is open and the reason is another one.
        if found and not any(holder.is_systemd and not holder.is_foreign for holder in found):
            raise PortBusy(holders.describe(dict.fromkeys(found), listen[0].port)) from None
        raise


def _reopen(systemctl: Systemctl, states: state.UnitStates, with_service: bool) -> None:
    """A socket cannot be reloaded: its addresses change only between a stop and a start."""
    systemctl.do("stop", SERVICE, SOCKET)
    start(systemctl, SOCKET, *([SERVICE] if with_service else []))
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
            start(systemctl, SOCKET, SERVICE)
            verb = "started"
        report = Control.from_env(env).wait_for_boot(None, READY_LIMIT)
    click.echo(f"{verb}: ready on {' and '.join(report.listeners)} (pid {report.pid})")
    return True
