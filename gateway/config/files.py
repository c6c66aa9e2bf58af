"""The config file on disk: read it with all that belongs to it, and write it as OpenClaw does, with its backups."""

import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import EllipsisType
from typing import Any

from gateway.config import leftovers, models, servers
from gateway.config.catalog import Defaults, defaults
from gateway.config.disk import INCLUDE_ROOTS, Disk, lies_in, roots
from gateway.config.fields import FIELDS
from gateway.config.include import Layer, resolve
from gateway.config.parse import Locate, TextPosition, dotted, issue
from gateway.config.parse import Path as KeyPath
from gateway.config.remarks import Remarks, remarks
from gateway.config.schema import Config
from gateway.config.secretproviders import Definition
from gateway.config.secretref import DOOR, Known, SecretFailure, SecretRef, resolve_references
from gateway.config.secretsources import Sources
from gateway.config.substitute import Lookup, chain, config_env, substitute
from gateway.config.tree import ConfigTree
from gateway.config.validate import from_environment, validate
from gateway.files.atomic import overwrite_text, replace_text, write_lock
from gateway.machine import container
from gateway.report import Issue

MAX_BACKUPS = 5
MAX_WARNINGS = 200
"""Those of one config; more are counted."""
MOUNTED = (errno.EBUSY, errno.EXDEV)
"""What a rename onto a file ends with that is mounted there."""
DOTENV_NAME = ".env"


@dataclass(frozen=True)
class Snapshot:
    """What one look at the disk found."""

    path: Path
    exists: bool
    files: tuple[Path, ...]
    """Every file read or tried, links not resolved: what a watcher has to watch."""
    raw: str | None = field(default=None, repr=False)
    digest: str = ""
    """SHA-256 over all texts read; of nothing when there was nothing to read."""
    raw_hash: str = ""
    """SHA-256 of the main file's text. Clients know it by its `fingerprint`."""
    parsed: dict[str, Any] = field(default_factory=dict, repr=False)
    """The main file alone."""
    merged: dict[str, Any] = field(default_factory=dict, repr=False)
    """After includes, before `${VAR}`: it holds no secret that stands in the environment."""
    tree: ConfigTree = field(default_factory=lambda: ConfigTree({}), repr=False)
    """After includes and `${VAR}`."""
    dotenv: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What `.env` beside the state sets."""
    secrets: Mapping[tuple[SecretRef, Definition], str] = field(default_factory=dict, repr=False)
    """What references to files and programs gave."""
    unanswered: bool = False
    """Whether a program gave no secret that may give one at another time."""
    config: Config | None = None
    """None when there is any issue."""
    issues: tuple[Issue, ...] = ()
    warnings: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = field(default=(), repr=False)
    """From which file each part came; of a config that includes none, nothing."""
    exposed: tuple[Path, ...] = ()
    """Files with a secret in them that others than their owner may read."""

    @cached_property
    def defaults(self) -> Defaults:
        """Looked for once, because every hello and every `health` says it."""
        return defaults(self.merged)


def read(
    path: Path,
    env: Mapping[str, str],
    state_dir: Path | None = None,
    *,
    text: str | None = None,
    included: Mapping[str, str] | None = None,
    known: Known | None = None,
    door_only: bool = False,
) -> Snapshot:
    """Never raises for what a file contains, nor for an OSError: those are issues.

    With `text`, as if the file contained that; with `included`, as if the files that it includes did. It asks programs
    for secrets, and so may take `DEADLINE_S`; `door_only` asks for nobody's but the gateway's own. `known` are the
    secrets of the snapshot before.
    """
    disk = Disk(included or {})
    dotenv = disk.dotenv((state_dir or path.parent) / DOTENV_NAME)
    disk.roots = roots(path, chain(env, dotenv)(INCLUDE_ROOTS) or "")
    main = disk.load(str(path)) if text is None else disk.pretend(str(path), text)
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
        found = evaluate(start, merged.locate, env, dotenv, note=disk.note, known=known, door_only=door_only)
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
    known: Known | None = None,
    door_only: bool = False,
) -> Snapshot:
    """From `start.merged` on: substitute, look for secrets, validate, and add what was found to what `start` has."""
    outer = chain(env, dotenv)
    own, _ = substitute(config_env(start.merged), outer)
    lookup: Lookup = chain(env, dotenv, own)
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
    resolved = resolve_references(tree, lookup, Sources(lookup, note), _door if door_only else lambda path: True, known)
    tree = resolved.tree
    for failure in resolved.failures:
        if _door(failure.path):
            name = dotted(failure.path)
            failed.add(name)
            issues.append(issue(locate(failure.path), failure.problem, name, hint=failure.way_out))
    verdict = validate(
        tree, locate, lookup, frozenset(failed), complete=not start.issues, in_container=container.inside()
    )
    issues += verdict.issues
    said = Remarks([], [])
    if not start.issues:  # else what a name means may stand in a part that could not be read
        said = remarks(tree, locate, {each.path for each in issues})
        issues += said.errors
        warnings += map(str, said.warnings)
        warnings += models.problems(tree, lookup)
        warnings += servers.problems(tree)
        warnings += _not_yet_told(resolved.failures, warnings)
    told = said.paths
    return replace(
        start,
        tree=tree,
        secrets=resolved.values,
        unanswered=any(each.unanswered for each in resolved.failures),
        dotenv=dotenv,
        config=None if issues else verdict.config,
        issues=tuple(issues),
        warnings=_bounded(warnings),
        unused=tuple(each for each in verdict.unused if each not in told),
    )


def _door(path: KeyPath) -> bool:
    return path[: len(DOOR)] == DOOR


def _not_yet_told(failures: list[SecretFailure], warnings: list[str]) -> list[str]:
    """Those of models and servers that nothing uses now; the others are told with who needs them."""
    rest = [each for each in failures if not _door(each.path)][:MAX_WARNINGS]
    return [str(each) for each in rest if not any(each.problem in warning for warning in warnings)]


def _bounded(warnings: list[str]) -> tuple[str, ...]:
    more = len(warnings) - MAX_WARNINGS
    return (*warnings[:MAX_WARNINGS], f"{more} more warnings of the config") if more > 0 else tuple(warnings)


def without_file(env: Mapping[str, str], dotenv: Mapping[str, str]) -> Config:
    """The defaults with what the environment says: what runs where the file cannot. Variables with errors are left out.

    They decide port and secret; whoever set them relies on both, whatever the file has come to.
    """
    return from_environment(chain(env, dotenv))


def load_dotenv(path: Path) -> dict[str, str]:
    """The variables in a `.env` file; {} if it is not there or cannot be read."""
    return Disk().dotenv(path)


class ConfigFileChanged(OSError):
    """What is to be written was made of a text that is not the file's any more."""

    def __init__(self) -> None:
        super().__init__(errno.EAGAIN, "another program has changed it meanwhile; try again")


def write(path: Path, text: str, *, instead_of: str | None | EllipsisType = ...) -> None:
    """Replace the file, atomically, keeping the last five versions as `.bak`, `.bak.1` … `.bak.4`. Raises OSError.

    One at a time does it. With `instead_of`, what the file said when the new text was made (as `Snapshot.raw`), Changed
    is raised if it says something else now, and nothing is written.

    A link stays a link: what it points to is replaced. A file that is a mount point, as one that a container was given,
    is written in place.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with write_lock(target):
        now = target.read_bytes() if target.exists() else None
        if instead_of is not ... and instead_of != (None if now is None else now.decode("utf-8", "replace")):
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


def is_own(config: Path, file: str) -> bool:
    """Whether it lies beside the config; what lies elsewhere is another program's too, and is only read."""
    return lies_in(os.path.realpath(file), roots(config, ""))


def _rotate(path: Path) -> None:
    for number in range(MAX_BACKUPS - 1, 0, -1):
        older = _backup(path, number - 1)
        if older.exists():
            older.replace(_backup(path, number))


def _backup(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.bak" + (f".{number}" if number else ""))
