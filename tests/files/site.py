"""A folder with this program installed in it, and what upgrades, uninstalls and killed installers do to it."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from gateway.files.installed import Installation

OURS = "openclaw_gateway-0.1.0.dist-info"


def make_site(folder: Path) -> Path:
    """A folder as pip leaves it."""
    (folder / "gateway").mkdir()
    (folder / "gateway" / "__init__.py").write_text('__version__ = "0.1.0"')
    for name in (OURS, "starlette-1.0.dist-info"):
        (folder / name).mkdir()
        (folder / name / "RECORD").write_text(name)
    return folder


def installation(site: Path) -> Installation:
    (site / "python").touch()
    return Installation(site / "gateway", str(site / "python"))


def upgrade(site: Path) -> None:
    (site / OURS).rename(site / "openclaw_gateway-0.2.0.dist-info")
    (site / "new").write_text('__version__ = "0.2.0"')
    os.replace(site / "new", site / "gateway" / "__init__.py")


def reinstall_the_same(site: Path) -> None:
    (site / "new").write_text(OURS)
    os.replace(site / "new", site / OURS / "RECORD")


def upgrade_a_library(site: Path) -> None:
    (site / "starlette-1.0.dist-info").rename(site / "starlette-1.1.dist-info")


def another_python(site: Path) -> None:
    (site / "python").unlink()
    (site / "python").symlink_to(sys.executable)


def kill_the_installer(site: Path) -> None:
    (site / OURS / "RECORD").unlink()


def remove_everything(site: Path) -> None:
    shutil.rmtree(site)


REPLACED: list[Callable[[Path], None]] = [upgrade, reinstall_the_same, upgrade_a_library, another_python]
BROKEN: dict[Callable[[Path], None], str] = {kill_the_installer: "it has no RECORD", remove_everything: "is gone"}
