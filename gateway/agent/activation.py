"""The agent's socket: systemd's listener, or one end of a socket pair from a gateway without systemd.

The variables of sd_listen_fds(3) are taken out of the environment, and each inherited descriptor is made close-on-exec:
the process of a tool would hold open for its whole life what it inherits.
"""

import os
import socket
from collections.abc import MutableMapping

from gateway.errors import BadDescriptors
from gateway.systemd.listen_fds import checked_socket, pop_variables

NAME = "agent"
"""`FileDescriptorName=` of the socket unit."""
FIRST = 3
"""The number of the first descriptor that systemd passes."""
_REMEDY = "openclaw-agent.socket must have one ListenStream= with a path, FileDescriptorName=agent and Accept=no."


def inherit_listener(environ: MutableMapping[str, str]) -> socket.socket | None:
    """The listener that systemd passed. None if it passed nothing to this process.

    Raises BadDescriptors if a variable is wrong, or the listener cannot be served on.
    """
    variables = pop_variables(environ)
    if not variables.get("LISTEN_FDS") or variables.get("LISTEN_PID") != str(os.getpid()):
        return None
    try:
        count = int(variables["LISTEN_FDS"])
        fds = range(FIRST, FIRST + count)
        for fd in fds:
            os.set_inheritable(fd, False)
        named = dict(zip(variables.get("LISTEN_FDNAMES", NAME).split(":"), fds, strict=True))
        fd = named.pop(NAME)
    except (ValueError, KeyError, OSError) as error:
        given = " ".join(f"{name}={value}" for name, value in variables.items())
        raise BadDescriptors(f"{given}: {error!r}. {_REMEDY}") from error
    for other in named.values():
        os.close(other)
    return _unix_stream(fd, listening=True, remedy=_REMEDY)


def adopt_connection(fd: int) -> socket.socket:
    """The end of a socket pair that `--fd` names. Raises BadDescriptors for anything else."""
    remedy = "--fd is for a gateway that starts its agent as a child, with one end of a socket pair."
    try:
        os.set_inheritable(fd, False)
    except (OSError, OverflowError) as error:
        raise BadDescriptors(f"descriptor {fd} cannot be used: {error}. {remedy}") from error
    return _unix_stream(fd, listening=False, remedy=remedy)


def _unix_stream(fd: int, *, listening: bool, remedy: str) -> socket.socket:
    families = (socket.AF_UNIX,)
    sock = checked_socket(fd, f"descriptor {fd}", families, "a Unix stream", listening=listening, remedy=remedy)
    sock.setblocking(False)
    return sock
