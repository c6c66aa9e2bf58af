"""The config file on disk: read it with all that belongs to it, and write it as OpenClaw does, with its backups."""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from gateway.config import former, models, promises, servers
from gateway.config.atomic import overwrite_text, replace_text
from gateway.config.catalog import Defaults, defaults
from gateway.config.fields import FIELDS
from gateway.config.include import Layer, resolve
from gateway.config.parse import MAX_BYTES, Document, Place, dotted, issue, parse
from gateway.config.schema import Config
from gateway.config.substitute import REFERENCE, Lookup, chain, config_env, parse_dotenv, substitute
from gateway.config.validate import Locate, from_environment, validate
from gateway.report import Issue

MAX_TOTAL_BYTES = 4 * MAX_BYTES
"""Of the config file and everything it includes."""
MAX_BACKUPS = 5
MOUNTED = (errno.EBUSY, errno.EXDEV)
"""What a rename onto a file ends with that is mounted there."""
DOTENV_NAME = ".env"
INCLUDE_ROOTS = "OPENCLAW_INCLUDE_ROOTS"
"""Folders beside the config's own from which `$include` may read, as in PATH."""
_SECRET_NAME = re.compile(r"(token|password|passphrase|secret|api[_-]?key|private[_-]?key)$", re.IGNORECASE)


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
    tree: dict[str, Any] = field(default_factory=dict, repr=False)
    """After includes and `${VAR}`."""
    dotenv: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What `.env` beside the state sets."""
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
) -> Snapshot:
    """Never raises for what a file contains, nor for an OSError: those are issues.

    With `text`, as if the file contained that; with `included`, as if the files that it includes did.
    """
    disk = _Disk(included or {})
    dotenv = disk.dotenv((state_dir or path.parent) / DOTENV_NAME)
    disk.roots = _roots(path, chain(env, dotenv)(INCLUDE_ROOTS) or "")
    main = disk.load(str(path)) if text is None else disk.pretend(str(path), text)
    if main is None:
        found = evaluate(Snapshot(path, False, ()), lambda *_, **__: Place(""), env, dotenv)
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
        found = evaluate(start, merged.locate, env, dotenv)
    return replace(
        found,
        files=tuple(dict.fromkeys(disk.files)),
        digest=disk.digest.hexdigest(),
        raw_hash=hashlib.sha256((disk.raw or "").encode()).hexdigest(),
        warnings=(*disk.warnings, *former.warnings(path, env, dotenv, absent=main is None), *found.warnings),
        exposed=tuple(disk.exposed),
    )


def evaluate(start: Snapshot, locate: Locate, env: Mapping[str, str], dotenv: Mapping[str, str]) -> Snapshot:
    """From `start.merged` on: substitute, validate, and add what was found to what `start` has."""
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
    verdict = validate(tree, locate, lookup, frozenset(failed), complete=not start.issues)
    issues += verdict.issues
    if not start.issues:  # else what a name means may stand in a part that could not be read
        named = {each.path for each in issues}
        issues += [each for each in promises.errors(tree, locate) if each.path not in named]
        warnings += promises.warnings(tree, locate)
        warnings += models.problems(tree, lookup)
        warnings += servers.problems(tree)
    return replace(
        start,
        tree=tree,
        dotenv=dotenv,
        config=None if issues else verdict.config,
        issues=tuple(issues),
        warnings=tuple(warnings),
        unused=verdict.unused,
    )


def without_file(env: Mapping[str, str], dotenv: Mapping[str, str]) -> Config:
    """The defaults with what the environment says: what runs where the file cannot. Variables with errors are left out.

    They decide port and secret; whoever set them relies on both, whatever the file has come to.
    """
    return from_environment(chain(env, dotenv))


def load_dotenv(path: Path) -> dict[str, str]:
    """The variables in a `.env` file; {} if it is not there or cannot be read."""
    return _Disk().dotenv(path)


def write(path: Path, text: str) -> None:
    """Replace the file, atomically, keeping the last five versions as `.bak`, `.bak.1` … `.bak.4`. Raises OSError.

    A link stays a link: what it points to is replaced. A file that is a mount point, as one that a container was given,
    is written in place.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if target.exists():
        _rotate(path)
        replace_text(_backup(path, 0), target.read_bytes().decode("utf-8", "surrogateescape"))
    try:
        replace_text(target, text)
    except OSError as error:
        if error.errno not in MOUNTED:
            raise
        overwrite_text(target, text)


def is_own(config: Path, file: str) -> bool:
    """Whether it lies beside the config; what lies elsewhere is another program's too, and is only read."""
    return _lies_in(os.path.realpath(file), _roots(config, ""))


def _roots(config: Path, more: str) -> tuple[str, ...]:
    """The folder of the config, that of what it is a link to, and those that somebody names, if they are absolute."""
    named = (os.path.expanduser(each) for each in more.split(os.pathsep))
    own = (str(config.absolute().parent), os.path.dirname(os.path.realpath(config)))
    folders = [*own, *(each for each in named if os.path.isabs(each))]
    return tuple(dict.fromkeys(os.path.realpath(each) for each in folders))


def _lies_in(file: str, roots: tuple[str, ...]) -> bool:
    return any(os.path.commonpath((root, file)) == root for root in roots)


def _rotate(path: Path) -> None:
    for number in range(MAX_BACKUPS - 1, 0, -1):
        older = _backup(path, number - 1)
        if older.exists():
            older.replace(_backup(path, number))


def _backup(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.bak" + (f".{number}" if number else ""))


class _Disk:
    """Reads files, and remembers what it read and what was strange about it."""

    def __init__(self, pretended: Mapping[str, str] | None = None) -> None:
        self.pretended = pretended or {}
        self.files: list[Path] = []
        self.digest = hashlib.sha256()
        self.total = 0
        self.raw: str | None = None
        self.warnings: list[str] = []
        self.exposed: list[Path] = []
        self.roots: tuple[str, ...] = ()
        """Where included files may lie, links resolved."""

    def load(self, file: str) -> Document | Issue | None:
        """The main file; None if there is none."""
        try:
            data, mode = self.fetch(Path(file))
        except FileNotFoundError:
            return None
        except OSError as error:
            return issue(Place(file), f"cannot be read: {error.strerror}")
        self.raw = data.decode("utf-8", "replace")
        return self.document(data, mode, file, root_object=True)

    def pretend(self, file: str, text: str) -> Document | Issue:
        self.files.append(Path(file))
        self.raw = text
        data = text.encode()
        self.count(data)
        return self.document(data, 0, file, root_object=True)

    def include(self, name: str, base: str) -> Document | Issue:
        file = os.path.normpath(os.path.join(os.path.dirname(base), name))
        if "\0" not in file and not _lies_in(os.path.realpath(file), self.roots):
            # Not opened: who may change the config would have its readers shown any other program's files.
            hint = f"move it there, or add its folder to {INCLUDE_ROOTS}"
            return issue(Place(file), f"{file} does not lie in the folder of the config", hint=hint)
        try:
            data, mode = self.fetch(Path(file))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return issue(Place(file), f"{file} cannot be read: {reason}")
        if self.total > MAX_TOTAL_BYTES:
            return issue(Place(file), f"the config and its includes are larger than {MAX_TOTAL_BYTES} bytes")
        return self.document(data, mode, file, root_object=False)

    def document(self, data: bytes, mode: int, file: str, *, root_object: bool) -> Document | Issue:
        document = parse(data, file, root_object=root_object)
        if isinstance(document, Issue):
            return document
        for key, at in document.repeated:
            self.warnings.append(f'{at.file}:{at.line}:{at.column}: "{key}" is written twice; the last one counts')
        if mode & 0o077 and _holds_secret(document.value):
            self.expose(Path(file))
        return document

    def dotenv(self, path: Path) -> dict[str, str]:
        try:
            data, mode = self.fetch(path)
            found = parse_dotenv(data[:MAX_BYTES].decode())
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            self.warnings.append(f"{path}: ignored, it cannot be read: {error}")
            return {}
        if mode & 0o077 and any(_SECRET_NAME.search(name) for name in found):
            self.expose(path)
        return found

    def expose(self, path: Path) -> None:
        self.exposed.append(path)
        self.warnings.append(f"{path}: holds a secret and others may read it; run: chmod 600 {path}")

    def fetch(self, path: Path) -> tuple[bytes, int]:
        self.files.append(path)
        if (text := self.pretended.get(str(path))) is not None:
            self.count(data := text.encode())
            return data, 0
        # O_NONBLOCK: opening a FIFO that nobody writes to must not hang the gateway.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(fd)
            mode = found.st_mode
            if not stat.S_ISREG(mode):
                raise OSError(errno.EINVAL, "not a regular file")
            if found.st_nlink == 0 and os.path.exists(path):
                self.warnings.append(
                    f"{path}: it is mounted here, and was replaced where it is mounted from: this is the old one. "
                    "Mount its folder, edit it in place, or mount it anew"
                )
            with open(fd, "rb", closefd=False) as stream:
                data = stream.read(MAX_BYTES + 1)
        finally:
            os.close(fd)
        self.count(data)
        return data, mode

    def count(self, data: bytes) -> None:
        # The length keeps two files from counting as one that contains both.
        self.digest.update(len(data).to_bytes(8, "big") + data)
        self.total += len(data)


def _holds_secret(value: Any) -> bool:
    """Whether a secret stands here in clear; a reference such as `${TOKEN}` is none."""
    if isinstance(value, list):
        return any(_holds_secret(child) for child in value)
    if not isinstance(value, dict):
        return False
    return any(
        bool(child and _SECRET_NAME.search(key) and not REFERENCE.search(child))
        if isinstance(child, str)
        else _holds_secret(child)
        for key, child in value.items()
    )
