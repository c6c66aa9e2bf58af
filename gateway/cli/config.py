"""`config check | migrate | plan | get | set | schema`: the config file before, while and after it is edited."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from gateway.cli.migrate import migrate
from gateway.cli.plans import FATES, plan_facts, tell_plan
from gateway.client.control import Control
from gateway.client.served import CheckedConfig, check_config
from gateway.config import edit, files, json5, lastgood, owners
from gateway.config.configfile import ConfigFile
from gateway.config.fields import FIELDS, SECTIONS, json_schema, overlay
from gateway.config.files import Snapshot
from gateway.config.parse import MAX_DEPTH
from gateway.config.schema import Config
from gateway.config.vocabulary import FIRST, LATEST, Vocabulary, new_unknown_keys, unrecognized_messages
from gateway.errors import ConfigInvalid, GatewayError
from gateway.exits import ExitCode
from gateway.files.paths import Paths
from gateway.reload.plan import Plan, make_plan
from gateway.rpc.redaction import REDACTED, redact
from gateway.terminal.writer import deliver, page, say, tell_json
from gateway.text.visible import BOLD, GREEN, RED, YELLOW, paint
from gateway.units.installation import installed_addresses, open_addresses, service_environment
from gateway.units.places import unit_folder

MAX_UNUSED = 50
"""Keys that are not used, told without --json."""

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
_file = click.Path(dir_okay=False, path_type=Path)


@click.group()
def config() -> None:
    """Check, plan, read and change the config.

    The file is $OPENCLAW_CONFIG_PATH, else openclaw.json in $OPENCLAW_STATE_DIR (~/.openclaw). It may be JSON5, include
    other files and name environment variables.
    """


config.add_command(migrate)


@config.command()
@click.argument("file", type=_file, required=False)
@_json
def check(file: Path | None, as_json: bool) -> None:
    """List every error in the config, or in FILE, with its place.

    Also names warnings, and the keys that this gateway does not use: OpenClaw's own keys are fine and have no effect.
    Exit code 78 when there are errors, so that a script can check a file before it is put in place.
    """
    read = _read(file.absolute() if file else None)
    if file is not None and not read.exists:
        raise GatewayError(f"{file}: no such file")
    judged = check_config(_environment(), read)
    found = judged.merged()
    if as_json:
        facts = {
            "path": str(found.path),
            "exists": found.exists,
            "valid": judged.valid,
            "environment": "service" if judged.seen else "shell",
            "issues": found.issues,
            "warnings": found.warnings,
            "unused": found.unused,
        }
        tell_json(facts, indent=2)
    else:
        _tell_check(found, judged)
    sys.exit(ExitCode.OK if judged.valid else ExitCode.CONFIG_INVALID)


def _tell_check(found: Snapshot, judged: CheckedConfig) -> None:
    for issue in found.issues:
        say(paint("error:", RED), f" {issue}")
    for warning in found.warnings:
        say(paint("warning:", YELLOW), f" {warning}")
    if found.unused:
        rest = f" and {len(found.unused) - MAX_UNUSED} more (--json)" if len(found.unused) > MAX_UNUSED else ""
        say(f"not used by this gateway: {', '.join(found.unused[:MAX_UNUSED])}{rest}")
    say(judged.where)
    if not found.exists and judged.valid:
        say(f"{found.path} does not exist; the defaults are in force")
    elif judged.valid:
        say(paint(f"{found.path}: good", GREEN))
    else:
        count = len(found.issues)
        say(f"{found.path}: {count} error{'s' if count > 1 else ''}; the gateway keeps the config that it has")


@config.command()
@click.argument("file", type=_file)
@_json
def plan(file: Path, as_json: bool) -> None:
    """Show what saving FILE as the config would do.

    For each value that differs: applied hot, restart, socket unit, or nothing. Given the config file itself, it is
    compared with the last config that ran.
    """
    paths = Paths.from_env(_environment())
    new = _read(file.absolute())
    if not new.exists:
        raise GatewayError(f"{file}: no such file")
    made = _accepted(new) or _plan(_in_force(paths, file.absolute()), _valid(new))
    if as_json:
        tell_json(plan_facts(made), indent=2)
    else:
        tell_plan(made)


@config.command()
@click.argument("path", default="")
@click.option("--raw", is_flag=True, help="What the file says: without includes, variables and defaults.")
@click.option("--show-secrets", is_flag=True, help=f"Show secrets instead of {REDACTED}.")
@_json
def get(path: str, raw: bool, show_secrets: bool, as_json: bool) -> None:
    """Show the value at PATH (such as gateway.port), or the whole config.

    The value in force: after includes, variables, environment and defaults.
    """
    found = _read()
    tree: Any = found.parsed if raw else overlay(_valid(found).tree, msgspec.to_builtins(found.config))
    tree = tree if show_secrets else redact(tree)
    for key in _keys(path) if path else ():
        if not isinstance(tree, dict) or key not in tree:
            raise GatewayError(f"{path} is not set")
        tree = tree[key]
    if isinstance(tree, str) and not as_json:
        deliver(tree)
    else:
        tell_json(tree, indent=2)


@config.command("set")
@click.argument("path")
@click.argument("value")
@click.option("--dry-run", is_flag=True, help="Show what would happen; write nothing.")
def set_(path: str, value: str, dry_run: bool) -> None:
    """Set the value at PATH (such as gateway.port) in the config file.

    VALUE is JSON5 (18790, true, '{a: 1}'), else a text. Comments and order of the file stay; the version before is kept
    beside it as .bak. Nothing is written when the result would have errors (exit code 78).
    """
    paths = Paths.from_env(_environment())
    before = _read(access_only=True)
    keys, parsed = _keys(path), _value(value)
    if REDACTED in value:
        raise GatewayError(f"{REDACTED} stands for a secret that was hidden; it is not the secret")
    try:
        included = owners.with_value(before.layers, before.merged, keys, parsed) if before.layers else {}
        text = included.pop(str(paths.config), before.raw) if before.layers else None
        text = edit.set_value(before.raw if before.raw is not None else "{}\n", keys, parsed) if text is None else text
    except (edit.CannotEdit, json5.Json5Error, owners.NotOwned) as error:
        raise ConfigInvalid(f"{paths.config}: {error}; nothing was written") from error
    after = _read(text=text, included=included)
    for strange in (unknown := new_unknown_keys(before.merged, after.merged))[:1]:
        near = Vocabulary(LATEST, FIRST).nearest(strange)
        ((where, what), *_) = unrecognized_messages(unknown)
        raise ConfigInvalid(f"{where}: {what}{f'; did you mean {near}?' if near else ''}; nothing was written")
    accepted = _accepted(after, "nothing was written", included)
    where = ", ".join(included) or str(paths.config)
    if _at(after.merged, keys) != parsed or not all(files.is_beside(paths.config, file) for file in included):
        raise GatewayError(f"{path} stands in an included file; edit it there: {where}")
    made = accepted or _plan(_in_force(paths), after)
    texts = {**included, **({str(paths.config): text} if text != before.raw else {})}
    try:
        for file, new in () if dry_run else texts.items():
            known = before.raw if file == str(paths.config) else ...
            files.write(Path(file), new, expected=known)
    except OSError as error:
        raise GatewayError(f"{where} cannot be written: {error.strerror}") from error
    tell_plan(made)
    say(f"{'would write' if dry_run else 'saved'}: {where}")


@config.command()
@click.argument("path", default="")
@_json
def schema(path: str, as_json: bool) -> None:
    """Describe the settings below PATH: default, allowed values, and what a change needs.

    With --json: a JSON Schema, in which x-effect says what a change needs.
    """
    if path not in FIELDS and path not in SECTIONS:
        raise GatewayError(f"{path} is not a setting of this gateway; `openclaw-gateway config schema` lists them")
    if as_json:
        tell_json(json_schema(path), indent=2)
        return
    for name, rule in FIELDS.items():
        if name == path or not path or name.startswith(f"{path}."):
            default = "unset" if rule.default is None else json.dumps(rule.default)
            say(paint(name, BOLD))
            page(f"  {rule.doc}\n  allowed: {rule.allowed}\n  default: {default}\n  a change: {FATES[rule.effect][0]}")


def _read(
    path: Path | None = None,
    text: str | None = None,
    included: dict[str, str] | None = None,
    *,
    access_only: bool = False,
) -> Snapshot:
    env = _environment()
    paths = Paths.from_env(env)
    file = ConfigFile(path or paths.config, env, paths.state, _open_addresses(env))
    return file.read(text=text, included=included, access_only=access_only)


def _open_addresses(env: Mapping[str, str]) -> tuple[str, ...]:
    """Not the config alone says where the gateway listens: `install --bind`, a drop-in or `run --bind` may as well."""
    try:
        listeners = Control.from_env(env).status(timeout=1.0).listeners
    except GatewayError:
        listeners = ()
    return open_addresses(unit_folder(env), listeners)


def _valid(found: Snapshot, remark: str = "") -> Snapshot:
    """Ends the command with every issue on stderr when there are any."""
    if found.config is None:
        _refuse(found, remark)
    return found


def _accepted(found: Snapshot, remark: str = "", included: dict[str, str] | None = None) -> Plan | None:
    """What the running gateway would do with it; None where none runs. Ends the command if it has errors there."""
    judged = check_config(_environment(), found, included)
    if not judged.valid:
        _refuse(judged.merged(), remark)
    return judged.seen.plan if judged.seen else None


def _refuse(found: Snapshot, remark: str) -> NoReturn:
    for issue in found.issues:
        say(paint("error:", RED), f" {issue}", err=True)
    count = len(found.issues)
    raise ConfigInvalid(f"{found.path}: {count} error{'s' if count > 1 else ''}{'; ' if remark else ''}{remark}")


def _in_force(paths: Paths, other_than: Path | None = None) -> Snapshot:
    """The config file as it is; the last one that ran where that is invalid, or is the one to compare with."""
    found = files.read(paths.config, _environment(), paths.state)
    same = other_than is not None and os.path.realpath(other_than) == os.path.realpath(paths.config)
    if found.config is not None and not same:
        return found
    last = lastgood.load(paths.state, paths.config, _environment())
    return last or Snapshot(paths.config, False, (), config=Config())


def _plan(old: Snapshot, new: Snapshot) -> Plan:
    assert old.config and new.config  # both were validated
    mode = new.config.gateway.reload.mode  # as the reload does: the file says how it wants to be taken
    return make_plan(old.tree, new.tree, old.config, new.config, mode, _socket_by_systemd(_environment()))


def _socket_by_systemd(env: Mapping[str, str]) -> bool:
    """As the running gateway says; where none runs, whether `install` has been here."""
    try:
        return Control.from_env(env).status(timeout=1.0).port_owner == "systemd"
    except GatewayError:
        return installed_addresses(unit_folder(env)) is not None


def _keys(path: str) -> tuple[str, ...]:
    keys = tuple(path.split("."))
    if not all(keys):
        raise click.UsageError(f"{path!r} is no path; write it as gateway.auth.token")
    return keys


def _value(text: str) -> Any:
    try:
        return json5.parse(text, MAX_DEPTH).root.value
    except json5.Json5Error:
        return text


def _at(tree: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _environment() -> dict[str, str]:
    """The config that is meant is the installed service's, where this shell does not say which."""
    return service_environment(os.environ)
