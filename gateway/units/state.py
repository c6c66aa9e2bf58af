"""What systemd says of our units, asked without starting anything."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.units import AGENT_SERVICE, AGENT_SOCKET, SERVICE, SOCKET
from gateway.units.addresses import Address, parse
from gateway.units.systemctl import Systemctl

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
START_S = 10.0
"""The longest wait for an attempt to start that is under way."""
_LOOK_S = 0.02
"""Far shorter than our services' RestartSec: between two attempts lies the only moment that shows why they fail."""
_UNSET = 2**64 - 1
"""How systemd writes down a number that it does not have."""
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
    name: str
    load: str
    """loaded, not-found, masked, bad-setting, error."""
    active: str
    """active, reloading, inactive, failed, activating, deactivating."""
    sub: str
    """running, listening, dead, failed, auto-restart …"""
    result: str = "success"
    """Why it failed: exit-code, watchdog, start-limit-hit, trigger-limit-hit, service-start-limit-hit, resources …"""
    enabled: str = ""
    """enabled, disabled, masked, … or empty for a unit without a file."""
    fragment: str = ""
    needs_daemon_reload: bool = False
    main_pid: int = 0
    exit_status: int = 0
    """What its last main process ended with: the program's own, or from 200 on what systemd could not set up for it."""
    restarts: int = 0
    """Automatic restarts since it was last started by hand."""
    control_group: str = ""
    memory: int | None = None
    """Bytes that all its processes have; those of the main process where systemd does not count (cgroup v1)."""
    listen: tuple[Address, ...] = ()

    @property
    def is_active(self) -> bool:
        return self.active in ("active", "reloading", "activating")

    @property
    def is_starting(self) -> bool:
        """While it is, systemd has forgotten how the attempt before this one ended."""
        return self.sub.startswith("start")

    @property
    def is_enabled(self) -> bool:
        return self.enabled.startswith("enabled")


@dataclass(frozen=True)
class UnitStates:
    socket: UnitState
    service: UnitState
    agent_socket: UnitState
    agent_service: UnitState

    @property
    def all(self) -> tuple[UnitState, ...]:
        return self.socket, self.service, self.agent_socket, self.agent_service


def read(systemctl: Systemctl, proc: Path = PROC) -> UnitStates:
    """Raises NoManager where no user manager answers."""
    return UnitStates(*(_unit(systemctl, name, proc) for name in (SOCKET, SERVICE, AGENT_SOCKET, AGENT_SERVICE)))


def read_after_start(
    systemctl: Systemctl, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> UnitStates:
    """As `read`, once no unit is being started; after START_S as it is then."""
    deadline = clock() + START_S
    states = {unit.name: unit for unit in read(systemctl).all}
    # Only those are looked at again: each look is a program, and would slow down the start that is waited for.
    while (starting := [unit.name for unit in states.values() if unit.is_starting]) and clock() < deadline:
        sleep(_LOOK_S)
        states |= {name: _unit(systemctl, name, PROC) for name in starting}
    return UnitStates(*states.values())


def _unit(systemctl: Systemctl, name: str, proc: Path) -> UnitState:
    told = systemctl.show(name, *_PROPERTIES)
    main_pid = _number(told.get("MainPID"))
    addresses = [parse(line) for line in told.get("Listen", "").splitlines()]
    return UnitState(
        name=name,
        load=told.get("LoadState", ""),
        active=told.get("ActiveState", ""),
        sub=told.get("SubState", ""),
        result=told.get("Result", "success"),
        enabled=told.get("UnitFileState", ""),
        fragment=told.get("FragmentPath", ""),
        needs_daemon_reload=told.get("NeedDaemonReload") == "yes",
        main_pid=main_pid,
        exit_status=_number(told.get("ExecMainStatus")),
        restarts=_number(told.get("NRestarts")),
        control_group=told.get("ControlGroup", ""),
        memory=_memory(told.get("MemoryCurrent"), main_pid, proc),
        listen=tuple(address for address in addresses if address),
    )


def memory_bound(control_group: str, root: Path = CGROUPS) -> bool | None:
    """Whether the memory controller is there for a unit's control group; None without a group, or with cgroup v1."""
    if not control_group:
        return None
    try:
        return "memory" in (root / control_group.lstrip("/") / "cgroup.controllers").read_text().split()
    except OSError:
        return None


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _memory(told: str | None, main_pid: int, proc: Path) -> int | None:
    counted = _number(told)
    if counted and counted != _UNSET:
        return counted
    try:
        lines = (proc / str(main_pid) / "status").read_text().splitlines()
    except OSError:
        return None
    kilobytes = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return next((int(number) * 1024 for number in kilobytes), None)
