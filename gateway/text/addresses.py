"""IP addresses as clients, proxies and the kernel write them."""

import ipaddress
from functools import lru_cache

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOPBACK = ("127.0.0.1", "::1")
ALL_ADDRESSES = ("0.0.0.0", "::")
"""Both families' addresses for `gateway.bind`: `loopback` and `lan`."""


@lru_cache(maxsize=1024)
def parse_address(text: str) -> IPAddress | None:
    """The address, or None if the text is none. `::ffff:1.2.3.4` is 1.2.3.4; brackets and a zone are removed."""
    try:
        address = ipaddress.ip_address(text.strip().removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback(text: str) -> bool:
    """True if it is an address of the loopback interface. False for a name, `localhost` too."""
    address = parse_address(text)
    return address is not None and address.is_loopback
