"""Detection of an upgrade: the files that this process was started from are not the installed ones any more.

An upgrade replaces them while the process runs with the modules that it has imported. A module that it imports later
would be of another version, in which names are missing or mean something else.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from msgspec import Struct

PACKAGE = "gateway"
_OURS = "openclaw_gateway-"
_INFO = ".dist-info"

Stat = tuple[int, int, int, int]


class InstalledFiles(Struct, frozen=True):
    """The installation at one moment. A file is identified by device, inode, size and the time of its last change."""

    interpreter: Stat | None
    package: Stat | None
    record: Stat | None
    """The wheel's RECORD. None in a checkout too, where nothing is installed."""
    distributions: frozenset[str]
    """Names with versions of all distributions in the same folder: a replaced library is as bad."""

    @property
    def version(self) -> str:
        """The version of this program. Empty in a checkout."""
        return _ours(self.distributions).removeprefix(_OURS).removesuffix(_INFO)


class Installation:
    """The installation that this process was started from. Construct it before anything that is imported later."""

    def __init__(self, package: Path = Path(__file__).parents[1], interpreter: str = sys.executable) -> None:
        self._package = package
        self._interpreter = interpreter
        self._initial = self.inspect()

    def inspect(self) -> InstalledFiles:
        """Read what is installed now. It blocks for some system calls."""
        distributions = _distributions(self._package.parent)
        ours = _ours(distributions)
        return InstalledFiles(
            _stat(self._interpreter),
            _stat(self._package / "__init__.py"),
            _stat(self._package.parent / ours / "RECORD") if ours else None,
            distributions,
        )

    def replaced(self, found: InstalledFiles) -> bool:
        """True if a file or library that this process was started from is replaced or gone. Additions do not count."""
        before = self._initial
        files = (found.interpreter, found.package, found.record) == (before.interpreter, before.package, before.record)
        return not files or not before.distributions <= found.distributions

    def problem(self, found: InstalledFiles) -> str | None:
        """The part that is missing in the installation. None if it is whole. An installer may be about to write it."""
        before = self._initial
        if before.interpreter and found.interpreter is None:
            return f"{self._interpreter} is gone"
        if before.package and found.package is None:
            return f"{self._package} is gone"
        if before.record and found.record is None:
            return f"the installation in {self._package.parent} was begun and not finished (it has no RECORD)"
        return None

    @property
    def stale(self) -> bool:
        """True if it is replaced now."""
        return self.replaced(self.inspect())


class ImportGuard:
    """An import hook that refuses modules of this program once it was replaced: two versions must not be mixed."""

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
