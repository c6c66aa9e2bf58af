"""`install` and `uninstall`: write our units to the user's unit folder, and remove them.

Only files that `install` wrote are changed or removed, and never the user's drop-ins, config and state.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.cli.activation import activate, stop
from gateway.cli.listening import choose, refuse_open_port
from gateway.errors import UnitConflict
from gateway.machine import holders
from gateway.terminal.spinner import Spinner
from gateway.terminal.writer import print_line
from gateway.units import ENABLED, MARK, SERVICE, SOCKET, UNITS, installation, rivals, sandbox
from gateway.units.addresses import HIGHEST_PORT
from gateway.units.places import drop_ins, lingers, read, unit_folder
from gateway.units.systemctl import NoManager, Systemctl, SystemctlFailed, enable_linger
from gateway.units.takeover import backups, put_aside


@click.command()
@click.option("--port", type=click.IntRange(1, HIGHEST_PORT), help="TCP port; default: the config's, else 18789.")
@click.option("--bind", metavar="loopback|lan|auto|ADDRESS", help="Where; default: the config's, else loopback.")
@click.option("--now", is_flag=True, help="Start it as well, or restart it on what has changed.")
@click.option("--take-over", "--force-takeover", is_flag=True, help="Put OpenClaw's own unit aside, with a backup.")
def install(port: int | None, bind: str | None, now: bool, take_over: bool) -> None:
    """Write, enable and start the systemd units.

    Writes socket and service of the gateway and of the agent (openclaw-gateway.*, openclaw-agent.*) for this
    installation into ~/.config/systemd/user, enables them, and lets them run without a login (lingering).
    OPENCLAW_STATE_DIR and OPENCLAW_CONFIG_PATH go into the gateway's service if they are set here. Your drop-ins
    (systemctl --user edit) stay in force. Running it again changes nothing.
    """
    _refuse_system_units()
    if os.environ.get("SUDO_USER"):
        print_line("note: under sudo this installs root's own gateway; for yours, run it without sudo")
    openclaw = rivals.openclaw_unit(os.environ)
    env = (dict(openclaw.carried) if openclaw else {}) | installation.service_environment(os.environ)
    in_the_way = ([openclaw.path] if openclaw else []) + rivals.foreign_units(env)
    if in_the_way and not take_over:
        raise UnitConflict(_conflict_sentence(openclaw, in_the_way))
    choice = choose(env, port, bind, replaced_port=openclaw.port if openclaw else None)
    refuse_open_port(choice)
    systemctl = Systemctl.available(env)
    refusal = sandbox.find_refusal(systemctl, unit_folder(env), env, installation.program(SERVICE))
    wanted = installation.plan(env, choice.addresses, refusal)
    wanted.refuse_directories()  # before anything is stopped or moved
    _take_aside(systemctl, openclaw, in_the_way)
    changes = wanted.apply()
    notes = [*choice.notes, *([f"the sandbox is without namespaces: {refusal}"] if refusal and systemctl else [])]
    for note in notes:
        print_line(f"note: {note}")
    for change in changes:
        print_line(f"{change.kind}: {change.path}")
    if systemctl is None:
        _without_manager(now)
        return
    changed = {change.unit for change in changes} | {path.name for path in in_the_way}
    activated = activate(systemctl, env, choice, changed, now)
    lingered = _ensure_linger()
    _tell_drop_ins()
    if not (changed or activated or lingered):
        print_line("already installed, nothing to change")


def _refuse_system_units() -> None:
    for unit in rivals.system_units():
        if unit.enabled:
            raise UnitConflict(
                f"{unit.path} is enabled: a system-wide gateway and yours would fight for the port. Keep that one, or "
                f"disable it first: sudo systemctl disable --now {SOCKET} {SERVICE}"
            )
        print_line(f"note: {unit.path} exists but is not enabled; it would fight with this one if it were started")


def _conflict_sentence(openclaw: rivals.OpenClawUnit | None, paths: Sequence[Path]) -> str:
    listed = " and ".join(map(str, paths))
    whose = "(OpenClaw's own unit)" if openclaw else "(not written by this program)"
    return (
        f"in the way: {listed} {whose}. Two gateways cannot have one name and one port; "
        "to replace it, with a backup beside it: openclaw-gateway install --take-over"
    )


def _take_aside(systemctl: Systemctl | None, openclaw: rivals.OpenClawUnit | None, paths: Sequence[Path]) -> None:
    """Stop foreign units with our names, and rename their files."""
    if paths and systemctl:
        systemctl.do("stop", *[path.name for path in paths])
    for path in paths:
        print_line(f"put aside: {path} -> {put_aside(path).name}")
    if openclaw:
        for name, value in sorted(openclaw.carried.items()):
            print_line(f"carried over: {name}={value}")
        if openclaw.dropped:
            print_line(
                f"not carried over: {', '.join(openclaw.dropped)} (what is a secret belongs into the config file or "
                "~/.openclaw/.env, not into a unit; the backup has the values)"
            )


def _without_manager(now: bool) -> None:
    sentence = (
        "no systemd user manager answers here, so nothing is enabled yet. When one does (log in, or: sudo loginctl "
        "enable-linger $USER), run: openclaw-gateway install --now. Until then: openclaw-gateway run"
    )
    if now:
        raise NoManager(sentence)
    print_line(sentence)


def _ensure_linger() -> bool:
    """Enable lingering; a failure does not fail the installation. Returns whether anything changed."""
    user = holders.user_name(os.getuid())
    if lingers(user):
        return False
    reason = enable_linger(os.environ, user)
    if reason is None:
        print_line(f"lingering enabled for {user}: the gateway starts at boot and survives logout")
        return True
    print_line(
        f"note: lingering could not be enabled ({reason}), so the gateway ends when {user} logs out. "
        f"To change that: sudo loginctl enable-linger {user}"
    )
    return False


def _tell_drop_ins() -> None:
    folder = unit_folder(os.environ)
    for unit in UNITS:
        for path in drop_ins(folder, unit):
            text = read(path) or ""
            if not text.startswith(MARK):
                also = f"; it replaces the command of {unit}" if "ExecStart=" in text else ""
                print_line(f"your drop-in stays in force: {path}{also}")


@click.command()
def uninstall() -> None:
    """Stop and remove the systemd units.

    Removes only what `install` wrote. Config, state and your drop-ins stay, and so does a unit that was put aside.
    """
    folder = unit_folder(os.environ)
    written = installation.written_files(folder)
    systemctl = Systemctl.available(os.environ)
    names = [path.name for path in written if path.name in UNITS]
    if systemctl and names:
        with Spinner("stopping"):
            stop(systemctl, names)
            systemctl.do("disable", *(name for name in names if name in ENABLED))
    installation.remove(written)
    for path in written:
        print_line(f"removed: {path}")
    if systemctl and written:
        systemctl.do("daemon-reload")
        _forget_failures(systemctl, names)
    if not written:
        print_line(f"nothing of ours in {folder}")
    for backup in backups(folder):
        original = backup.name.partition(".openclaw-backup")[0]
        print_line(f"put aside earlier: {backup}; to use it again: mv {backup} {folder / original}")
    print_line("config and state are left as they are")


def _forget_failures(systemctl: Systemctl, names: list[str]) -> None:
    try:
        systemctl.do("reset-failed", *names)
    except SystemctlFailed:
        pass  # the unit had not failed, so it is unloaded already
