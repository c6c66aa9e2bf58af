"""The addresses of this machine. A peer with one of them is no proxy on another machine, whatever it claims."""

import ipaddress
import re
from pathlib import Path

from gateway.text.addresses import IPAddress, parse_address

_LOCAL_V4 = re.compile(r"\|-- ([0-9.]+)[^|+]*?/32 host LOCAL")


def is_own(address: str, proc: Path = Path("/proc/net")) -> bool | None:
    """True if an interface of this machine, loopback included, has this address. None if /proc does not tell."""
    wanted = parse_address(address)
    if wanted is None:
        return None
    try:
        return wanted in _addresses(wanted.version, proc)
    except OSError:
        return None


def public_addresses(proc: Path = Path("/proc/net")) -> list[str]:
    """The globally routable addresses of this machine. There are none if /proc does not tell."""
    found: list[str] = []
    for version in (4, 6):
        try:
            found += [str(address) for address in _addresses(version, proc) if address.is_global]
        except OSError:
            pass
    return found


def _addresses(version: int, proc: Path) -> list[IPAddress]:
    if version == 4:
        return [*map(ipaddress.IPv4Address, dict.fromkeys(_LOCAL_V4.findall((proc / "fib_trie").read_text())))]
    lines = (proc / "if_inet6").read_text().splitlines()
    return [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines if line.strip()]
