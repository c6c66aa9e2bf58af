"""The addresses of this machine: who comes from one of them is no proxy on another machine, whatever he says."""

import ipaddress
import re
from pathlib import Path

from gateway.protocol.visitor import parse_address

_LOCAL_V4 = re.compile(r"\|-- ([0-9.]+)[^|+]*?/32 host LOCAL")


def is_own(address: str, proc: Path = Path("/proc/net")) -> bool | None:
    """Whether an interface has this address, loopback counted; None where the machine does not say."""
    wanted = parse_address(address)
    if wanted is None:
        return None
    try:
        if isinstance(wanted, ipaddress.IPv4Address):
            return str(wanted) in _LOCAL_V4.findall((proc / "fib_trie").read_text())
        lines = (proc / "if_inet6").read_text().splitlines()
    except OSError:
        return None
    return any(line.split()[0] == wanted.packed.hex() for line in lines if line.strip())
