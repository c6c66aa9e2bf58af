"""Whether this machine can boot a user manager, and what earlier runs left behind."""

import os
import shutil
import subprocess
from pathlib import Path

CGROUP_PREFIX = "openclaw-gateway-e2e-"
PROGRAMS = ("unshare", "nsenter", "setpriv", "ip", "systemctl", "journalctl")
DAEMONS = (Path("/lib/systemd/systemd"), Path("/lib/systemd/systemd-journald"))


def obstacle() -> str | None:
    """Why this machine cannot boot a user manager, or None when it can."""
    if os.geteuid() != 0:
        return "needs root, to make namespaces"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    missing += [str(path) for path in DAEMONS if not path.exists()]
    if missing:
        return f"needs the packages systemd, util-linux and iproute2 (missing: {', '.join(missing)})"
    root = cgroup_root()
    if root is None:
        return "needs a mounted cgroup v2 hierarchy"
    if os.statvfs(root).f_flag & os.ST_RDONLY:
        return f"needs {root} writable (in a container: run it privileged)"
    trial = subprocess.run(["unshare", "--mount", "--pid", "--net", "--cgroup", "--fork", "true"], capture_output=True)
    return None if trial.returncode == 0 else f"cannot make namespaces: {trial.stderr.decode().strip()}"


def cgroup_root() -> Path | None:
    """Mount point of cgroup v2: /sys/fs/cgroup, or a folder below it on hosts that also have v1."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return next((Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"), None)


def make_cgroup(number: int) -> Path:
    root = cgroup_root()
    assert root is not None
    _sweep(root)
    path = root / f"{CGROUP_PREFIX}{os.getpid()}-{number}"
    path.mkdir()
    return path


def remove_cgroup(path: Path) -> bool:
    """Whether it and everything below is gone; a cgroup with a process that is still dying cannot be removed."""
    for folder, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            return False
    return True


def _sweep(root: Path) -> None:
    """Removes the (empty) cgroups of test runs that were killed."""
    for path in root.glob(f"{CGROUP_PREFIX}*"):
        owner = path.name.removeprefix(CGROUP_PREFIX).partition("-")[0]
        if not Path(f"/proc/{owner}").exists():
            remove_cgroup(path)
