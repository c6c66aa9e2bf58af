"""An agent's workspace: a folder of the user's with texts that tell the agent who it is. Here they are read."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gateway.config import catalog
from gateway.config.prompt import FILES

MAX_FILE_BYTES = 4_000_000
"""Of one file; what is longer is read up to here. A prompt takes far less of it."""
VARIABLE = "OPENCLAW_WORKSPACE_DIR"


def folder(tree: dict[str, Any], state: Path, agent_id: str) -> Path:
    """The one that the config names for an agent, else OpenClaw's place for it. It need not exist."""
    agent = catalog.find(tree, agent_id)
    if agent is not None and agent.workspace:
        return Path(agent.workspace).expanduser()
    id = agent_id.strip().lower()
    if id != catalog.default_id(tree):
        return state / f"workspace-{id}"
    return Path(os.environ.get(VARIABLE) or state / "workspace").expanduser()


def read(place: Path, names: Iterable[str] = FILES) -> dict[str, str]:
    """The texts of the files that are there and can be read; nothing where there is no folder."""
    found = {}
    for name in names:
        with contextlib.suppress(OSError):
            found[name] = read_one(place, name)
    return found


def read_one(place: Path, name: str) -> str:
    """Raises OSError. A link is followed as long as it stays in the folder; what is not a plain file is not read."""
    fd = os.open(_inside(place, name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    with open(fd, "rb") as stream:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return stream.read(MAX_FILE_BYTES).decode("utf-8", "replace")


def _inside(place: Path, name: str) -> Path:
    """Where a name leads to. Raises OSError when that is outside the folder."""
    base = Path(os.path.realpath(place))
    target = Path(os.path.realpath(base / name))
    if not target.is_relative_to(base):
        raise PermissionError(errno.EPERM, "it leads out of the workspace")
    return target
