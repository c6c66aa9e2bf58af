"""An agent's workspace: a folder with texts of the user's that tell the agent who it is."""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.config import catalog
from gateway.files.atomic import replace_text
from gateway.files.paths import expand
from gateway.runs.prompt import FILES

MAX_FILE_BYTES = 4_000_000
"""Bytes of one file; a longer file is read up to here. A prompt takes far less of it."""
VARIABLE = "OPENCLAW_WORKSPACE_DIR"
NAMES = (*FILES, "HEARTBEAT.md")
"""Files that clients may read and write."""


@dataclass(frozen=True)
class WorkspaceFile:
    size: int
    """Bytes."""
    modified_ms: int
    """Milliseconds since 1970."""
    hash: str = ""
    """SHA-256 of its bytes; "" where the text was not asked for."""
    text: str | None = None
    """Its content; None where it was not asked for."""


class Conflict(Exception):
    """The file has another content than the caller expects. `hash` is of that content; "" if there is no file."""

    def __init__(self, hash: str) -> None:
        self.hash = hash
        super().__init__(hash)


def folder(tree: dict[str, Any], state: Path, agent_id: str) -> Path:
    """The folder that the config names for an agent, otherwise OpenClaw's place for it. It need not exist."""
    agent = catalog.find_agent(tree, agent_id)
    if agent is not None and agent.workspace:
        return expand(agent.workspace)
    id = agent_id.strip().lower()
    if id != catalog.default_id(tree):
        return state / f"workspace-{id}"
    return expand(os.environ.get(VARIABLE) or state / "workspace")


def read(place: Path, names: Iterable[str] = FILES) -> dict[str, str]:
    """The texts of the files that can be read, by name."""
    found = {}
    for name in names:
        if os.path.lexists(os.path.join(place, name)):  # most are not there, and finding a file out takes longer
            with contextlib.suppress(OSError):
                found[name] = read_one(place, name)
    return found


def read_one(place: Path, name: str) -> str:
    """The text of one file. A symbolic link is followed if it leads to a place in the folder.

    Raises OSError, also for what is not a regular file, and for a file that has another name (a hard link).
    """
    return _bytes(place, name)[0].decode("utf-8", "replace")


def look(place: Path, name: str, *, text: bool = False) -> WorkspaceFile | None:
    """Size, time and, if `text`, content of a file; None if it cannot be read."""
    try:
        data, status = _bytes(place, name)
    except OSError:
        return None
    file = WorkspaceFile(status.st_size, status.st_mtime_ns // 1_000_000)
    return replace(file, hash=_hash(data), text=data.decode("utf-8", "replace")) if text else file


def write(place: Path, name: str, text: str, expected: str | None = None) -> WorkspaceFile:
    """Write a file; the folder is made if it is not there.

    `expected`: the hash that the content before must have. Raises OSError, and Conflict if it has another one.
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if expected is not None:
        before = look(place, name, text=True)
        if before is None or before.hash != expected:
            raise Conflict(before.hash if before else "")
    replace_text(_inside(place, name), text)
    written = look(place, name, text=True)
    if written is None:
        raise OSError(errno.ENOENT, "it was taken away at once")
    return written


def _bytes(place: Path, name: str) -> tuple[bytes, os.stat_result]:
    fd = os.open(_inside(place, name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    with open(fd, "rb") as stream:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if status.st_nlink > 1:
            # Its other name may lie outside the folder, and unlike a symbolic link it does not say where.
            raise OSError(errno.EMLINK, "it has another name (a hard link)")
        return stream.read(MAX_FILE_BYTES), status


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _inside(place: Path, name: str) -> Path:
    """The path to which a name leads. Raises OSError if it is outside the folder."""
    base = Path(os.path.realpath(place))
    target = Path(os.path.realpath(base / name))
    if not target.is_relative_to(base):
        raise PermissionError(errno.EPERM, "it leads out of the workspace")
    return target
