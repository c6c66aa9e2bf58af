"""The config files that `config` compares: a given one, the one in force, and what a running gateway says of them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from gateway.client.control import Control
from gateway.client.served import check_config
from gateway.config import files, lastgood
from gateway.config.configfile import ConfigFile
from gateway.config.files import Snapshot
from gateway.config.schema import Config
from gateway.errors import ConfigInvalid, GatewayError
from gateway.files.paths import Paths
from gateway.reload.plan import Plan, make_plan
from gateway.terminal.writer import print_line
from gateway.text.visible import RED, paint
from gateway.units.installation import installed_addresses, open_addresses, service_environment
from gateway.units.places import unit_folder


def read_config(
    path: Path | None = None,
    text: str | None = None,
    included: dict[str, str] | None = None,
    *,
    access_only: bool = False,
) -> Snapshot:
    """Read a config file, by default the one in use, as if it had `text`. It never raises: errors are issues."""
    env = config_environment()
    paths = Paths.from_env(env)
    file = ConfigFile(path or paths.config, env, paths.state, _open_addresses(env))
    return file.read(text=text, included=included, access_only=access_only)


def _open_addresses(env: Mapping[str, str]) -> tuple[str, ...]:
    """Addresses for other machines from `install --bind`, a drop-in or `run --bind`, which the config does not know."""
    try:
        listeners = Control.from_env(env).status(timeout=1.0).listeners
    except GatewayError:
        listeners = ()
    return open_addresses(unit_folder(env), listeners)


def require_valid(found: Snapshot, remark: str = "") -> Snapshot:
    """The snapshot, if it has no issue. Otherwise they go to stderr, and ConfigInvalid is raised with `remark`."""
    if found.config is None:
        _refuse(found, remark)
    return found


def service_plan(found: Snapshot, remark: str = "", included: dict[str, str] | None = None) -> Plan | None:
    """The plan of the running gateway; None if none runs. Issues there go to stderr, and ConfigInvalid is raised."""
    judged = check_config(config_environment(), found, included)
    if not judged.valid:
        _refuse(judged.merged(), remark)
    return judged.seen.plan if judged.seen else None


def _refuse(found: Snapshot, remark: str) -> NoReturn:
    for issue in found.issues:
        print_line(paint("error:", RED), f" {issue}", err=True)
    count = len(found.issues)
    raise ConfigInvalid(f"{found.path}: {count} error{'s' if count > 1 else ''}{'; ' if remark else ''}{remark}")


def config_in_force(paths: Paths, other_than: Path | None = None) -> Snapshot:
    """The config file; or the last one that ran, if the file is invalid or is `other_than`."""
    found = files.read(paths.config, config_environment(), paths.state)
    same = other_than is not None and os.path.realpath(other_than) == os.path.realpath(paths.config)
    if found.config is not None and not same:
        return found
    last = lastgood.load(paths.state, paths.config, config_environment())
    return last or Snapshot(paths.config, False, (), config=Config())


def plan_between(old: Snapshot, new: Snapshot) -> Plan:
    """The reload plan for a change from `old` to `new`, which have no issues."""
    assert old.config and new.config  # the caller has validated both
    mode = new.config.gateway.reload.mode  # the new config decides, as in a reload
    return make_plan(old.tree, new.tree, old.config, new.config, mode, _socket_by_systemd(config_environment()))


def _socket_by_systemd(env: Mapping[str, str]) -> bool:
    """Whether systemd holds the port; if no gateway runs, whether `install` has written the socket unit."""
    try:
        return Control.from_env(env).status(timeout=1.0).port_owner == "systemd"
    except GatewayError:
        return installed_addresses(unit_folder(env)) is not None


def config_environment() -> dict[str, str]:
    """The variables of this shell, with those of the installed service for the paths that the shell does not set."""
    return service_environment(os.environ)
