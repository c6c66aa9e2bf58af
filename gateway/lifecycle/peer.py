"""The peer that would get a secret: it is checked on the connection itself, before the secret is sent.

the other end                                   the secret goes there
TLS                                             yes; the certificate names the peer
this machine, the user's own socket, or root's  yes: systemd's for the unit, a tunnel, a container's published port
this machine, another user's socket             no: while the gateway is down any user may listen on its port
this machine, no socket to see                  yes: root has sent it on (a container), or /proc cannot be read
a private address elsewhere                     only with OPENCLAW_ALLOW_INSECURE_PRIVATE_WS=1, OpenClaw's name for it
any other address                               no

The same variable lets it go to another user's socket, such as that of a container with this machine's network.
"""

import ipaddress
import os
from pathlib import Path
from urllib.parse import urlsplit

from gateway.errors import GatewayError
from gateway.machine.holders import LISTEN, PROC, conflict, endpoint, tcp_sockets, user_name
from gateway.machine.interfaces import is_own
from gateway.text.addresses import IPAddress

PLAINTEXT = "OPENCLAW_ALLOW_INSECURE_PRIVATE_WS"
ROOT = 0


class Untrusted(GatewayError):
    """The secret was not sent; the text says why, and the way out."""


def refuse_user_info(url: str) -> None:
    """Raises Untrusted for a password in the address: it would be sent before there is a peer to check."""
    parts = urlsplit(url)
    if parts.password and parts.scheme != "wss":
        raise Untrusted("a password in the address of the gateway goes only over TLS (wss://); nothing was sent")


def refuse_untrusted(
    url: str, near: tuple[str, int], far: tuple[str, int], plaintext: bool = False, proc: Path = PROC
) -> None:
    """Raises Untrusted if no secret may be sent to `far`. `near` and `far` are the ends of a connection without TLS."""
    address = _address(far[0])
    if address.is_loopback or is_own(str(address), proc / "net"):
        _refuse_other_user(near, far, plaintext, proc)
    elif address.is_global:
        raise Untrusted(_in_clear(url, far, "in clear through the internet"))
    elif not plaintext:
        way = _in_clear(url, far, "in clear through the network")
        raise Untrusted(f"{way}. In a private network that you trust: {PLAINTEXT}=1")


def owners(near: tuple[str, int], far: tuple[str, int], proc: Path = PROC) -> set[int]:
    """The uids of the sockets at `far`, an address of this machine. Empty if there is none, or /proc does not say.

    The accepted socket is looked at first, since its listener may be gone already. A socket that is not accepted yet
    has no owner in older kernels, which show 0; then the owner of the listener counts as well.
    """
    here, there = (_address(near[0]), near[1]), (_address(far[0]), far[1])
    accepted: set[int] = set()
    exact: set[int] = set()
    others: set[int] = set()
    try:
        for fields in tcp_sockets(proc):
            held, uid = endpoint(fields[1]), int(fields[7])
            if fields[3] != LISTEN:
                if held == there and endpoint(fields[2]) == here:
                    accepted.add(uid)
            elif held == there:
                exact.add(uid)
            elif held[1] == there[1] and conflict(held[0], there[0]):
                others.add(uid)
    except OSError:
        return set()
    return accepted if accepted - {ROOT} else accepted | (exact or others)


def _refuse_other_user(near: tuple[str, int], far: tuple[str, int], plaintext: bool, proc: Path) -> None:
    others = owners(near, far, proc) - {os.getuid(), ROOT}
    if others and not plaintext:
        uid = min(others)
        raise Untrusted(
            f"nothing was sent: {_shown(far)} belongs to user {user_name(uid)} (uid {uid}), and the secret goes to "
            f"yourself and root only. Who it is: openclaw-gateway doctor. If it is your gateway, such as a container "
            f"with this machine's network: {PLAINTEXT}=1"
        )


def _in_clear(url: str, far: tuple[str, int], how: str) -> str:
    host = urlsplit(url).hostname or far[0]
    return (
        f"nothing was sent: {_shown(far)} is another machine, and the secret would go {how}. Use wss://, or a tunnel: "
        f"ssh -N -L 18790:127.0.0.1:{far[1]} {host}, and then --url ws://127.0.0.1:18790"
    )


def _shown(end: tuple[str, int]) -> str:
    return f"[{end[0]}]:{end[1]}" if ":" in end[0] else f"{end[0]}:{end[1]}"


def _address(host: str) -> IPAddress:
    address = ipaddress.ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
