"""The tested installation: the project's wheel in a virtual environment of its own, as a user would have it.

The dependencies are those of the environment that runs the tests. The result is kept under .cache/e2e by the hash of
what it was made from: a second run builds nothing.
"""

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from tests.e2e.manager import UID, VENV

PROJECT = Path(__file__).parents[2]
CACHE = PROJECT / ".cache" / "e2e"
SOURCES = ("gateway", "pyproject.toml", "README.md", "LICENSE")
KEPT = 3
"""Installations kept, so that two worktrees of changes or two runs at once do not rebuild all the time."""

_PIP_INSIDE = f"{sys.executable} -m pip --python {VENV}/bin/python install --quiet"


def interpreter() -> str | None:
    """This Python where the user of the tests, who may not look into home folders, can run it; None when nowhere."""
    for candidate in ("/usr/bin/python3", str(Path(sys._base_executable).resolve())):  # type: ignore[attr-defined]
        as_user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--"]
        probe = [*as_user, candidate, "-c", "import sys, venv; sys.exit(sys.version != sys.argv[1])", sys.version]
        if not candidate.startswith("/home/") and subprocess.run(probe, capture_output=True).returncode == 0:
            return candidate
    return None


def install(python: str) -> Path:
    """The folder that must be bound to VENV; built when the sources have changed since the last time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with _lock():
        pins = (f"{each.name}=={each.version}" for each in _dependencies())
        venv = CACHE / f"venv-{_digest(python, sys.version, *pins, *_files())}"
        if not venv.exists():
            _build(venv, python)
        os.utime(venv)
        _forget_old()
    return venv


def _build(venv: Path, python: str) -> None:
    """Into a folder beside, renamed when whole: a run that was killed leaves nothing that looks finished."""
    partial = venv.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    partial.chmod(0o755)
    _inside(partial, f"{python} -m venv --without-pip {VENV}")
    _lay_dependencies(next(partial.glob("lib/python3*/site-packages")))
    install_into(partial, wheel(PROJECT, CACHE / "wheel"))
    partial.rename(venv)


def changed_copy(venv: Path, place: Path) -> Path:
    """A virtual environment like this one, to `install_into`. Both share their files, which pip replaces and never
    changes."""
    shutil.copytree(venv, place, symlinks=True, copy_function=_share)
    return place


def _share(file: str, place: str) -> None:
    try:
        os.link(file, place)
    except OSError:  # on another file system
        shutil.copy2(file, place)
    os.chmod(place, os.stat(place).st_mode | 0o644)


def install_into(venv: Path, wheel: Path) -> None:
    """As an upgrade does, also while the gateway runs."""
    _inside(venv, f"{_PIP_INSIDE} --no-index --no-deps --force-reinstall {wheel}")


def changed_wheel(folder: Path, changes: Mapping[str, tuple[str, str]]) -> Path:
    """The project's, in `folder`. Each change is a file's old and new text."""
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    for source in SOURCES:
        place, copy = PROJECT / source, project / source
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(place, copy) if place.is_dir() else shutil.copy(place, copy)
    for name, (old, new) in changes.items():
        text = (project / name).read_text()
        assert old in text, f"{name} has no {old!r}"
        (project / name).write_text(text.replace(old, new))
    return wheel(project, folder / "wheel")


def wheel(project: Path, folder: Path) -> Path:
    """The wheel of a source tree, alone in `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(project))
    return next(folder.glob("*.whl"))


def _inside(venv: Path, *commands: str) -> None:
    """Runs commands with `venv` at the place where it will lie, because a virtual environment holds its own path."""
    mounts = f'mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p {VENV} && mount --bind "$0" {VENV}'
    _call("unshare", "--mount", "bash", "-c", "\n".join(["set -e", mounts, *commands]), str(venv))


def _lay_dependencies(site: Path) -> None:
    """What the project's metadata asks for, out of the environment that runs the tests, compiled as it lies there."""
    made: set[str] = set()
    for distribution in _dependencies():
        for file in map(str, distribution.files or ()):
            if file.startswith(".."):  # A program in bin/, which nobody starts.
                continue
            if (folder := os.path.dirname(file)) not in made:
                os.makedirs(site / folder, exist_ok=True)
                made.add(folder)
            _share(f"{distribution.locate_file('')}/{file}", f"{site}/{file}")


def _dependencies() -> Iterator[importlib.metadata.Distribution]:
    asked = [Requirement(each) for each in _project()["dependencies"]]
    seen: set[tuple[str, str]] = set()
    copied: set[str] = set()
    while asked:
        requirement = asked.pop()
        distribution = importlib.metadata.distribution(requirement.name)
        if distribution.name not in copied:
            copied.add(distribution.name)
            yield distribution
        for extra in {"", *requirement.extras} - {extra for name, extra in seen if name == distribution.name}:
            seen.add((distribution.name, extra))
            further = map(Requirement, distribution.requires or ())
            asked += [each for each in further if each.marker is None or each.marker.evaluate({"extra": extra})]


def _project() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


def _files() -> Iterator[str]:
    for source in SOURCES:
        place = PROJECT / source
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{path.relative_to(PROJECT)} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _forget_old() -> None:
    for folder in sorted(CACHE.glob("venv-*"), key=lambda folder: folder.stat().st_mtime, reverse=True)[KEPT:]:
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


if __name__ == "__main__":
    if python := interpreter():
        install(python)
