"""One way in: inherited descriptors by name, or a socket of our own.

systemd and our own re-exec describe descriptors with the same words (`LISTEN_FDS`, `LISTEN_FDNAMES`, `LISTEN_PID`;
sd_listen_fds(3)), so there is one reader for both and one writer for the second. The second adds the numbers that they
have (`LISTEN_FDNUMBERS`): to move them to 3, 4, … would put a client's connection where another thread just reads
something else, and that thread would take what the client sends. Names tell what a descriptor is:

    gateway   a listener that the socket unit holds
    bound     a listener that this program bound itself, without systemd
    lease     the lock on the state folder (only over a re-exec)
    record    the memfd that remembers restarts (over a re-exec, and in systemd's fd store)
    ledger    the memfd that tells of the clients' connections (as the record)
    parting   what the predecessor left half done, if it left on purpose (as the record)
    conn-<n>  a WebSocket (as the record); n is its id in the ledger
    http-<n>  an HTTP connection, idle or with an answer under way (only over a planned restart)
    agent-<p> the socket pair with a child that is our agent (only over a re-exec); p is its pid
"""

import errno
import ipaddress
import logging
import os
import socket
import stat
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field

from systemd import daemon

from gateway.errors import BadDescriptors, PortBusy
from gateway.machine import holders
from gateway.machine.container import bind_word

log = logging.getLogger("gateway.sockets")

GATEWAY, BOUND, LEASE, RECORD = "gateway", "bound", "lease", "record"
LEDGER, PARTING = "ledger", "parting"
CONNECTION, HTTP, AGENT = "conn-", "http-", "agent-"
"""What the names of connections begin with."""
_SINGLE = (LEASE, RECORD, LEDGER, PARTING)
NUMBERS = "LISTEN_FDNUMBERS"
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", NUMBERS)
BACKLOG = 4096
"""asyncio calls listen() again on an inherited listener, so this number is in force, not the unit's `Backlog=`."""


@dataclass(frozen=True)
class Inherited:
    """What this image was given. Every descriptor is close-on-exec from here on."""

    listeners: tuple[socket.socket, ...] = ()
    held_by_systemd: bool = False
    """Whether the listeners are the socket unit's; False also for none."""
    others: Mapping[str, int] = field(default_factory=dict)
    """`lease`, `record`, `ledger`, `parting`, `agent-…`, as far as they are given."""
    connections: Mapping[str, int] = field(default_factory=dict)
    """WebSockets by name."""
    http: Mapping[str, int] = field(default_factory=dict)
    """HTTP connections by name."""

    @property
    def has_clients(self) -> bool:
        """Whether there are connections that another process has accepted."""
        return bool(self.connections or self.http)


def inherit(environ: MutableMapping[str, str]) -> Inherited:
    """Take the descriptors that `LISTEN_FDS` describes, and its variables out of `environ`.

    Raises BadDescriptors if something was passed that cannot be served on.
    """
    words = {name: environ.pop(name) for name in VARIABLES if name in environ}
    if not words.get("LISTEN_FDS"):
        return Inherited()
    if words.get("LISTEN_PID") != str(os.getpid()):
        log.warning(
            "LISTEN_FDS=%s is meant for process %s, and this is %d: a wrapper that forks instead of exec'ing? Ignored",
            words["LISTEN_FDS"],
            words.get("LISTEN_PID", "(unset)"),
            os.getpid(),
        )
        return Inherited()
    return _sort(_numbered_descriptors(words) if NUMBERS in words else _named_descriptors(words))


def _numbered_descriptors(words: Mapping[str, str]) -> dict[int, str]:
    """Of our own re-exec."""
    try:
        numbers = [int(number) for number in words[NUMBERS].split(":")]
        for number in numbers:
            os.fstat(number)
        return dict(zip(numbers, words["LISTEN_FDNAMES"].split(":"), strict=True))
    except (ValueError, KeyError, OSError) as error:
        raise BadDescriptors(
            f"{NUMBERS}={words[NUMBERS]} LISTEN_FDNAMES={words.get('LISTEN_FDNAMES', '')}: {error}. "
            "Start the gateway through its socket unit, or without these variables."
        ) from error


def _named_descriptors(words: Mapping[str, str]) -> dict[int, str]:
    # sd_listen_fds() reads the C environment, from which `environ.pop` has just removed the words.
    os.environ.update(words)
    try:
        return dict(daemon.listen_fds_with_names(True))
    except OSError as error:
        raise BadDescriptors(
            f"LISTEN_FDS={words['LISTEN_FDS']} LISTEN_FDNAMES={words.get('LISTEN_FDNAMES', '')}: "
            f"{error.strerror or error}. Start the gateway through its socket unit, or without these variables."
        ) from error
    finally:
        for name in words:
            os.environ.pop(name, None)


def _sort(named: dict[int, str]) -> Inherited:
    listeners: list[tuple[str, socket.socket]] = []
    others: dict[str, int] = {}
    connections: dict[str, int] = {}
    http: dict[str, int] = {}
    for fd, name in named.items():
        os.set_inheritable(fd, False)
        if name in _SINGLE or name.startswith(AGENT):
            others[name] = fd
        elif name.startswith(CONNECTION):
            connections[name] = fd
        elif name.startswith(HTTP):
            http[name] = fd
        elif name in (GATEWAY, BOUND) or _is_listener(fd):
            # Units of other hands may name our listeners as they like: what listens is a listener.
            listeners.append((name, _checked_listener(fd, name)))
        else:
            log.warning("descriptor %d (%s) is nothing that this version knows; closed", fd, name)
            os.close(fd)
    return Inherited(
        listeners=tuple(sock for _, sock in listeners),
        held_by_systemd=bool(listeners) and all(name != BOUND for name, _ in listeners),
        others=others,
        connections=connections,
        http=http,
    )


def _is_listener(fd: int) -> bool:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return False
    with socket.socket(fileno=os.dup(fd)) as sock:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _checked_listener(fd: int, name: str) -> socket.socket:
    way_out = "openclaw-gateway.socket must have ListenStream= lines with TCP addresses and Accept=no."
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        raise BadDescriptors(f"descriptor {fd} ({name}) is not a socket: {_describe(fd)}. {way_out}")
    sock = socket.socket(fileno=fd)
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
        kind = f"{sock.family.name}/{sock.type.name}"
        raise BadDescriptors(f"descriptor {fd} ({name}) is {kind}, not a TCP socket. {way_out}")
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise BadDescriptors(f"descriptor {fd} ({name}) does not listen: a connection, or Accept=yes? {way_out}")
    return sock


def _describe(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return "of unknown kind"


def hand_over(
    listeners: Iterable[socket.socket], held_by_systemd: bool, others: Iterable[tuple[str, int]]
) -> dict[str, str]:
    """The words that describe these descriptors to our next image. From here on they are not close-on-exec."""
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


def addresses(bind: str, custom_host: str | None) -> tuple[str, ...]:
    """The hosts that `gateway.bind` means. Loopback is both families, as OpenClaw's own gateway does it."""
    bind = bind_word(bind)
    if bind == "lan":
        return ("0.0.0.0", "::")
    if bind in ("custom", "tailnet") and custom_host:
        return (custom_host,)
    return ("127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """`lan` and names are not."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def bind_ourselves(
    hosts: Iterable[str], port: int, inherited: Iterable[socket.socket] = ()
) -> tuple[socket.socket, ...]:
    """Listeners on `hosts`, without systemd; those of `inherited` that still fit are kept, the others closed.

    Raises PortBusy, with a sentence that names the owner. An address family that the machine lacks is left out as
    long as another one serves.
    """
    hosts = tuple(hosts)
    kept = {_key(sock): sock for sock in inherited}
    for key in kept.keys() - {(host, port) for host in hosts}:
        kept.pop(key).close()  # first: 0.0.0.0 in our own hands is in the way of 127.0.0.1
    listeners: list[socket.socket] = []
    missing: list[OSError] = []
    for host in hosts:
        if sock := kept.pop((host, port), None):
            listeners.append(sock)
            continue
        try:
            listeners.append(_bind(host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise _refusal(host, port, error) from error
            missing.append(error)
    if not listeners:
        reason = missing[0].strerror if missing else "no address given"
        raise PortBusy(
            f"cannot listen on port {port} ({', '.join(hosts)}): {reason}. "
            "Check gateway.bind and gateway.customBindHost."
        )
    return tuple(listeners)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _refusal(host: str, port: int, error: OSError) -> PortBusy:
    if error.errno == errno.EACCES:
        return PortBusy(f"port {port} needs privileges; choose one above 1023 with --port or gateway.port.")
    return PortBusy(holders.describe(holders.holders((host, port)), port))


def _key(sock: socket.socket) -> tuple[str, int]:
    host, port = sock.getsockname()[:2]
    return host, port


def spell(sock: socket.socket) -> str:
    """`127.0.0.1:18789`, `[::1]:18789`."""
    host, port = _key(sock)
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"
