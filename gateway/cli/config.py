"""`config check | migrate | plan | get | set | schema`."""

import json
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from gateway.cli.config_snapshots import (
    config_environment,
    config_in_force,
    plan_between,
    read_config,
    require_valid,
    service_plan,
)
from gateway.cli.migrate import migrate
from gateway.cli.plans import FATES, plan_facts, print_plan
from gateway.client.served import CheckedConfig, check_config
from gateway.config import edit, files, json5, owners
from gateway.config.fields import FIELDS, SECTIONS, json_schema, overlay
from gateway.config.files import Snapshot
from gateway.config.parse import MAX_DEPTH
from gateway.config.vocabulary import FIRST, LATEST, Vocabulary, new_unknown_keys, unrecognized_messages
from gateway.errors import ConfigInvalid, GatewayError
from gateway.exits import ExitCode
from gateway.files.paths import Paths
from gateway.rpc.redaction import REDACTED, redact
from gateway.terminal.writer import print_json, print_line, print_result, print_text
from gateway.text.visible import BOLD, GREEN, RED, YELLOW, paint

MAX_UNUSED = 50
"""Unused keys that are printed without --json."""

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
    read = read_config(file.absolute() if file else None)
    if file is not None and not read.exists:
        raise GatewayError(f"{file}: no such file")
    checked = check_config(config_environment(), read)
    found = checked.merged()
    if as_json:
        facts = {
            "path": str(found.path),
            "exists": found.exists,
            "valid": checked.valid,
            "environment": "service" if checked.seen else "shell",
            "issues": found.issues,
            "warnings": found.warnings,
            "unused": found.unused,
        }
        print_json(facts, indent=2)
    else:
        _tell_check(found, checked)
    sys.exit(ExitCode.OK if checked.valid else ExitCode.CONFIG_INVALID)


def _tell_check(found: Snapshot, checked: CheckedConfig) -> None:
    for issue in found.issues:
        print_line(paint("error:", RED), f" {issue}")
    for warning in found.warnings:
        print_line(paint("warning:", YELLOW), f" {warning}")
    if found.unused:
        rest = f" and {len(found.unused) - MAX_UNUSED} more (--json)" if len(found.unused) > MAX_UNUSED else ""
        print_line(f"not used by this gateway: {', '.join(found.unused[:MAX_UNUSED])}{rest}")
    print_line(checked.where)
    if not found.exists and checked.valid:
        print_line(f"{found.path} does not exist; the defaults are in force")
    elif checked.valid:
        print_line(paint(f"{found.path}: good", GREEN))
    else:
        count = len(found.issues)
        print_line(f"{found.path}: {count} error{'s' if count > 1 else ''}; the gateway keeps the config that it has")


@config.command()
@click.argument("file", type=_file)
@_json
def plan(file: Path, as_json: bool) -> None:
    """Show what saving FILE as the config would do.

    For each value that differs: applied hot, restart, socket unit, or nothing. Given the config file itself, it is
    compared with the last config that ran.
    """
    paths = Paths.from_env(config_environment())
    new = read_config(file.absolute())
    if not new.exists:
        raise GatewayError(f"{file}: no such file")
    made = service_plan(new) or plan_between(config_in_force(paths, file.absolute()), require_valid(new))
    if as_json:
        print_json(plan_facts(made), indent=2)
    else:
        print_plan(made)


@config.command()
@click.argument("path", default="")
@click.option("--raw", is_flag=True, help="What the file says: without includes, variables and defaults.")
@click.option("--show-secrets", is_flag=True, help=f"Show secrets instead of {REDACTED}.")
@_json
def get(path: str, raw: bool, show_secrets: bool, as_json: bool) -> None:
    """Show the value at PATH (such as gateway.port), or the whole config.

    The value in force: after includes, variables, environment and defaults.
    """
    found = read_config()
    tree: Any = found.parsed if raw else overlay(require_valid(found).tree, msgspec.to_builtins(found.config))
    tree = tree if show_secrets else redact(tree)
    for key in _keys(path) if path else ():
        if not isinstance(tree, dict) or key not in tree:
            raise GatewayError(f"{path} is not set")
        tree = tree[key]
    if isinstance(tree, str) and not as_json:
        print_result(tree)
    else:
        print_json(tree, indent=2)


@config.command("set")
@click.argument("path")
@click.argument("value")
@click.option("--dry-run", is_flag=True, help="Show what would happen; write nothing.")
def set_(path: str, value: str, dry_run: bool) -> None:
    """Set the value at PATH (such as gateway.port) in the config file.

    VALUE is JSON5 (18790, true, '{a: 1}'), else a text. Comments and order of the file stay; the version before is kept
    beside it as .bak. Nothing is written when the result would have errors (exit code 78).
    """
    paths = Paths.from_env(config_environment())
    before = read_config(access_only=True)
    keys, parsed = _keys(path), _value(value)
    if REDACTED in value:
        raise GatewayError(f"{REDACTED} stands for a secret that was hidden; it is not the secret")
    try:
        included = owners.with_value(before.layers, before.merged, keys, parsed) if before.layers else {}
        text = included.pop(str(paths.config), before.raw) if before.layers else None
        text = edit.set_value(before.raw if before.raw is not None else "{}\n", keys, parsed) if text is None else text
    except (edit.CannotEdit, json5.Json5Error, owners.NotOwned) as error:
        raise ConfigInvalid(f"{paths.config}: {error}; nothing was written") from error
    after = read_config(text=text, included=included)
    for unknown_key in (unknown := new_unknown_keys(before.merged, after.merged))[:1]:
        near = Vocabulary(LATEST, FIRST).nearest(unknown_key)
        ((where, what), *_) = unrecognized_messages(unknown)
        raise ConfigInvalid(f"{where}: {what}{f'; did you mean {near}?' if near else ''}; nothing was written")
    accepted = service_plan(after, "nothing was written", included)
    where = ", ".join(included) or str(paths.config)
    if _at(after.merged, keys) != parsed or not all(files.is_beside(paths.config, file) for file in included):
        raise GatewayError(f"{path} stands in an included file; edit it there: {where}")
    made = accepted or plan_between(config_in_force(paths), after)
    texts = {**included, **({str(paths.config): text} if text != before.raw else {})}
    try:
        for file, new in () if dry_run else texts.items():
            known = before.raw if file == str(paths.config) else ...
            files.write(Path(file), new, expected=known)
    except OSError as error:
        raise GatewayError(f"{where} cannot be written: {error.strerror}") from error
    print_plan(made)
    print_line(f"{'would write' if dry_run else 'saved'}: {where}")


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
        print_json(json_schema(path), indent=2)
        return
    for name, rule in FIELDS.items():
        if name == path or not path or name.startswith(f"{path}."):
            default = "unset" if rule.default is None else json.dumps(rule.default)
            print_line(paint(name, BOLD))
            print_text(
                f"  {rule.doc}\n  allowed: {rule.allowed}\n  default: {default}\n  a change: {FATES[rule.effect][0]}"
            )


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
