"""What systemd says of our two units, asked without starting anything."""

from dataclasses import dataclass

from gateway.units import SERVICE, SOCKET
from gateway.units.addresses import Address, parse
from gateway.units.systemctl import Systemctl

_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "UnitFileState",
    "FragmentPath",
    "DropInPaths",
    "NeedDaemonReload",
    "MainPID",
    "NRestarts",
    "ControlGroup",
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
    drop_ins: tuple[str, ...] = ()
    needs_daemon_reload: bool = False
    main_pid: int = 0
    restarts: int = 0
    """Automatic restarts since it was last started by hand."""
    control_group: str = ""
    listen: tuple[Address, ...] = ()

    @property
    def is_active(self) -> bool:
        return self.active in ("active", "reloading", "activating")

    @property
    def is_enabled(self) -> bool:
        return self.enabled.startswith("enabled")


@dataclass(frozen=True)
class UnitStates:
    socket: UnitState
    service: UnitState


def read(systemctl: Systemctl) -> UnitStates:
    """Raises NoManager where no user manager answers."""
    return UnitStates(socket=_unit(systemctl, SOCKET), service=_unit(systemctl, SERVICE))


def _unit(systemctl: Systemctl, name: str) -> UnitState:
    told = systemctl.show(name, *_PROPERTIES)
    addresses = [parse(line) for line in told.get("Listen", "").splitlines()]
    return UnitState(
        name=name,
        load=told.get("LoadState", ""),
        active=told.get("ActiveState", ""),
        sub=told.get("SubState", ""),
        result=told.get("Result", "success"),
        enabled=told.get("UnitFileState", ""),
        fragment=told.get("FragmentPath", ""),
        drop_ins=tuple(told.get("DropInPaths", "").split()),
        needs_daemon_reload=told.get("NeedDaemonReload") == "yes",
        main_pid=_number(told.get("MainPID")),
        restarts=_number(told.get("NRestarts")),
        control_group=told.get("ControlGroup", ""),
        listen=tuple(address for address in addresses if address),
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
