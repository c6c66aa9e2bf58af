"""The unit files and their names. README.md in this folder says why for each directive.

Nothing here asks systemd anything; `systemctl` does, and `installation` decides what belongs on disk.
"""

from importlib import resources

SERVICE = "openclaw-gateway.service"
SOCKET = "openclaw-gateway.socket"
LISTEN_DROP_IN = f"{SOCKET}.d/10-listen.conf"
"""Where `install --port/--bind` puts its addresses, below the unit folder; the user's drop-ins sort after it."""

MARK = "# Written by `openclaw-gateway install`"
"""How a file that we may change or remove begins; a file without it belongs to somebody else."""

SHIPPED_COMMAND = "/usr/bin/env openclaw-gateway"
"""What the shipped service runs: valid as it lies in a package; `install` puts this installation's own path there."""


def shipped(name: str) -> str:
    """The text of a unit as it lies in the wheel."""
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
