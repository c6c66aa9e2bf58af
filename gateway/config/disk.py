"""Reads the files of a config, and records their names, a digest and warnings."""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config.parse import MAX_BYTES, Document, TextPosition, issue, parse
from gateway.config.substitute import REFERENCE
from gateway.report import Issue

MAX_TOTAL_BYTES = 4 * MAX_BYTES
"""Bytes of the config file and all included files together."""
INCLUDE_ROOTS = "OPENCLAW_INCLUDE_ROOTS"
"""The variable with more folders for `$include`, separated as in PATH."""
_SECRET_NAME = re.compile(r"(token|password|passphrase|secret|api[_-]?key|private[_-]?key)$", re.IGNORECASE)


class Disk:
    """One reading of a config. `overrides`: file name -> text, in place of what the file has."""

    def __init__(self, overrides: Mapping[str, str] | None = None) -> None:
        self.overrides = overrides or {}
        self.files: list[Path] = []
        self.digest = hashlib.sha256()
        self.total = 0
        self.raw: str | None = None
        self.warnings: list[str] = []
        self.exposed: list[Path] = []
        self.roots: tuple[str, ...] = ()
        """Folders that included files must be in, links resolved."""

    def load(self, file: str) -> Document | Issue | None:
        """Read the main file; None if it does not exist. Errors are an Issue."""
        try:
            data, mode = self.fetch(Path(file))
        except FileNotFoundError:
            return None
        except OSError as error:
            return issue(TextPosition(file), f"cannot be read: {error.strerror}")
        self.raw = data.decode("utf-8", "replace")
        return self.document(data, mode, file, root_object=True)

    def load_text(self, file: str, text: str) -> Document | Issue:
        self.files.append(Path(file))
        self.raw = text
        data = text.encode()
        self._add_to_digest(data)
        return self.document(data, 0, file, root_object=True)

    def include(self, name: str, base: str) -> Document | Issue:
        file = os.path.normpath(os.path.join(os.path.dirname(base), name))
        if "\0" not in file and not is_below(os.path.realpath(file), self.roots):
            # Not opened: a client that may change the config could read the files of other programs.
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
            from gateway.config.dotenv import parse_dotenv  # a start without the file does without

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
        if (text := self.overrides.get(str(path))) is not None:
            self._add_to_digest(data := text.encode())
            return data, 0
        # O_NONBLOCK: opening a FIFO without a writer must not hang the gateway.
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
        self._add_to_digest(data)
        return data, mode

    def record_secret_file(self, path: str, data: bytes | None) -> None:
        """Watch a file of secrets, and add it to the digest, like the config's own files."""
        self.files.append(Path(path))
        if data is not None:
            self.digest.update(len(data).to_bytes(8, "big") + data)

    def _add_to_digest(self, data: bytes) -> None:
        # With the length, two files differ from one that contains both.
        self.digest.update(len(data).to_bytes(8, "big") + data)
        self.total += len(data)


def _holds_secret(value: Any) -> bool:
    """Whether the value contains a secret; a reference such as `${TOKEN}` is none."""
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


def include_roots(config: Path, more: str) -> tuple[str, ...]:
    """The config's folder, that of its link's target, and the absolute ones in `more`, separated as in PATH."""
    named = (os.path.expanduser(each) for each in more.split(os.pathsep))
    own = (str(config.absolute().parent), os.path.dirname(os.path.realpath(config)))
    folders = [*own, *(each for each in named if os.path.isabs(each))]
    return tuple(dict.fromkeys(os.path.realpath(each) for each in folders))


def is_below(file: str, roots: tuple[str, ...]) -> bool:
    return any(os.path.commonpath((root, file)) == root for root in roots)
