"""Jobs of the user manager for `install`, `start` and `stop`: reload units, start, stop."""

from collections.abc import Collection, Mapping

from gateway.cli.listening import Choice
from gateway.client.control import READY_LIMIT, Control
from gateway.errors import PortBusy
from gateway.machine import holders
from gateway.terminal.spinner import Spinner
from gateway.terminal.writer import print_line
from gateway.units import AGENT_SERVICE, AGENT_SOCKET, ENABLED, SERVICE, SOCKET, state
from gateway.units.systemctl import Systemctl, SystemctlFailed

RETIRE = "SIGUSR1"
"""The signal that ends an agent when it has no runs; the next run starts a new one."""


def activate(systemctl: Systemctl, env: Mapping[str, str], choice: Choice, changed: Collection[str], now: bool) -> bool:
    """Make the manager use the files of these units. Returns whether anything changed."""
    before = state.read(systemctl)
    did = False
    if changed or any(unit.needs_daemon_reload for unit in before.all):
        systemctl.do("daemon-reload")
        did = True
    after = state.read(systemctl)
    if not all(unit.is_enabled for unit in after.all if unit.name in ENABLED):
        systemctl.do("enable", *ENABLED)
        print_line(f"enabled: {', '.join(ENABLED[:-1])} and {ENABLED[-1]}")
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
        print_line("the running agent leaves when none of its runs is on; the next run starts one that has this")
    if set(after.socket.listen) != set(choice.addresses):
        listed = ", ".join(map(str, after.socket.listen))
        print_line(f"note: a drop-in of yours makes it listen on {listed or 'nothing'} instead ({SOCKET}.d)")
    return did or moved


def _leave_running(systemctl: Systemctl, states: state.UnitStates, changed: bool) -> bool:
    """Give a running gateway the agent's socket without a restart: a hot restart would not start that unit."""
    if changed:
        print_line("the running gateway takes this with its next cold start: openclaw-gateway restart --cold")
    if states.agent_socket.is_active:
        return False
    systemctl.do("start", AGENT_SOCKET)
    print_line(f"started: {AGENT_SOCKET}")
    return True


def start(systemctl: Systemctl, *names: str) -> None:
    """Start units. Raises PortBusy with the owner of the port if that is why it fails.

    The service starts the agent's socket too. It serves without one, which is printed.
    """
    try:
        _start_afresh(systemctl, *names)
    except SystemctlFailed:
        listen = state.read(systemctl).socket.listen
        found = [holder for address in listen for holder in holders.holders((address.host, address.port))]
        # If our own manager holds the port, the socket is open and the reason is another one.
        if found and not any(holder.is_systemd and not holder.is_foreign for holder in found):
            raise PortBusy(holders.describe(dict.fromkeys(found), listen[0].port)) from None
        raise
    if SERVICE in names and not (agent := state.read(systemctl).agent_socket).is_active:
        why = f"{AGENT_SOCKET} is {agent.active if agent.load == 'loaded' else agent.load}"
        print_line(f"note: {why}, so no model can be asked: openclaw-gateway doctor", err=True)


def _start_afresh(systemctl: Systemctl, *names: str) -> None:
    """Start units. While the service fails and is tried again, the first job may be that of an attempt which has begun
    before what was wrong was mended: then the next one counts."""
    try:
        systemctl.do("start", *names)
    except SystemctlFailed:
        if not state.read(systemctl).service.is_active:
            raise
        systemctl.do("start", *names)


def stop(systemctl: Systemctl, names: Collection[str]) -> None:
    """Stop the gateway first, which takes a moment, and then the agent that it uses."""
    for group in ((SERVICE, SOCKET), (AGENT_SERVICE, AGENT_SOCKET)):
        if there := [name for name in group if name in names]:
            systemctl.do("stop", *there)


def _reopen(systemctl: Systemctl, states: state.UnitStates, with_service: bool) -> None:
    """Stop and start a socket unit: systemd cannot change the addresses of an open one."""
    systemctl.do("stop", SERVICE, SOCKET)
    start(systemctl, SOCKET, *([SERVICE] if with_service else []))
    listed = ", ".join(map(str, states.socket.listen))
    print_line(f"moved: the port was closed and opened again on {listed}; clients have to connect there")


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
    print_line(f"{verb}: ready on {' and '.join(report.listeners)} (pid {report.pid})")
    return True
