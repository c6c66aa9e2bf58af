"""The descriptors that the gateway inherits, from systemd or from its own image before a re-exec.

Both describe them by the same variables (`LISTEN_FDS`, `LISTEN_FDNAMES`, `LISTEN_PID`; sd_listen_fds(3)), so `inherit`
reads both, and `hand_over` writes the second. The re-exec adds the descriptors' numbers (`LISTEN_FDNUMBERS`) and does
not move them to 3, 4, …: a thread that still reads the descriptor of such a number would take what the client sends.
The name of a descriptor says what it is:

    gateway   a listener that the socket unit holds
    bound     a listener that this program bound itself, without systemd
    lease     the lock on the state folder (only over a re-exec)
    record    the memfd that counts restarts (over a re-exec, and in systemd's fd store)
    ledger    the memfd with an entry for each connection (over both)
    parting   the memfd with what the previous process left half done, if its end was planned (over both)
    conn-<n>  a WebSocket (over both); n is its id in the ledger
    parcel-<n> an end of a pair of sockets in which WebSockets are in flight (over both)
    http-<n>  an HTTP connection, idle or with an answer under way (over both, if the restart is planned)
    agent-<p> the socket pair to the agent that is our child (only over a re-exec); p is its pid
"""

import logging
import os
import socket
from collections.abc import Iterable, Mapping, MutableMapping

from msgspec import Struct
from systemd import daemon

from gateway.errors import BadDescriptors
from gateway.systemd.listen_fds import NUMBERS, checked_socket, is_listener, pop_variables
from gateway.systemd.parcels import PARCEL, Parcel, open_parcels

log = logging.getLogger("gateway.sockets")

GATEWAY, BOUND, LEASE, RECORD = "gateway", "bound", "lease", "record"
LEDGER, PARTING = "ledger", "parting"
CONNECTION, HTTP, AGENT = "conn-", "http-", "agent-"
"""Beginnings of names."""
_SINGLE = (LEASE, RECORD, LEDGER, PARTING)
_TCP = (socket.AF_INET, socket.AF_INET6)
_REMEDY = "openclaw-gateway.socket must have ListenStream= lines with TCP addresses and Accept=no."


class Inherited(Struct, frozen=True):
    """The descriptors by what they are. Each is close-on-exec."""

    listeners: tuple[socket.socket, ...] = ()
    held_by_systemd: bool = False
    """True if the listeners are the socket unit's. False if there are none."""
    others: Mapping[str, int] = {}
    """Name -> descriptor of `lease`, `record`, `ledger`, `parting` and `agent-<p>`, if inherited."""
    connections: Mapping[str, int] = {}
    """Name -> descriptor of each WebSocket."""
    http: Mapping[str, int] = {}
    """Name -> descriptor of each HTTP connection."""

    parcels: tuple[Parcel, ...] = ()
    """What most of the WebSockets are in, for whoever keeps more of them."""

    @property
    def has_clients(self) -> bool:
        """True if there are connections. The previous process has accepted them."""
        return bool(self.connections or self.http)


def inherit(environ: MutableMapping[str, str]) -> Inherited:
    """The descriptors that the variables in `environ` describe. The variables are taken out of it.

    Raises BadDescriptors if a variable is wrong, or a listener cannot be served on.
    """
    variables = pop_variables(environ)
    if not variables.get("LISTEN_FDS"):
        return Inherited()
    if variables.get("LISTEN_PID") != str(os.getpid()):
        log.warning(
            "LISTEN_FDS=%s is meant for process %s, and this is %d: a wrapper that forks instead of exec'ing? Ignored",
            variables["LISTEN_FDS"],
            variables.get("LISTEN_PID", "(unset)"),
            os.getpid(),
        )
        return Inherited()
    again = NUMBERS in variables
    return _sort(_numbered_descriptors(variables) if again else _named_descriptors(variables), again)


def _numbered_descriptors(variables: Mapping[str, str]) -> dict[int, str]:
    """Number -> name, from the variables of our own re-exec."""
    try:
        numbers = [int(number) for number in variables[NUMBERS].split(":")]
        for number in numbers:
            os.fstat(number)
        return dict(zip(numbers, variables["LISTEN_FDNAMES"].split(":"), strict=True))
    except (ValueError, KeyError, OSError) as error:
        raise BadDescriptors(
            f"{NUMBERS}={variables[NUMBERS]} LISTEN_FDNAMES={variables.get('LISTEN_FDNAMES', '')}: {error}. "
            "Start the gateway through its socket unit, or without these variables."
        ) from error


def _named_descriptors(variables: Mapping[str, str]) -> dict[int, str]:
    """Number -> name, from systemd's variables."""
    # sd_listen_fds() reads the C environment, from which `environ.pop` has just removed the variables.
    os.environ.update(variables)
    try:
        return dict(daemon.listen_fds_with_names(True))
    except OSError as error:
        raise BadDescriptors(
            f"LISTEN_FDS={variables['LISTEN_FDS']} LISTEN_FDNAMES={variables.get('LISTEN_FDNAMES', '')}: "
            f"{error.strerror or error}. Start the gateway through its socket unit, or without these variables."
        ) from error
    finally:
        for name in variables:
            os.environ.pop(name, None)


def _sort(named: dict[int, str], again: bool) -> Inherited:
    """`again`: this process has all connections already."""
    listeners: list[tuple[str, socket.socket]] = []
    others: dict[str, int] = {}
    connections: dict[str, int] = {}
    http: dict[str, int] = {}
    parcels: dict[str, list[int]] = {}
    for fd, name in named.items():
        os.set_inheritable(fd, False)
        if name in _SINGLE or name.startswith(AGENT):
            others[name] = fd
        elif name.startswith(CONNECTION):
            connections[name] = fd
        elif name.startswith(HTTP):
            http[name] = fd
        elif name.startswith(PARCEL):
            parcels.setdefault(name, []).append(fd)
        elif name in (GATEWAY, BOUND) or is_listener(fd):
            # The user's own socket unit may give a listener any name.
            sock = checked_socket(fd, f"descriptor {fd} ({name})", _TCP, "a TCP socket", remedy=_REMEDY)
            listeners.append((name, sock))
        else:
            log.warning("descriptor %d (%s) is nothing that this version knows; closed", fd, name)
            os.close(fd)
    opened, held = open_parcels(parcels, duplicate=not again)
    for name, fd in held.items():
        if fd >= 0 and connections.setdefault(name, fd) != fd:
            os.close(fd)
    return Inherited(
        listeners=tuple(sock for _, sock in listeners),
        held_by_systemd=bool(listeners) and all(name != BOUND for name, _ in listeners),
        others=others,
        connections=connections,
        http=http,
        parcels=opened,
    )


def hand_over(
    listeners: Iterable[socket.socket], held_by_systemd: bool, others: Iterable[tuple[str, int]]
) -> dict[str, str]:
    """The variables that describe these descriptors to the next image. From here on they stay open on exec."""
    named = [(GATEWAY if held_by_systemd else BOUND, sock.fileno()) for sock in listeners]
    named += others
    for _, fd in named:
        os.set_inheritable(fd, True)
    return {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": str(len(named)),
        "LISTEN_FDNAMES": ":".join(name for name, _ in named),
        NUMBERS: ":".join(str(fd) for _, fd in named),
    }
