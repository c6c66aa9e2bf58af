"""The tested installation: the project's wheel in a virtual environment of its own, as a user would have it.

Everything is kept under .cache/e2e by the hash of what it was made from: a second run builds nothing, and needs no
network as long as the dependencies stay.
"""

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.manager import UID, VENV

PROJECT = Path(__file__).parents[2]
CACHE = PROJECT / ".cache" / "e2e"
SOURCES = ("gateway", "pyproject.toml", "README.md", "LICENSE")
KEPT = 3
"""Installations kept, so that two worktrees of changes or two runs at once do not rebuild all the time."""


def interpreter() -> str | None:
    """A Python that the user of the tests, who may not look into home folders, can run; None when there is none."""
    for candidate in ("/usr/bin/python3", str(Path(sys._base_executable).resolve())):  # type: ignore[attr-defined]
        as_user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--"]
        probe = [*as_user, candidate, "-c", "import sys, venv; sys.exit(sys.version_info < (3, 11))"]
        if not candidate.startswith("/home/") and subprocess.run(probe, capture_output=True).returncode == 0:
            return candidate
    return None


def install(python: str) -> Path:
    """The folder that must be bound to VENV; built when the sources have changed since the last time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with _lock():
        wheels = _wheels(python)
        venv = CACHE / f"venv-{_digest(python, *_files())}"
        if not venv.exists():
            _build(venv, python, wheels)
        os.utime(venv)
        _forget_old()
    return venv


def _build(venv: Path, python: str, wheels: Path) -> None:
    """Into a folder beside, renamed when whole: a run that was killed leaves nothing that looks finished."""
    partial = venv.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    partial.chmod(0o755)
    wheel = CACHE / "wheel"
    shutil.rmtree(wheel, ignore_errors=True)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheel), str(PROJECT))
    pip = f"{sys.executable} -m pip --python {VENV}/bin/python install --quiet --no-index --find-links {wheels}"
    # At the place where it will lie inside, because a virtual environment holds its own path.
    script = f"""
        set -e
        mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p {VENV} && mount --bind "$0" {VENV}
        {python} -m venv --without-pip {VENV}
        {pip} {wheel}/*.whl
    """
    _call("unshare", "--mount", "bash", "-c", script, str(partial))
    partial.rename(venv)


def _wheels(python: str) -> Path:
    """The dependencies in the versions that the fast tests run with; systemd-python is compiled here, once."""
    wanted = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    pins = sorted(f"{dist.name}=={dist.version}" for dist in importlib.metadata.distributions())
    folder = CACHE / f"wheels-{_digest(python, *wanted, *pins)}"
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        constraints = CACHE / "constraints.txt"
        constraints.write_text("\n".join(pin for pin in pins if not pin.startswith("openclaw-gateway==")))
        _pip(
            "wheel",
            "--use-pep517",
            "--constraint",
            str(constraints),
            "--wheel-dir",
            str(partial),
            *wanted,
        )
        partial.rename(folder)
    os.utime(folder)
    return folder


def _files() -> Iterator[str]:
    for source in SOURCES:
        place = PROJECT / source
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{path.relative_to(PROJECT)} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _forget_old() -> None:
    for kind in ("venv-", "wheels-"):
        folders = sorted(CACHE.glob(f"{kind}*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in folders[KEPT:]:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lock() -> Iterator[None]:
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pip(*words: str) -> None:
    _call(sys.executable, "-m", "pip", words[0], "--quiet", "--disable-pip-version-check", *words[1:])


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, umask=0o022)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
