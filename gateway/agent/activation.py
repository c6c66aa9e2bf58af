"""How a start got its socket: systemd's listener, or one end of a socket pair from a gateway without systemd.

The words of systemd (sd_listen_fds(3)) are taken out of the environment at once and every inherited descriptor is made
close-on-exec: what a tool's process inherits, it would hold open for as long as it lives.
"""

import os
import socket
import stat
from collections.abc import MutableMapping

from gateway.errors import BadDescriptors

NAME = "agent"
"""`FileDescriptorName=` of the socket unit."""
FIRST = 3
"""Of the descriptors that systemd passes."""
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "LISTEN_FDNUMBERS")
_WAY_OUT = "openclaw-agent.socket must have one ListenStream= with a path, FileDescriptorName=agent and Accept=no."


def inherit_listener(environ: MutableMapping[str, str]) -> socket.socket | None:
    """The listener that systemd passed, None if it passed nothing to this process.

    Raises BadDescriptors if something was passed that cannot be served on.
    """
    words = {name: environ.pop(name) for name in VARIABLES if name in environ}
    if not words.get("LISTEN_FDS") or words.get("LISTEN_PID") != str(os.getpid()):
        return None
    try:
        count = int(words["LISTEN_FDS"])
        fds = range(FIRST, FIRST + count)
        for fd in fds:
            os.set_inheritable(fd, False)
        named = dict(zip(words.get("LISTEN_FDNAMES", NAME).split(":"), fds, strict=True))
        fd = named.pop(NAME)
    except (ValueError, KeyError, OSError) as error:
        given = " ".join(f"{name}={value}" for name, value in words.items())
        raise BadDescriptors(f"{given}: {error!r}. {_WAY_OUT}") from error
    for other in named.values():
        os.close(other)
    return _checked(fd, listening=True, way_out=_WAY_OUT)


def adopt_connection(fd: int) -> socket.socket:
    """`--fd`: the end of a socket pair. Raises BadDescriptors for anything else."""
    way_out = "--fd is for a gateway that starts its agent as a child, with one end of a socket pair."
    try:
        os.set_inheritable(fd, False)
    except (OSError, OverflowError) as error:
        raise BadDescriptors(f"descriptor {fd} cannot be used: {error}. {way_out}") from error
    return _checked(fd, listening=False, way_out=way_out)


def _checked(fd: int, *, listening: bool, way_out: str) -> socket.socket:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        raise BadDescriptors(f"descriptor {fd} is not a socket. {way_out}")
    sock = socket.socket(fileno=fd)
    try:
        _check(sock, listening=listening, way_out=way_out)
    except BadDescriptors:
        sock.detach()
        raise
    sock.setblocking(False)
    return sock


def _check(sock: socket.socket, *, listening: bool, way_out: str) -> None:
    fd = sock.fileno()
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        raise BadDescriptors(f"descriptor {fd} is {sock.family.name}/{sock.type.name}, not a Unix stream. {way_out}")
    if bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) is not listening:
        raise BadDescriptors(f"descriptor {fd} {'does not listen' if listening else 'listens'}. {way_out}")
