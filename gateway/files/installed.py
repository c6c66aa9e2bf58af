"""Whether the files that this process was started from are still the installed ones.

An upgrade replaces them under the process, which goes on with what it has imported. What it imports afterwards would be
of another version: names that are gone, or names that mean something else.
"""

import importlib.abc
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

PACKAGE = "gateway"
_OURS = "openclaw_gateway-"
_INFO = ".dist-info"

Stat = tuple[int, int, int, int]


@dataclass(frozen=True)
class Look:
    """The installation at one moment. Files are told apart by device, inode, size and time of their last change."""

    interpreter: Stat | None
    package: Stat | None
    record: Stat | None
    """None also where nothing was installed: a checkout."""
    distributions: frozenset[str]
    """Names with versions of all that is installed beside us: a library that is replaced is as bad."""

    @property
    def version(self) -> str:
        """This program's; empty in a checkout."""
        return _ours(self.distributions).removeprefix(_OURS).removesuffix(_INFO)


class Installation:
    """Remembers how it was when this was made: make it before anything that may be imported later."""

    def __init__(self, package: Path = Path(__file__).parents[1], interpreter: str = sys.executable) -> None:
        self._package = package
        self._interpreter = interpreter
        self._began = self.look()

    def look(self) -> Look:
        distributions = _distributions(self._package.parent)
        ours = _ours(distributions)
        return Look(
            _stat(self._interpreter),
            _stat(self._package / "__init__.py"),
            _stat(self._package.parent / ours / "RECORD") if ours else None,
            distributions,
        )

    def replaced(self, look: Look) -> bool:
        """Whether what this process was started from is not there any more. What was added does not count."""
        began = self._began
        files = (look.interpreter, look.package, look.record) == (began.interpreter, began.package, began.record)
        return not files or not began.distributions <= look.distributions

    def problem(self, look: Look) -> str | None:
        """What is missing of a whole installation; None if nothing is. An installer may be about to write it."""
        began = self._began
        if began.interpreter and look.interpreter is None:
            return f"{self._interpreter} is gone"
        if began.package and look.package is None:
            return f"{self._package} is gone"
        if began.record and look.record is None:
            return f"the installation in {self._package.parent} was begun and not finished (it has no RECORD)"
        return None

    @property
    def stale(self) -> bool:
        return self.replaced(self.look())


class ImportGuard(importlib.abc.MetaPathFinder):
    """Refuses to import more of this program once its files were replaced: half of each version is neither."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name.startswith(f"{PACKAGE}.") and self._installation.stale:
            raise ImportError(f"{name} is not imported: the program was replaced or removed while it ran")


def _distributions(folder: Path) -> frozenset[str]:
    try:
        return frozenset(name for name in os.listdir(folder) if name.endswith(_INFO))
    except OSError:
        return frozenset()


def _ours(distributions: frozenset[str]) -> str:
    return max((name for name in distributions if name.startswith(_OURS)), default="")


def _stat(path: str | Path) -> Stat | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
