"""Everything that the checks look at, gathered once. It starts nothing, changes nothing and needs no D-Bus."""

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
"""Bytes. The gateway empties it all the time; what keeps it from that is a program that reads and does not end."""
CHECK_S = 10.0
"""The longest look into the database."""


@dataclass(frozen=True)
class Evidence:
    user: str
    paths: Paths
    config: files.Snapshot
    report: StatusReport | None = None
    """None when no gateway answers."""
    frozen: bool = False
    """Something has the control socket open and does not answer."""
    units: state.UnitStates | None = None
    """None where no user manager answers."""
    installed: bool = False
    """Whether the gateway's unit files that `install` wrote are there."""
    outdated: tuple[installation.UnitChange, ...] = ()
    """What `install` would change now."""
    sandbox_refusal: str | None = None
    """Why `install` left the namespaces out of the gateway's sandbox."""
    service_paths: Paths | None = None
    """Where the installed service's files lie, which is not where this shell looks if it says otherwise."""
    system_units: tuple[rivals.SystemUnit, ...] = ()
    openclaw_unit: rivals.OpenClawUnit | None = None
    foreign_units: tuple[Path, ...] = ()
    former_units: tuple[Path, ...] = ()
    """Those of OpenClaw's gateway under its former names."""
    former_configs: tuple[Path, ...] = ()
    listen: tuple[ListenAddress, ...] = ()
    """Where the socket unit listens, or would."""
    absent: tuple[ListenAddress, ...] = ()
    """Those of `listen` that are no address of this machine."""
    silent: tuple[ListenAddress, ...] = ()
    """Those of `listen` on which nobody listens."""
    holders: tuple[Holder, ...] = ()
    linger: bool | None = None
    inotify: InotifyUsage = InotifyUsage()
    database: Checkup | None = None
    """None when there is none yet."""
    readers: tuple[Holder, ...] = ()
    """Who has the database open, where its WAL is large."""
    hindrances: tuple[Hindrance, ...] = ()
    memory_bound: bool | None = None
    """Whether systemd can bound the agent's memory; None where the agent does not run."""
    storage: FreeSpace | None = None
    """None when the state folder is not there yet."""
    uid: int = 1000
    public: tuple[str, ...] = ()
    """Addresses of this machine that are the internet's."""
    writable: tuple[Path, ...] = ()
    """The state folder, the config and its folder, where others may write."""
    told: tuple[Path, ...] = ()
    """Drop-ins with a secret in them that others can read."""
    plaintext: bool = False
    """Whether commands of this shell may send a secret in clear."""


def gather(shell: Mapping[str, str]) -> Evidence:
    env = installation.service_environment(shell)
    paths = Paths.from_env(env)
    folder = unit_folder(env)
    unsaid = {name: value for name, value in shell.items() if name not in installation.FILE_VARIABLES}
    service = installation.service_environment(unsaid)
    user = holders.user_name(os.getuid())
    units = _units(env)  # Before the gateway is asked: this waits for one that is being started.
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
        writable=tuple(path for path in _ours(paths) if _mode(path) & OTHERS_WRITE),
        told=tuple(path for path in drop_ins(folder, SERVICE) if _tells(path)),
        plaintext=shell.get(PLAINTEXT) == "1",
    )


def _ours(paths: Paths) -> dict[Path, None]:
    return dict.fromkeys((paths.state, paths.config.parent, paths.config))


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def _tells(path: Path) -> bool:
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
    """Against what is installed of addresses, variables and namespaces: those are choices, and no sign of age."""
    addresses = installation.installed_addresses(folder)
    refusal = sandbox.refusal_on_disk(folder)
    return () if addresses is None else tuple(installation.plan(env, addresses, refusal).changes())


def _is_absent(address: ListenAddress) -> bool:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        # A datagram socket on any port: asks for the address and disturbs nobody.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address.host, 0))
    except OSError:
        return True
    return False
