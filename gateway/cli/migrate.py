"""`config migrate`: rename the keys of older releases and other programs."""

import os
import sys
from pathlib import Path

import click
from msgspec import Struct

from gateway.config import files, json5, leftovers, migration, old_keys
from gateway.config.configfile import ConfigFile
from gateway.config.files import Snapshot
from gateway.config.include import Merged
from gateway.config.parse import MAX_DEPTH, Document, dotted, parse
from gateway.config.vocabulary import LATEST, Vocabulary
from gateway.errors import ConfigInvalid, GatewayError
from gateway.exits import ExitCode
from gateway.files.paths import Paths
from gateway.terminal.writer import print_json, print_line
from gateway.text.visible import GREEN, RED, YELLOW, paint
from gateway.units.installation import open_addresses, service_environment
from gateway.units.places import unit_folder

MAX_KEPT = 50
"""Lines about what stays, without --json."""


class MigrationReport(Struct, rename="camel"):
    """The object of `--json`."""

    path: str
    """The file that is written, or would be."""
    source: str
    """The file that was read; another one if it is of a release with another name."""
    changed: bool
    written: bool
    backup: str | None
    moved: list[tuple[str, str]]
    """(old key, current key), dotted."""
    dropped: list[tuple[str, str]]
    """(old key, current key) of removed values: the current key had a value."""
    kept: list[tuple[str, str]]
    """(key, reason) of keys that stay."""
    more: bool
    """Whether there may be more old keys than one migration renames."""
    unknown: list[str]
    """Keys that OpenClaw does not know, which stay."""
    issues: list[str]
    warnings: list[str]


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would happen; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def migrate(dry_run: bool, as_json: bool) -> None:
    """Give the config the names of today, where it has those of older releases or of other programs.

    Comments and form stay; the version before is kept as .bak. Where there is no config yet, that of clawdbot or
    moltbot is taken over, and stays where it is. Exit code 78 when the result has errors.
    """
    env = service_environment(os.environ)
    paths = Paths.from_env(env)
    source = _source(paths.config, env)
    if source is None:
        raise GatewayError(f"{paths.config} does not exist, and no older config was found")
    read, old = _text(source)
    done = migration.migrate(old)
    after = _read(paths, env, done.text)
    changed = done.text != old or source != paths.config
    backup = None
    if changed and not dry_run:
        try:
            files.write(paths.config, done.text, expected=read if source == paths.config else None)
        except OSError as error:
            raise GatewayError(f"{paths.config} cannot be written: {error.strerror}") from error
        backup = str(paths.config.with_name(f"{paths.config.name}.bak") if source == paths.config else source)
    kept = [*done.unmoved, *_elsewhere(done, after)]
    unknown = map(dotted, Vocabulary(LATEST).unknown_keys(after.merged))
    report = MigrationReport(
        path=str(paths.config),
        source=str(source),
        changed=changed,
        written=changed and not dry_run,
        backup=backup,
        moved=done.moved,
        dropped=done.dropped,
        kept=kept,
        more=done.is_full,
        unknown=[key for key in unknown if not any(f"{what}.".startswith(f"{key}.") for what, _ in kept)],
        issues=[*map(str, after.issues)],
        warnings=[*leftovers.variable_warnings(env), *_beside(source, paths)],
    )
    if as_json:
        print_json(report, indent=2)
    else:
        _tell(report)
    sys.exit(ExitCode.CONFIG_INVALID if report.issues else ExitCode.OK)


def _source(config: Path, env: dict[str, str]) -> Path | None:
    return config if os.path.lexists(config) else next(iter(leftovers.old_configs(config, env)), None)


def _beside(source: Path, paths: Paths) -> list[str]:
    """Warnings about files beside an old config that it may need."""
    old, new = source.with_name(files.DOTENV_NAME), paths.state / files.DOTENV_NAME
    return [f"{old} is not read; put what is needed of it into {new}"] if old != new and old.is_file() else []


def _text(path: Path) -> tuple[str, str]:
    """The text, and the snapshot made from it."""
    try:
        read = path.read_bytes()
        found = parse(read, str(path))
    except OSError as error:
        raise GatewayError(f"{path} cannot be read: {error.strerror}") from error
    if not isinstance(found, Document):
        raise ConfigInvalid(f"{found}; nothing was written")
    try:
        json5.parse(found.text, MAX_DEPTH)
    except json5.Json5Error as fault:
        raise ConfigInvalid(f"{path}: {fault}; nothing was written") from fault
    return read.decode("utf-8", "replace"), found.text


def _read(paths: Paths, env: dict[str, str], text: str) -> Snapshot:
    file = ConfigFile(paths.config, env, paths.state, open_addresses(unit_folder(env), ()))
    return file.read(text=text, access_only=True)


def _elsewhere(done: migration.Migration, after: Snapshot) -> list[tuple[str, str]]:
    """Old keys in included files, which the user must edit."""
    whole = Merged(after.merged, (), after.layers)
    here = {old.path for old in old_keys.find_old_keys(done.tree, working=True)}
    left = [old for old in old_keys.find_old_keys(after.merged, working=True) if old.path not in here]
    where = {old: ":".join(str(each) for each in whole.locate(old.path, key=True) if each is not None) for old in left}
    return [(dotted(old.path), f"{where[old]} has it; rename it there: {old}") for old in left]


def _tell(report: MigrationReport) -> None:
    for was, now in report.moved:
        print_line(paint(f"- {was}", RED))
        print_line(paint(f"+ {now}", GREEN))
    for was, now in report.dropped:
        print_line(paint(f"- {was}", RED), f"  (dropped: {now} is set, and counts)")
    for what, why in report.kept[:MAX_KEPT]:
        print_line(paint("kept:", YELLOW), f" {what}: {why}")
    if len(report.kept) > MAX_KEPT:
        print_line(paint("kept:", YELLOW), f" {len(report.kept) - MAX_KEPT} more; --json names them all")
    if report.unknown:
        hidden = len(report.unknown) - MAX_KEPT
        more = f" and {hidden} more; --json names them all" if hidden > 0 else ""
        names = ", ".join(report.unknown[:MAX_KEPT])
        print_line(paint("kept:", YELLOW), f" what OpenClaw {LATEST} does not know: {names}{more}")
    for warning in report.warnings:
        print_line(paint("warning:", YELLOW), f" {warning}")
    for issue in report.issues:
        print_line(paint("error:", RED), f" {issue}")
    if not report.changed:
        rest = (
            "nothing else can be renamed here" if report.kept or report.unknown else "has today's names: nothing to do"
        )
        print_line(f"{report.path}{':' if report.kept or report.unknown else ''} {rest}")
    else:
        taken = f"; from {report.source}" if report.source != report.path else ""
        before = f"; before: {report.backup}" if report.backup and not taken else taken
        print_line(f"{'saved' if report.written else 'would write'}: {report.path}{before}")
    if report.more:
        print_line(f"{migration.MAX_MOVED} names are changed in one go: run it again for the others")
