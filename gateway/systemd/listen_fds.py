"""sd_listen_fds(3), as far as gateway and agent share it: the variables, and what a passed socket must be."""

import os
import socket
import stat
from collections.abc import Collection, MutableMapping

from gateway.errors import BadDescriptors

NUMBERS = "LISTEN_FDNUMBERS"
"""Not systemd's: the numbers of the descriptors, where they are not 3, 4, …"""
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", NUMBERS)


def pop_variables(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Take `VARIABLES` out of the environment, so that no child takes them for its own. Return those that were set."""
    return {name: environ.pop(name) for name in VARIABLES if name in environ}


def is_listener(fd: int) -> bool:
    """True if the descriptor is a socket that listens."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return False
    with socket.socket(fileno=os.dup(fd)) as sock:
        return _listens(sock)


def checked_socket(
    fd: int,
    name: str,
    families: Collection[socket.AddressFamily],
    kind: str,
    *,
    listening: bool = True,
    remedy: str,
) -> socket.socket:
    """The socket object of a descriptor. It must be a stream socket of one of `families`, which are called `kind`.

    Raises BadDescriptors, which ends with `remedy`, for another one, and leaves the descriptor open.
    """
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        raise BadDescriptors(f"{name} is not a socket: {_describe(fd)}. {remedy}")
    sock = socket.socket(fileno=fd)
    if (refusal := _refusal(sock, families, kind, listening)) is not None:
        sock.detach()
        raise BadDescriptors(f"{name} {refusal}. {remedy}")
    return sock


def _refusal(sock: socket.socket, families: Collection[socket.AddressFamily], kind: str, listening: bool) -> str | None:
    if sock.family not in families or sock.type != socket.SOCK_STREAM:
        return f"is {sock.family.name}/{sock.type.name}, not {kind}"
    if _listens(sock) is not listening:
        return "does not listen: a connection, or Accept=yes?" if listening else "listens"
    return None


def _listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _describe(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return "of unknown kind"
