"""The listeners that this process binds itself, where no socket unit holds them."""

import errno
import ipaddress
import socket
from collections.abc import Iterable

from gateway.errors import PortBusy
from gateway.machine import holders
from gateway.machine.container import bind_word
from gateway.text.addresses import ALL_ADDRESSES, LOOPBACK

BACKLOG = 4096
"""asyncio calls listen() again on an inherited listener, so this number is in force, not the unit's `Backlog=`."""


def hosts_of(bind: str, custom_host: str | None) -> tuple[str, ...]:
    """The addresses that `gateway.bind` means. Loopback is both families, as in OpenClaw's own gateway."""
    bind = bind_word(bind)
    if bind == "lan":
        return ALL_ADDRESSES
    if bind in ("custom", "tailnet") and custom_host:
        return (custom_host,)
    return LOOPBACK


def bind_listeners(
    hosts: Iterable[str], port: int, inherited: Iterable[socket.socket] = ()
) -> tuple[socket.socket, ...]:
    """Listen on `hosts`. Listeners of `inherited` that still fit are used, the others are closed.

    Raises PortBusy, which names the process that holds the port. An address family that the machine lacks is left out
    if another one can be served.
    """
    hosts = tuple(hosts)
    kept = {_address(sock): sock for sock in inherited}
    for key in kept.keys() - {(host, port) for host in hosts}:
        kept.pop(key).close()  # first, because our own 0.0.0.0 would refuse 127.0.0.1
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


def _address(sock: socket.socket) -> tuple[str, int]:
    host, port = sock.getsockname()[:2]
    return host, port


def address_text(sock: socket.socket) -> str:
    """`127.0.0.1:18789` or `[::1]:18789`."""
    host, port = _address(sock)
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"
