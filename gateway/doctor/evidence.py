"""The facts for the checks, gathered once. Gathering starts and changes nothing, and needs no D-Bus."""

import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.client.control import Control
from gateway.client.served import check_config
from gateway.config import files, leftovers
from gateway.config.configfile import ConfigFile
from gateway.config.validate import SECRET_VARIABLES
from gateway.doctor.inotify import InotifyUsage, usage
from gateway.doctor.storage import FreeSpace, room
from gateway.errors import NotRunning, TimedOut
from gateway.files.paths import Paths
from gateway.lifecycle.peer import PLAINTEXT
from gateway.machine import holders
from gateway.machine.holders import Holder
from gateway.machine.interfaces import public_addresses
from gateway.report import StatusReport
from gateway.sessions.checkup import Checkup, look
from gateway.units import SERVICE, SOCKET, hindrances, installation, rivals, sandbox, state
from gateway.units.addresses import ListenAddress
from gateway.units.hindrances import Hindrance
from gateway.units.places import drop_ins, lingers, read, unit_folder
from gateway.units.state import memory_bound
from gateway.units.syntax import environment
from gateway.units.systemctl import NoManager, Systemctl

OTHERS_READ, OTHERS_WRITE = 0o044, 0o022
LARGE_WAL = 256 * 1024 * 1024
"""Bytes from which the WAL is large. The gateway empties it, unless a program reads without an end."""
CHECK_S = 10.0
"""Seconds for the check of the database."""


@dataclass(frozen=True)
class Evidence:
    user: str
    paths: Paths
    config: files.Snapshot
    report: StatusReport | None = None
    """None if no gateway answers."""
    frozen: bool = False
    """Whether a process has the control socket open and does not answer."""
    units: state.UnitStates | None = None
    """None if no user manager answers."""
    installed: bool = False
    """Whether the unit files that `install` wrote exist."""
    outdated: tuple[installation.UnitChange, ...] = ()
    """Changes that `install` would make now."""
    sandbox_refusal: str | None = None
    """Why `install` left the namespaces out of the gateway's sandbox."""
    service_paths: Paths | None = None
    """The paths of the installed service, which may differ from this shell's."""
    system_units: tuple[rivals.SystemUnit, ...] = ()
    openclaw_unit: rivals.OpenClawUnit | None = None
    foreign_units: tuple[Path, ...] = ()
    former_units: tuple[Path, ...] = ()
    """Unit files of OpenClaw's gateway with old names."""
    former_configs: tuple[Path, ...] = ()
    listen: tuple[ListenAddress, ...] = ()
    """Addresses of the socket unit, or those that `install` would give it."""
    absent: tuple[ListenAddress, ...] = ()
    """Addresses of `listen` that this machine does not have."""
    silent: tuple[ListenAddress, ...] = ()
    """Addresses of `listen` without a listener."""
    holders: tuple[Holder, ...] = ()
    linger: bool | None = None
    inotify: InotifyUsage = InotifyUsage()
    database: Checkup | None = None
    """None if there is no database yet."""
    readers: tuple[Holder, ...] = ()
    """Processes that have the database open; only looked for if its WAL is large."""
    hindrances: tuple[Hindrance, ...] = ()
    memory_bound: bool | None = None
    """Whether systemd can bound the agent's memory; None if the agent does not run."""
    storage: FreeSpace | None = None
    """None if the state folder does not exist yet."""
    uid: int = 1000
    public: tuple[str, ...] = ()
    """Public addresses of this machine."""
    writable: tuple[Path, ...] = ()
    """Paths among the state folder, the config and its folder that other users may write."""
    exposed_drop_ins: tuple[Path, ...] = ()
    """Drop-ins with a secret that other users can read."""
    plaintext: bool = False
    """Whether commands of this shell may send a secret without TLS."""


def gather(shell: Mapping[str, str]) -> Evidence:
    env = installation.service_environment(shell)
    paths = Paths.from_env(env)
    folder = unit_folder(env)
    unsaid = {name: value for name, value in shell.items() if name not in installation.FILE_VARIABLES}
    service = installation.service_environment(unsaid)
    user = holders.user_name(os.getuid())
    units = _units(env)  # Before the gateway is asked: systemctl waits for a start in progress.
    report, frozen = _ask(Control(paths.control))
    listen = units.socket.listen if units and units.socket.listen else None
    listen = listen or installation.listening_on_disk(folder) or installation.shipped_addresses()
    known = (*map(str, listen), *(report.listeners if report else ()))
    database = look(paths.database, CHECK_S)
    held = {address: holders.holders((address.host, address.port)) for address in listen}
    found = ConfigFile(paths.config, env, paths.state, installation.open_addresses(folder, known)).read()
    return Evidence(
        user=user,
        paths=paths,
        config=check_config(env, found).merged() if report else found,
        report=report,
        frozen=frozen,
        units=units,
        installed=len([p for p in installation.written_files(folder) if p.name in (SOCKET, SERVICE)]) == 2,
        outdated=_outdated(service, folder),
        sandbox_refusal=sandbox.refusal_on_disk(folder),
        service_paths=Paths.from_env(service),
        system_units=tuple(rivals.system_units()),
        openclaw_unit=rivals.openclaw_unit(env),
        foreign_units=tuple(rivals.foreign_units(env)),
        former_units=tuple(rivals.former_units(env)),
        former_configs=tuple(leftovers.old_configs(paths.config, env)),
        listen=listen,
        absent=tuple(address for address in listen if _is_absent(address)),
        silent=tuple(address for address in listen if not held[address]),
        holders=tuple({holder: None for found in held.values() for holder in found}),
        linger=lingers(user),
        inotify=usage(),
        database=database,
        readers=tuple(holders.openers(paths.database)) if database and database.wal > LARGE_WAL else (),
        hindrances=tuple(hindrances.find(folder)),
        memory_bound=memory_bound(units.agent_service.control_group) if units else None,
        storage=room(paths.state),
        uid=os.getuid(),
        public=tuple(public_addresses()),
        writable=tuple(path for path in _own_files(paths) if _mode(path) & OTHERS_WRITE),
        exposed_drop_ins=tuple(path for path in drop_ins(folder, SERVICE) if _exposes_secret(path)),
        plaintext=shell.get(PLAINTEXT) == "1",
    )


def _own_files(paths: Paths) -> dict[Path, None]:
    return dict.fromkeys((paths.state, paths.config.parent, paths.config))


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def _exposes_secret(path: Path) -> bool:
    given = environment(read(path) or "")
    return bool(_mode(path) & OTHERS_READ and any(given.get(name) for name in SECRET_VARIABLES.values()))


def _ask(control: Control) -> tuple[StatusReport | None, bool]:
    try:
        return control.status(), False
    except NotRunning:
        return None, False
    except TimedOut:
        return None, True


def _units(env: Mapping[str, str]) -> state.UnitStates | None:
    try:
        return state.read_after_start(Systemctl(env))
    except NoManager:
        return None


def _outdated(env: Mapping[str, str], folder: Path) -> tuple[installation.UnitChange, ...]:
    """Changes that `install` would make. Installed addresses, variables and namespaces are choices, and kept."""
    addresses = installation.installed_addresses(folder)
    refusal = sandbox.refusal_on_disk(folder)
    return () if addresses is None else tuple(installation.plan(env, addresses, refusal).changes())


def _is_absent(address: ListenAddress) -> bool:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        # Binding a datagram socket to any port checks the address, and affects no other program.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address.host, 0))
    except OSError:
        return True
    return False
