"""`sessions import`, `backup`, `check` and `recover`: they use the database itself, with or without a gateway."""

import os
import time
from collections import Counter
from pathlib import Path

import click

from gateway import __version__
from gateway.client.control import Control
from gateway.config import catalog, files
from gateway.errors import AlreadyRunning, GatewayError, NotRunning, TimedOut
from gateway.exits import ExitCode
from gateway.files.paths import Paths
from gateway.lifecycle import lease
from gateway.machine.clock import now_ms
from gateway.sessions import backup as backing
from gateway.sessions import salvage as salvaging
from gateway.sessions.checkup import Checkup, look
from gateway.sessions.openclaw.imports import HERE, Import, ImportReport, Naming
from gateway.terminal.spinner import Spinner
from gateway.terminal.writer import print_json, print_line
from gateway.units import installation

as_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.command("import")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="STATE_DIR",
    help="OpenClaw's state folder. Default: the one that this gateway uses too.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be imported, and do nothing.")
@as_json_option
def import_(source: Path | None, dry_run: bool, as_json: bool) -> None:
    """Bring along the sessions of OpenClaw (2026.2.1, 2026.9.6).

    Sessions that are here already stay as they are, and OpenClaw's files too; so it can be done again at any time,
    also while the gateway runs.
    """
    env = installation.service_environment(os.environ)
    paths = Paths.from_env(env)
    if not dry_run:
        _refuse_other_version(paths)
    who = catalog.defaults(files.read(paths.config, env, paths.state, access_only=True).merged)
    work = Import(source or paths.state, paths.database, Naming(who.main_key, who.scope), dry_run=dry_run)
    with Spinner("importing"):
        report = work.run()
    if as_json:
        print_json(report)
        return
    for line in _told(report):
        print_line(line)


@click.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), required=False)
@as_json_option
def backup(path: Path | None, as_json: bool) -> None:
    """Copy all conversations to PATH, as of this moment.

    Without PATH into the folder `backups` of the state folder, under the time's name. What it makes is one file that a
    gateway can take in place of its own while it is stopped.
    """
    paths = Paths.from_env(installation.service_environment(os.environ))
    if path is None:
        path = paths.state / "backups" / time.strftime("conversations-%Y%m%d-%H%M%S.sqlite")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Spinner("copying"):
        size = backing.copy(paths.database, path)
    answer = {"path": str(path), "bytes": size}
    print_json(answer) if as_json else print_line(f"copied {size / 1e6:.1f} MB to {path}")


@click.command()
@click.option("--deep", is_flag=True, help="Compare every index with its table, too.")
@as_json_option
def check(deep: bool, as_json: bool) -> None:
    """Look whether all of the database can be read.

    Changes nothing. Exit code 4 when it is damaged or cannot be read; `doctor` names the remedy.
    """
    paths = Paths.from_env(installation.service_environment(os.environ))
    with Spinner("looking"):
        found = look(paths.database, deep=deep)
    if found is None:
        raise GatewayError(_absent(paths.database))
    if as_json:
        print_json(found)
    else:
        for line in _verdict(found):
            print_line(line)
    bad = found.problem is not None or found.damages
    raise click.exceptions.Exit(ExitCode.UNHEALTHY if bad else ExitCode.OK)


@click.command()
@as_json_option
def recover(as_json: bool) -> None:
    """Take what can be read of a damaged database into a new one.

    The gateway must be stopped. The damaged file is kept beside the new one, which takes its place.
    """
    paths = Paths.from_env(installation.service_environment(os.environ))
    if not paths.database.exists():
        raise GatewayError(_absent(paths.database))
    try:
        lease.acquire(paths.state, stand_in=paths.lock)  # until this process ends
    except AlreadyRunning:
        raise AlreadyRunning("a gateway uses the database: `openclaw-gateway stop` first") from None
    with Spinner("recovering"):
        salvage = salvaging.recover(paths.database, now_ms())
    if as_json:
        print_json(salvage)
        return
    sessions, messages = (_count(salvage.rows[f"{what}s"], what) for what in ("session", "message"))
    print_line(f"recovered {sessions} with {messages}; the old file is {salvage.aside}")
    if salvage.found:
        print_line(f"{_count(salvage.found, 'more session')} got a new key: only what was said could be read")


def _absent(database: Path) -> str:
    return f"there is no {database}; a gateway makes it when it begins"


def _refuse_other_version(paths: Paths) -> None:
    """Refuse while a gateway of another version runs: it would use a database with a newer schema.

    Raises GatewayError.
    """
    try:
        running = Control(paths.control).status().version
    except (NotRunning, TimedOut):
        return
    if running != __version__:
        raise GatewayError(f"{running} runs, and this is {__version__}: `openclaw-gateway restart` first")


def _told(report: ImportReport) -> list[str]:
    messages = sum(brought.messages for brought in report.sessions)
    verb = "would import" if report.dry_run else "imported"
    lines = [
        f"{verb} {_count(len(report.sessions), 'session')} with {_count(messages, 'message')} from {report.source}"
    ]
    if here := sum(skipped.why == HERE for skipped in report.skipped):
        lines.append(f"{_count(here, 'session')} {'is' if here == 1 else 'are'} here already")
    lines += [
        f"skipped {skipped.key or f'all of agent {skipped.agent}'}: {skipped.why}"
        for skipped in report.skipped
        if skipped.why != HERE
    ]
    lines += [f"left out {count:,} {what}" for what, count in Counter(report.left_out).most_common()]
    if report.orphans:
        lines.append(f"left out {_count(report.orphans, 'transcript')} that no session refers to")
    return lines


def _verdict(found: Checkup) -> list[str]:
    if found.problem is not None:
        return [found.problem]
    if found.damages:
        return ["damaged:", *(f"  {damage}" for damage in found.damages)]
    held = f"{_count(found.sessions, 'session')} and {_count(found.messages, 'message')}"
    return [f"good: {held} in {found.size / 1e6:.1f} MB, {found.unused / 1e6:.1f} MB of them unused; {found.path}"]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
