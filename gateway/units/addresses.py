"""The addresses that a socket unit listens on, from a port and a value of `--bind` and from `ListenStream=`. Pure.

The values are OpenClaw's: `loopback`, `lan`, or an IP address.
"""

import ipaddress
from dataclasses import dataclass

from gateway.errors import GatewayError
from gateway.exits import ExitCode
from gateway.text.addresses import ALL_ADDRESSES, LOOPBACK

DEFAULT_PORT = 18789
HIGHEST_PORT = 65535


class BadAddress(GatewayError):
    """The value of `--bind` is no word that is known, and no IP address."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, order=True)
class ListenAddress:
    """An IP address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback


def resolve(bind: str, port: int) -> tuple[ListenAddress, ...]:
    """The addresses to listen on. Raises BadAddress."""
    if bind == "loopback":
        hosts: tuple[str, ...] = LOOPBACK
    elif bind == "lan":
        hosts = ALL_ADDRESSES
    else:
        hosts = (_literal(bind),)
    return tuple(ListenAddress(host, port) for host in hosts)


def _literal(bind: str) -> str:
    try:
        return str(ipaddress.ip_address(bind.strip("[]")))
    except ValueError:
        raise BadAddress(
            f"--bind {bind}: not an address of this machine; use loopback, lan, or an IP address such as 192.168.1.10"
        ) from None


def parse(listen: str) -> ListenAddress | None:
    """The address of a `ListenStream=` value, or of one in `systemctl show -p Listen`. None if it is not TCP."""
    text = listen.removesuffix(" (Stream)").strip()
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = "::", text  # a bare port listens on every address
    try:
        return ListenAddress(str(ipaddress.ip_address(host.strip("[]"))), int(port))
    except ValueError:
        return None
