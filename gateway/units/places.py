"""The folders of unit files."""

from collections.abc import Mapping
from pathlib import Path

from gateway.files.paths import find_home

SYSTEM_FOLDERS = tuple(Path(base) / "systemd/system" for base in ("/etc", "/run", "/usr/local/lib", "/usr/lib"))
"""Folders of the system manager, in order of precedence."""
LINGER_FOLDER = Path("/var/lib/systemd/linger")
"""logind keeps one empty file here for each user who lingers, so no bus is needed."""


def lingers(user: str, folder: Path = LINGER_FOLDER) -> bool | None:
    """True if the user manager outlives the login. None if there is no logind."""
    if (folder / user).exists():
        return True
    return False if folder.parent.is_dir() else None


def unit_folder(env: Mapping[str, str]) -> Path:
    """The folder of the user's own units: `$XDG_CONFIG_HOME/systemd/user`, else `~/.config/systemd/user`."""
    base = env.get("XDG_CONFIG_HOME")
    # systemd ignores a relative path.
    config = Path(base) if base and base.startswith("/") else find_home(env) / ".config"
    return config / "systemd" / "user"


def drop_ins(folder: Path, unit: str) -> list[Path]:
    """The drop-ins for a unit in this folder, in the order in which systemd reads them."""
    return sorted((folder / f"{unit}.d").glob("*.conf"), key=lambda path: path.name)


def read(path: Path) -> str | None:
    """The text of a file, with U+FFFD for invalid bytes. None if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
