"""Which addresses a socket unit listens on for a port and a bind word, and back again.

Pure. The bind words are OpenClaw's: `loopback`, `lan`, or an address of one's own.
"""

import ipaddress
from dataclasses import dataclass

from gateway.errors import GatewayError
from gateway.exits import ExitCode

DEFAULT_PORT = 18789
HIGHEST_PORT = 65535

LOOPBACK = ("127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::")


class BadAddress(GatewayError):
    exit_code = ExitCode.USAGE


@dataclass(frozen=True, order=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback


def resolve(bind: str, port: int) -> tuple[Address, ...]:
    """What to listen on."""
    if bind == "loopback":
        hosts: tuple[str, ...] = LOOPBACK
    elif bind == "lan":
        hosts = EVERYWHERE
    else:
        hosts = (_literal(bind),)
    return tuple(Address(host, port) for host in hosts)


def _literal(bind: str) -> str:
    try:
        return str(ipaddress.ip_address(bind.strip("[]")))
    except ValueError:
        raise BadAddress(
            f"--bind {bind}: not an address of this machine; use loopback, lan, or an IP address such as 192.168.1.10"
        ) from None


def parse(listen: str) -> Address | None:
    """A `ListenStream=` value, or one of `systemctl show -p Listen`; None for what is not TCP on an address."""
    text = listen.removesuffix(" (Stream)").strip()
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = "::", text  # a bare port listens on every address
    try:
        return Address(str(ipaddress.ip_address(host.strip("[]"))), int(port))
    except ValueError:
        return None
