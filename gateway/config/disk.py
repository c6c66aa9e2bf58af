"""Reads the files of a config, and remembers what it read and what was strange about it."""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config.dotenv import parse_dotenv
from gateway.config.parse import MAX_BYTES, Document, TextPosition, issue, parse
from gateway.config.substitute import REFERENCE
from gateway.report import Issue

MAX_TOTAL_BYTES = 4 * MAX_BYTES
"""The config file and everything it includes may have so many."""
INCLUDE_ROOTS = "OPENCLAW_INCLUDE_ROOTS"
"""Folders beside the config's own from which `$include` may read, as in PATH."""
_SECRET_NAME = re.compile(r"(token|password|passphrase|secret|api[_-]?key|private[_-]?key)$", re.IGNORECASE)


class Disk:
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
            return issue(TextPosition(file), f"cannot be read: {error.strerror}")
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
        if "\0" not in file and not lies_in(os.path.realpath(file), self.roots):
            # Not opened: who may change the config would have its readers shown any other program's files.
            hint = f"move it there, or add its folder to {INCLUDE_ROOTS}"
            return issue(TextPosition(file), f"{file} does not lie in the folder of the config", hint=hint)
        try:
            data, mode = self.fetch(Path(file))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return issue(TextPosition(file), f"{file} cannot be read: {reason}")
        if self.total > MAX_TOTAL_BYTES:
            return issue(TextPosition(file), f"the config and its includes are larger than {MAX_TOTAL_BYTES} bytes")
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
            if len(data) > MAX_BYTES:
                raise OSError(errno.EFBIG, f"larger than {MAX_BYTES} bytes")
            found = parse_dotenv(text := data.decode(errors="replace"))
            if text.encode() != data:
                self.warnings.append(f"{path}: not UTF-8; what is not is read as OpenClaw does it, as U+FFFD")
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.warnings.append(f"{path}: ignored, it cannot be read: {error.strerror}")
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

    def note(self, path: str, data: bytes | None) -> None:
        """A file of secrets: watched, and part of the digest, as the config's own are."""
        self.files.append(Path(path))
        if data is not None:
            self.digest.update(len(data).to_bytes(8, "big") + data)

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


def roots(config: Path, more: str) -> tuple[str, ...]:
    """The folder of the config, that of what it is a link to, and those that somebody names, if they are absolute."""
    named = (os.path.expanduser(each) for each in more.split(os.pathsep))
    own = (str(config.absolute().parent), os.path.dirname(os.path.realpath(config)))
    folders = [*own, *(each for each in named if os.path.isabs(each))]
    return tuple(dict.fromkeys(os.path.realpath(each) for each in folders))


def lies_in(file: str, roots: tuple[str, ...]) -> bool:
    return any(os.path.commonpath((root, file)) == root for root in roots)
