"""The config file on disk: read it with its includes, `.env` and secrets; write it as OpenClaw does, with backups."""

import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from types import EllipsisType
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from gateway.config import leftovers, models, servers
from gateway.config.catalog import Defaults, defaults
from gateway.config.disk import INCLUDE_ROOTS, Disk, include_roots, is_below
from gateway.config.fields import FIELDS
from gateway.config.include import Layer, resolve
from gateway.config.key_review import KeyReview, review_keys
from gateway.config.parse import Locate, TextPosition, dotted, issue
from gateway.config.parse import Path as KeyPath
from gateway.config.schema import Config
from gateway.config.secretproviders import Definition
from gateway.config.secretref import ACCESS, KnownSecrets, SecretFailure, SecretRef, resolve_references
from gateway.config.secretsources import Sources
from gateway.config.substitute import Lookup, config_env, first_of, substitute
from gateway.config.tree import ConfigTree
from gateway.config.validate import from_environment, validate
from gateway.files.atomic import overwrite_text, replace_text, write_lock
from gateway.machine import container
from gateway.report import Issue

MAX_BACKUPS = 5
MAX_WARNINGS = 200
"""Warnings of one config; more are counted."""
MOUNTED = (errno.EBUSY, errno.EXDEV)
"""Errors of a rename onto a mount point."""
DOTENV_NAME = ".env"


class Snapshot(Struct, frozen=True, dict=True):
    """One reading of the config: texts, trees, the typed config or its issues."""

    path: Path
    exists: bool
    files: tuple[Path, ...]
    """Every file read or tried, links not resolved: a watcher must watch them all."""
    raw: str | None = None
    digest: str = ""
    """SHA-256 over all texts read."""
    raw_hash: str = ""
    """SHA-256 of the main file's text. Clients get its `fingerprint`."""
    parsed: dict[str, Any] = {}
    """The value of the main file alone."""
    merged: dict[str, Any] = {}
    """The tree after includes and before `${VAR}`: it has no secret of the environment."""
    tree: ConfigTree = field(default_factory=lambda: ConfigTree({}))
    """The tree after includes, `${VAR}` and references to secrets."""
    dotenv: Mapping[str, str] = {}
    """The variables of `.env` in the state folder."""
    secrets: Mapping[tuple[SecretRef, Definition], str] = {}
    """The values of references to files and programs."""
    unanswered: bool = False
    """Whether a program gave no secret: another try may succeed."""
    config: Config | None = None
    """None if there is any issue."""
    issues: tuple[Issue, ...] = ()
    warnings: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    """Dotted keys that this gateway does not use, the highest node only."""
    layers: tuple[Layer, ...] = ()
    """The file of each part; () for a config without includes."""
    exposed: tuple[Path, ...] = ()
    """Files with a secret that other users may read."""

    def __repr__(self) -> str:
        """Without texts and trees, which hold secrets."""
        return f"Snapshot({self.path}, digest={self.digest!r}, issues={self.issues!r}, warnings={self.warnings!r})"

    @cached_property
    def defaults(self) -> Defaults:
        """Computed once, because every hello and every `health` has it."""
        return defaults(self.merged)


def read(
    path: Path,
    env: Mapping[str, str],
    state_dir: Path | None = None,
    *,
    text: str | None = None,
    included: Mapping[str, str] | None = None,
    known: KnownSecrets | None = None,
    access_only: bool = False,
) -> Snapshot:
    """Read the config. It never raises: errors of files are issues.

    `text` replaces the text of the file, and `included` (file name -> text) those of included files. Programs are run
    for secrets, so it may take `secretsources.DEADLINE_S` seconds; with `access_only`, only for those below
    gateway.auth. `known` are the secrets of the snapshot before.
    """
    disk = Disk(included or {})
    dotenv = disk.dotenv((state_dir or path.parent) / DOTENV_NAME)
    disk.roots = include_roots(path, first_of(env, dotenv)(INCLUDE_ROOTS) or "")
    main = disk.load(str(path)) if text is None else disk.load_text(str(path), text)
    if main is None:
        found = evaluate(Snapshot(path, False, ()), lambda *_, **__: TextPosition(""), env, dotenv)
    elif isinstance(main, Issue):
        found = Snapshot(path, True, (), raw=disk.raw, issues=(main,))
    else:
        merged = resolve(main, disk.include)
        tree, issues = merged.tree, merged.issues
        if not isinstance(tree, dict):
            tree = {}
            issues = issues or (issue(main.locate(()), "the config must be an object, includes counted"),)
        layers = merged.layers if len(merged.layers) > 1 else ()
        start = Snapshot(path, True, (), raw=disk.raw, parsed=main.value, merged=tree, issues=issues, layers=layers)
        found = evaluate(
            start, merged.locate, env, dotenv, note=disk.record_secret_file, known=known, access_only=access_only
        )
    return replace(
        found,
        files=tuple(dict.fromkeys(disk.files)),
        digest=disk.digest.hexdigest(),
        raw_hash=hashlib.sha256((disk.raw or "").encode()).hexdigest(),
        warnings=(*disk.warnings, *leftovers.warnings(path, env, dotenv, absent=main is None), *found.warnings),
        exposed=tuple(disk.exposed),
    )


def evaluate(
    start: Snapshot,
    locate: Locate,
    env: Mapping[str, str],
    dotenv: Mapping[str, str],
    *,
    note: Callable[[str, bytes | None], None] = lambda path, data: None,
    known: KnownSecrets | None = None,
    access_only: bool = False,
) -> Snapshot:
    """Complete a snapshot from `start.merged`: replace `${VAR}` and secret references, and validate. Never raises."""
    outer = first_of(env, dotenv)
    own, _ = substitute(config_env(start.merged), outer)
    lookup: Lookup = first_of(env, dotenv, own)
    tree, missing = substitute(start.merged, lookup)
    issues, warnings, failed = list(start.issues), list(start.warnings), set[str]()
    for where, name in missing:
        if dotted(where) in FIELDS:
            failed.add(dotted(where))
            hint = "set it in the environment, in .env beside the state, or under env.vars"
            message = f"the environment variable {name} is not set"
            issues.append(issue(locate(where), message, dotted(where), hint=hint))
        else:
            warnings.append(f"{dotted(where)}: the environment variable {name} is not set; left as it is")
    resolved = resolve_references(
        tree, lookup, Sources(lookup, note), _is_access_secret if access_only else lambda path: True, known
    )
    tree = resolved.tree
    for failure in resolved.failures:
        if _is_access_secret(failure.path):
            name = dotted(failure.path)
            failed.add(name)
            issues.append(issue(locate(failure.path), failure.problem, name, hint=failure.way_out))
    verdict = validate(
        tree, locate, lookup, frozenset(failed), complete=not start.issues, in_container=container.inside()
    )
    issues += verdict.issues
    review = KeyReview([], [])
    if not start.issues:  # else a part that could not be read may define the name
        review = review_keys(tree, locate, {each.path for each in issues})
        issues += review.errors
        warnings += map(str, review.warnings)
        warnings += models.problems(tree, lookup)
        warnings += servers.problems(tree)
        warnings += _unreported(resolved.failures, warnings)
    reviewed = review.paths
    return replace(
        start,
        tree=tree,
        secrets=resolved.values,
        unanswered=any(each.unanswered for each in resolved.failures),
        dotenv=dotenv,
        config=None if issues else verdict.config,
        issues=tuple(issues),
        warnings=_bounded(warnings),
        unused=tuple(each for each in verdict.unused if each not in reviewed),
    )


def _is_access_secret(path: KeyPath) -> bool:
    return path[: len(ACCESS)] == ACCESS


def _unreported(failures: list[SecretFailure], warnings: list[str]) -> list[str]:
    """Failures of unused models and servers; those of used ones are in `warnings` with the model or server."""
    rest = [each for each in failures if not _is_access_secret(each.path)][:MAX_WARNINGS]
    return [str(each) for each in rest if not any(each.problem in warning for warning in warnings)]


def _bounded(warnings: list[str]) -> tuple[str, ...]:
    more = len(warnings) - MAX_WARNINGS
    return (*warnings[:MAX_WARNINGS], f"{more} more warnings of the config") if more > 0 else tuple(warnings)


def config_from_environment(env: Mapping[str, str], dotenv: Mapping[str, str]) -> Config:
    """The defaults and the environment's port and secrets: the config if the file cannot be used.

    Variables with errors are ignored.
    """
    return from_environment(first_of(env, dotenv))


def load_dotenv(path: Path) -> dict[str, str]:
    """The variables in a `.env` file; {} if it does not exist or cannot be read."""
    return Disk().dotenv(path)


class ConfigFileChanged(OSError):
    """The file has changed since the text was read from which the new one was made."""

    def __init__(self) -> None:
        super().__init__(errno.EAGAIN, "another program has changed it meanwhile; try again")


def write(path: Path, text: str, *, expected: str | None | EllipsisType = ...) -> None:
    """Replace the file atomically, and keep the last five versions as `.bak`, `.bak.1` … `.bak.4`. Raises OSError.

    A lock lets one process write at a time. `expected` is the text that the new one was made from (`Snapshot.raw`):
    if the file has another text now, ConfigFileChanged is raised and nothing is written.

    If the file is a link, its target is replaced. A mount point, as in a container, is written in place.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with write_lock(target):
        now = target.read_bytes() if target.exists() else None
        if expected is not ... and expected != (None if now is None else now.decode("utf-8", "replace")):
            raise ConfigFileChanged
        if now is not None:
            _rotate(path)
            replace_text(_backup(path, 0), now.decode("utf-8", "surrogateescape"))
        try:
            replace_text(target, text)
        except OSError as error:
            if error.errno not in MOUNTED:
                raise
            overwrite_text(target, text)


def is_beside(config: Path, file: str) -> bool:
    """Whether a file is in the config's folder. Other files may belong to other programs, so they are only read."""
    return is_below(os.path.realpath(file), include_roots(config, ""))


def _rotate(path: Path) -> None:
    for number in range(MAX_BACKUPS - 1, 0, -1):
        older = _backup(path, number - 1)
        if older.exists():
            older.replace(_backup(path, number))


def _backup(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.bak" + (f".{number}" if number else ""))
