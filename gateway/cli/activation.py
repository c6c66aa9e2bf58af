"""What `install`, `start` and `stop` have the user manager do: follow the files that were written, start, stop."""

from collections.abc import Collection, Mapping

from gateway.cli.listening import Choice
from gateway.client.control import READY_LIMIT, Control
from gateway.errors import PortBusy
from gateway.machine import holders
from gateway.terminal.spinner import Spinner
from gateway.terminal.writer import say
from gateway.units import AGENT_SERVICE, AGENT_SOCKET, ENABLED, SERVICE, SOCKET, state
from gateway.units.systemctl import Systemctl, SystemctlFailed

RETIRE = "SIGUSR1"
"""Asks an agent to leave when none of its runs is on; the next run starts another one."""


def activate(systemctl: Systemctl, env: Mapping[str, str], choice: Choice, changed: Collection[str], now: bool) -> bool:
    """Make the manager follow the files of these units. Whether it had to do anything."""
    before = state.read(systemctl)
    did = False
    if changed or any(unit.needs_daemon_reload for unit in before.all):
        systemctl.do("daemon-reload")
        did = True
    after = state.read(systemctl)
    if not all(unit.is_enabled for unit in after.all if unit.name in ENABLED):
        systemctl.do("enable", *ENABLED)
        say(f"enabled: {', '.join(ENABLED[:-1])} and {ENABLED[-1]}")
        did = True
    gateway_changed = not {SOCKET, SERVICE}.isdisjoint(changed)
    moved = before.socket.is_active and set(before.socket.listen) != set(after.socket.listen)
    if moved:
        _reopen(systemctl, after, before.service.is_active or now)
    elif now:
        did = _bring_up(systemctl, env, after, gateway_changed) or did
    elif after.service.is_active:
        did = _leave_running(systemctl, after, gateway_changed) or did
    if AGENT_SERVICE in changed and after.agent_service.is_active:
        systemctl.do("kill", "--kill-whom=main", f"--signal={RETIRE}", AGENT_SERVICE)
        say("the running agent leaves when none of its runs is on; the next run starts one that has this")
    if set(after.socket.listen) != set(choice.addresses):
        listed = ", ".join(map(str, after.socket.listen))
        say(f"note: a drop-in of yours makes it listen on {listed or 'nothing'} instead ({SOCKET}.d)")
    return did or moved


def _leave_running(systemctl: Systemctl, states: state.UnitStates, changed: bool) -> bool:
    """The gateway is not disturbed. It is given the agent's socket, for a hot restart would not bring it."""
    if changed:
        say("the running gateway takes this with its next cold start: openclaw-gateway restart --cold")
    if states.agent_socket.is_active:
        return False
    systemctl.do("start", AGENT_SOCKET)
    say(f"started: {AGENT_SOCKET}")
    return True


def start(systemctl: Systemctl, *names: str) -> None:
    """Start units; when it fails because of the port, raise PortBusy with the sentence that names the owner.

    The service brings the agent's socket with it, and serves without one; then this says so.
    """
    try:
        systemctl.do("start", *names)
    except SystemctlFailed:
        listen = state.read(systemctl).socket.listen
        found = [holder for address in listen for holder in holders.holders((address.host, address.port))]
        # With our own manager among them, the socket is open and the reason is another one.
        if found and not any(holder.is_systemd and not holder.is_foreign for holder in found):
            raise PortBusy(holders.describe(dict.fromkeys(found), listen[0].port)) from None
        raise
    if SERVICE in names and not (agent := state.read(systemctl).agent_socket).is_active:
        why = f"{AGENT_SOCKET} is {agent.active if agent.load == 'loaded' else agent.load}"
        say(f"note: {why}, so no model can be asked: openclaw-gateway doctor", err=True)


def stop(systemctl: Systemctl, names: Collection[str]) -> None:
    """First the gateway, which needs a moment to leave, and then the agent that it uses."""
    for group in ((SERVICE, SOCKET), (AGENT_SERVICE, AGENT_SOCKET)):
        if there := [name for name in group if name in names]:
            systemctl.do("stop", *there)


def _reopen(systemctl: Systemctl, states: state.UnitStates, with_service: bool) -> None:
    """A socket cannot be reloaded: its addresses change only between a stop and a start."""
    systemctl.do("stop", SERVICE, SOCKET)
    start(systemctl, SOCKET, *([SERVICE] if with_service else []))
    listed = ", ".join(map(str, states.socket.listen))
    say(f"moved: the port was closed and opened again on {listed}; clients have to connect there")


def _bring_up(systemctl: Systemctl, env: Mapping[str, str], states: state.UnitStates, changed: bool) -> bool:
    with Spinner("starting"):
        if changed and states.service.active == "active":
            systemctl.do("restart", SERVICE)
            verb = "restarted"
        elif all(unit.active == "active" for unit in (states.socket, states.service, states.agent_socket)):
            return False
        else:
            start(systemctl, SOCKET, SERVICE)
            verb = "started"
        report = Control.from_env(env).wait_for_boot(None, READY_LIMIT)
    say(f"{verb}: ready on {' and '.join(report.listeners)} (pid {report.pid})")
    return True
