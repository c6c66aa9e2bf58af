"""The unit files and their names. README.md in this folder has the reason for each directive.

`systemctl` asks systemd, and `installation` decides which files belong on disk.
"""

from importlib import resources

SERVICE = "openclaw-gateway.service"
SOCKET = "openclaw-gateway.socket"
AGENT_SERVICE = "openclaw-agent.service"
AGENT_SOCKET = "openclaw-agent.socket"
UNITS = (SERVICE, SOCKET, AGENT_SERVICE, AGENT_SOCKET)
"""The units in the order in which they are stopped: the gateway before the agent, which it uses."""
GONE = "openclaw-gone@.service"
"""The template of the unit that systemd starts when the program of a service is missing."""
ENABLED = (SOCKET, SERVICE, AGENT_SOCKET)
"""The units with an `[Install]` section. The agent's service has none: only its socket starts it."""

PROGRAMS = {SERVICE: "openclaw-gateway", AGENT_SERVICE: "openclaw-agent"}
"""Service -> its console script."""
LISTEN_DROP_IN = f"{SOCKET}.d/10-listen.conf"
"""The drop-in with the addresses of `install --port/--bind`. The user's drop-ins sort after it."""
SANDBOX_DROP_IN = f"{SERVICE}.d/10-sandbox.conf"
"""The drop-in with the part of the sandbox that not every user manager can set up."""

MARK = "# Written by `openclaw-gateway install`"
"""The beginning of each file that `install` has written. A file without it is never changed or removed."""

SHIPPED_COMMANDS = {name: f"/usr/bin/env {program}" for name, program in PROGRAMS.items()}
"""Service -> the command in the shipped unit, which is valid in a package. `install` replaces it by a path."""


def shipped(name: str) -> str:
    """The text of a file in this folder, such as a unit."""
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
