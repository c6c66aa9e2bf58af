"""The state of our units in systemd. To ask for it starts nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.units import AGENT_SERVICE, AGENT_SOCKET, SERVICE, SOCKET
from gateway.units.addresses import ListenAddress, parse
from gateway.units.systemctl import Systemctl

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
START_S = 10.0
"""The longest wait in seconds for a start that is under way."""
_LOOK_S = 0.02
"""Seconds between two looks, far below a pause: only between two attempts does systemd tell why they fail."""
_UNSET = 2**64 - 1
"""systemd's number for a value that is not set."""
_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "UnitFileState",
    "FragmentPath",
    "NeedDaemonReload",
    "MainPID",
    "ExecMainStatus",
    "NRestarts",
    "ControlGroup",
    "MemoryCurrent",
    "Listen",
)


@dataclass(frozen=True)
class UnitState:
    """Properties of one unit, in systemd's words."""

    name: str
    load: str
    """loaded, not-found, masked, bad-setting, error."""
    active: str
    """active, reloading, inactive, failed, activating, deactivating."""
    sub: str
    """running, listening, dead, failed, auto-restart, stop-post …"""
    result: str = "success"
    """The reason of a failure: exit-code, watchdog, start-limit-hit, trigger-limit-hit, service-start-limit-hit, …"""
    enabled: str = ""
    """enabled, disabled, masked, … Empty for a unit without a file."""
    fragment: str = ""
    needs_daemon_reload: bool = False
    main_pid: int = 0
    exit_status: int = 0
    """The exit status of its last main process. From 200 on, it tells what systemd could not set up for it."""
    restarts: int = 0
    """The number of automatic restarts since the last start by hand."""
    control_group: str = ""
    memory: int | None = None
    """Memory in bytes: of all its processes, or of the main process if systemd does not count them (cgroup v1)."""
    listen: tuple[ListenAddress, ...] = ()

    @property
    def is_active(self) -> bool:
        return self.active in ("active", "reloading", "activating") or self.is_pausing

    @property
    def is_pausing(self) -> bool:
        """True between two attempts of a service that has failed; `ExecStopPost=` of the gateway is its pause."""
        return self.sub.startswith("auto-restart") or (self.sub == "stop-post" and self.result != "success")

    @property
    def is_starting(self) -> bool:
        """True if a start is under way. Until it ends, systemd does not tell how the start before it ended."""
        return self.sub.startswith("start")

    @property
    def is_enabled(self) -> bool:
        return self.enabled.startswith("enabled")


@dataclass(frozen=True)
class UnitStates:
    """The states of our four units."""

    socket: UnitState
    service: UnitState
    agent_socket: UnitState
    agent_service: UnitState

    @property
    def all(self) -> tuple[UnitState, ...]:
        return self.socket, self.service, self.agent_socket, self.agent_service


def read(systemctl: Systemctl, proc: Path = PROC) -> UnitStates:
    """The states as they are now. Raises NoManager if no user manager answers."""
    return UnitStates(*(_unit(systemctl, name, proc) for name in (SOCKET, SERVICE, AGENT_SOCKET, AGENT_SERVICE)))


def read_after_start(
    systemctl: Systemctl, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> UnitStates:
    """The states once no start is under way, or after `START_S`. Raises NoManager if no user manager answers."""
    deadline = clock() + START_S
    states = {unit.name: unit for unit in read(systemctl).all}
    # Only these are read again: each read starts a program, which slows down the start that is waited for.
    while (starting := [unit.name for unit in states.values() if unit.is_starting]) and clock() < deadline:
        sleep(_LOOK_S)
        states |= {name: _unit(systemctl, name, PROC) for name in starting}
    return UnitStates(*states.values())


def _unit(systemctl: Systemctl, name: str, proc: Path) -> UnitState:
    shown = systemctl.show(name, *_PROPERTIES)
    main_pid = _number(shown.get("MainPID"))
    addresses = [parse(line) for line in shown.get("Listen", "").splitlines()]
    return UnitState(
        name=name,
        load=shown.get("LoadState", ""),
        active=shown.get("ActiveState", ""),
        sub=shown.get("SubState", ""),
        result=shown.get("Result", "success"),
        enabled=shown.get("UnitFileState", ""),
        fragment=shown.get("FragmentPath", ""),
        needs_daemon_reload=shown.get("NeedDaemonReload") == "yes",
        main_pid=main_pid,
        exit_status=_number(shown.get("ExecMainStatus")),
        restarts=_number(shown.get("NRestarts")),
        control_group=shown.get("ControlGroup", ""),
        memory=_memory(shown.get("MemoryCurrent"), main_pid, proc),
        listen=tuple(address for address in addresses if address),
    )


def memory_bound(control_group: str, root: Path = CGROUPS) -> bool | None:
    """True if a unit's control group has the memory controller. None without a group, or with cgroup v1."""
    if not control_group:
        return None
    try:
        return "memory" in (root / control_group.lstrip("/") / "cgroup.controllers").read_text().split()
    except OSError:
        return None


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _memory(shown: str | None, main_pid: int, proc: Path) -> int | None:
    counted = _number(shown)
    if counted and counted != _UNSET:
        return counted
    try:
        lines = (proc / str(main_pid) / "status").read_text().splitlines()
    except OSError:
        return None
    kilobytes = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return next((int(number) * 1024 for number in kilobytes), None)
