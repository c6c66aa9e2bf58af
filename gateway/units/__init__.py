"""The unit files and their names. README.md in this folder says why for each directive.

Nothing here asks systemd anything; `systemctl` does, and `installation` decides what belongs on disk.
"""

from importlib import resources

SERVICE = "openclaw-gateway.service"
SOCKET = "openclaw-gateway.socket"
AGENT_SERVICE = "openclaw-agent.service"
AGENT_SOCKET = "openclaw-agent.socket"
UNITS = (SERVICE, SOCKET, AGENT_SERVICE, AGENT_SOCKET)
"""In the order of stopping: the gateway first, which uses the agent."""
GONE = "openclaw-gone@.service"
"""What systemd starts, once for each service, when a service's program is not there."""
ENABLED = (SOCKET, SERVICE, AGENT_SOCKET)
"""Those with an `[Install]` section: nothing but its socket starts the agent."""

PROGRAMS = {SERVICE: "openclaw-gateway", AGENT_SERVICE: "openclaw-agent"}
"""The console scripts behind the services."""
LISTEN_DROP_IN = f"{SOCKET}.d/10-listen.conf"
"""Where `install --port/--bind` puts its addresses, below the unit folder; the user's drop-ins sort after it."""
SANDBOX_DROP_IN = f"{SERVICE}.d/10-sandbox.conf"
"""Where `install` puts the part of the sandbox that not every user manager can make."""

MARK = "# Written by `openclaw-gateway install`"
"""How a file that we may change or remove begins; a file without it belongs to somebody else."""

SHIPPED_COMMANDS = {name: f"/usr/bin/env {program}" for name, program in PROGRAMS.items()}
"""What the shipped services run: valid as they lie in a package; `install` puts this installation's own paths there."""


def shipped(name: str) -> str:
    """The text of a unit as it lies in the wheel."""
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
