"""Detection of a container, by the signs that OpenClaw looks for.

In a container `gateway.bind: "auto"` means all addresses, because a published port does not lead to its loopback.
"""

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"), Path("/var/run/.containerenv"))
"""Files that Docker and Podman put into each container."""
FIRST_CGROUP = Path("/proc/1/cgroup")
_CGROUP = re.compile(r"/docker/|cri-containerd-[0-9a-f]|containerd/[0-9a-f]{64}|/kubepods[/.]|\blxc\b")
_FLY = ("FLY_MACHINE_ID", "FLY_APP_NAME")


@cache
def inside() -> bool:
    """True if this process runs in a container."""
    return detect(os.environ)


def detect(env: Mapping[str, str], marks: tuple[Path, ...] = MARKS, cgroup: Path = FIRST_CGROUP) -> bool:
    """True if one of the signs is there: Fly's variables, a mark, or the control group of process 1."""
    if all(env.get(name, "").strip() for name in _FLY) or any(map(os.path.exists, marks)):
        return True
    try:
        return _CGROUP.search(cgroup.read_text(errors="replace")) is not None
    except OSError:
        return False


def bind_word(bind: str) -> str:
    """The value of `gateway.bind` or `--bind` with `auto` resolved: `lan` in a container, `loopback` elsewhere."""
    return bind if bind != "auto" else "lan" if inside() else "loopback"
