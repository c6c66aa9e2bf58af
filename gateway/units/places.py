"""Where unit files lie: ours, and those of others that could get in the way."""

from collections.abc import Mapping
from pathlib import Path

from gateway.files.paths import find_home

SYSTEM_FOLDERS = tuple(Path(base) / "systemd/system" for base in ("/etc", "/run", "/usr/local/lib", "/usr/lib"))
"""Folders of the system manager, the strongest first."""


LINGER_FOLDER = Path("/var/lib/systemd/linger")
"""logind keeps one empty file for each user who lingers, so no bus is needed to ask."""


def lingers(user: str, folder: Path = LINGER_FOLDER) -> bool | None:
    """Whether the user manager outlives the login. None where there is no logind to know."""
    if (folder / user).exists():
        return True
    return False if folder.parent.is_dir() else None


def unit_folder(env: Mapping[str, str]) -> Path:
    """Where a user's own units belong: `$XDG_CONFIG_HOME/systemd/user`, else `~/.config/systemd/user`."""
    base = env.get("XDG_CONFIG_HOME")
    # systemd ignores a relative one, and so do we.
    config = Path(base) if base and base.startswith("/") else find_home(env) / ".config"
    return config / "systemd" / "user"


def drop_ins(folder: Path, unit: str) -> list[Path]:
    """The drop-ins for a unit in this folder, in the order in which systemd reads them."""
    return sorted((folder / f"{unit}.d").glob("*.conf"), key=lambda path: path.name)


def read(path: Path) -> str | None:
    """None for a file that is not there or that we may not read; a broken byte is replaced, not an error."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
