"""The source of a request, and whether the page that sent it may connect. Pure: an address and headers in.

*Local* means that the client itself is on this machine. A proxy on this machine is recognised by a forwarding header, a
page whose name was rebound to 127.0.0.1 (DNS rebinding) by its Host. Forwarding headers of a peer that is not in
`gateway.trustedProxies` are never believed.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct

from gateway.protocol.frames import WireError
from gateway.text.addresses import IPAddress, parse_address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers = Iterable[tuple[bytes, bytes]]
"""Headers as in ASGI, with names in lower case."""

CONTROL_UI = "openclaw-control-ui"
UI_CLIENTS = frozenset({CONTROL_UI, "webchat-ui", "webchat"})
ORIGIN_REFUSED = (
    "origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)"
)
MAX_HOPS = 256
"""Entries of X-Forwarded-For that are looked at. Clients may invent them: a head has room for thirty thousand."""
_FORWARDED_FOR = b"x-forwarded-for"
_FORWARDING = frozenset({b"x-real-ip", b"forwarded"})
_FORWARDING_PREFIXES = (b"x-forwarded-", b"tailscale-")
"""Any header with such a prefix marks a proxy: one that names a user forwards as much as one that names an address."""
_NAME = r"(?P<name>\[[0-9a-f:.%]+\]|[^\s/:@?#\[\]\\,]+)(?::(?P<port>[0-9]{1,5}))?"
_AUTHORITY = re.compile(_NAME, re.ASCII)
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://" + _NAME, re.ASCII)
_PORTS = {"http": "80", "https": "443"}
_MAPPED_BITS = 96
"""Bits before an IPv4 address that is mapped into IPv6: `::ffff:10.0.0.0/104` is 10.0.0.0/8."""
_PRIVATE_V4 = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10")
_PRIVATE = tuple(ipaddress.ip_network(text) for text in (*_PRIVATE_V4, "fc00::/7", "fe80::/10"))


class RequestOrigin(Struct, frozen=True):
    """The source of a request, as its connection and its headers tell it."""

    address: str
    """Address of the peer; an IPv4-mapped IPv6 address is unwrapped; "" where there is none."""
    host: str
    origin: str | None
    """The Origin header as sent. None: no page sent the request."""
    forwarded: bool
    local: bool
    remote_ip: str
    """Address of the client as far as it is known: that of the peer, or the one that a trusted proxy names."""
    attributed: bool = False
    """Whether a trusted proxy names another machine as the client."""

    @property
    def direct_local(self) -> bool:
        """Whether it is local and not even a proxy on this machine is in between."""
        return self.local and not self.forwarded


def request_origin(remote_address: str | None, headers: Headers, trusted_proxies: Sequence[str]) -> RequestOrigin:
    """The source of a request. It never raises. `trusted_proxies`: addresses and networks."""
    found: dict[bytes, list[str]] = {}
    forwarded = False
    for name, value in headers:
        forwarded = forwarded or name in _FORWARDING or name.startswith(_FORWARDING_PREFIXES)
        if name in (b"host", b"origin", _FORWARDED_FOR):
            found.setdefault(name, []).append(value.decode("latin-1"))
    peer = parse_address(remote_address or "")
    hosts, origins = found.get(b"host", []), found.get(b"origin")
    host = hosts[0].strip().lower() if len(hosts) == 1 else ""
    client, direct, attributed = peer, not forwarded, False
    if forwarded and peer and is_trusted(peer, trusted_proxies):
        hops = _hops(found.get(_FORWARDED_FOR, []))
        client, direct = _behind_proxy(peer, hops, trusted_proxies)
        attributed = any(hop and not hop.is_loopback and not is_trusted(hop, trusted_proxies) for hop in hops)
    return RequestOrigin(
        address=str(peer) if peer else "",
        host=host,
        origin=None if origins is None else ", ".join(origins).strip(),
        forwarded=forwarded,
        local=direct and client is not None and client.is_loopback and _is_loopback_name(_name(host)),
        remote_ip=str(client) if client else "unknown",
        attributed=attributed,
    )


def _hops(lines: list[str]) -> list[IPAddress | None]:
    """Addresses in X-Forwarded-For, None for an entry that is none. More than `MAX_HOPS` entries name no client."""
    if sum(line.count(",") + 1 for line in lines) > MAX_HOPS:
        return [None]
    return [parse_address(_name(entry.strip().lower())) for entry in ",".join(lines).split(",") if entry.strip()]


def _behind_proxy(peer: IPAddress, hops: list[IPAddress | None], trusted: Sequence[str]) -> tuple[IPAddress, bool]:
    """The client that a trusted proxy names, and whether all hops are on this machine.

    Each proxy appends the address of its peer, so that entries which the client invented stand first.
    """
    if not hops:
        return peer, False
    for hop in reversed(hops):
        if hop is None:
            return peer, False
        if not is_trusted(hop, trusted):
            return hop, all(each is not None and each.is_loopback for each in hops)
    first = hops[0]
    return (first or peer), all(each is not None and each.is_loopback for each in hops)


def is_trusted(address: IPAddress, trusted_proxies: Sequence[str]) -> bool:
    return any(address in network for network in _networks(tuple(trusted_proxies)))


@lru_cache(maxsize=8)
def _networks(entries: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks of the config. An entry that is no address or network is skipped; validation reports it."""
    networks: list[Network] = []
    for entry in entries:
        try:
            network = ipaddress.ip_network(entry.strip(), strict=False)
        except ValueError:
            continue
        mapped = getattr(network.network_address, "ipv4_mapped", None)
        if mapped is not None and network.prefixlen >= _MAPPED_BITS:
            network = ipaddress.ip_network((mapped, network.prefixlen - _MAPPED_BITS))
        networks.append(network)
    return tuple(networks)


def origin_refusal(
    source: RequestOrigin, client_id: str, client_mode: str, allowed_origins: Sequence[str], protocol: int
) -> WireError | None:
    """The refusal for a page of a foreign origin; None: the client may go on. A program sends no Origin header."""
    if source.origin is None:
        is_page = client_id in UI_CLIENTS or client_mode == "webchat"
        return _refusal(protocol, "origin missing or invalid") if is_page and protocol >= 4 else None
    origin = _parse_origin(source.origin)
    if origin is None:
        return _refusal(protocol, "origin missing or invalid")
    return None if _is_allowed(origin, source, allowed_origins) else _refusal(protocol, "origin not allowed")


def _refusal(protocol: int, reason: str) -> WireError:
    details: dict[str, Any] | None = None
    if protocol >= 4:
        details = {"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": reason}
    return WireError("INVALID_REQUEST", ORIGIN_REFUSED, details)


class _Origin(Struct, frozen=True):
    scheme: str
    name: str
    port: str


def _parse_origin(text: str) -> _Origin | None:
    """None for a text that is no origin: one with a path or a user, or "null", which sandboxed pages and files send."""
    found = _ORIGIN.fullmatch(text.lower())
    if not found:
        return None
    scheme = found["scheme"]
    return _Origin(scheme, found["name"], found["port"] or _PORTS.get(scheme, ""))


def _is_allowed(origin: _Origin, source: RequestOrigin, allowed_origins: Sequence[str]) -> bool:
    if any(entry == "*" or _parse_origin(entry) == origin for entry in allowed_origins):
        return True
    if origin.scheme not in _PORTS:
        return False
    if source.local and _is_loopback_name(origin.name):
        return True
    asked = _AUTHORITY.fullmatch(source.host)
    same = asked is not None and (asked["name"], asked["port"] or _PORTS[origin.scheme]) == (origin.name, origin.port)
    return same and _is_private_name(origin.name)


def _name(authority: str) -> str:
    """The name in `name:port`. A bare IPv6 address has colons and no port."""
    found = _AUTHORITY.fullmatch(authority)
    return found["name"] if found else authority


def _is_loopback_name(name: str) -> bool:
    address = parse_address(name)
    return name == "localhost" or (address is not None and address.is_loopback)


def _is_private_name(name: str) -> bool:
    """Whether no public name server can make the name of a foreign page resolve to this machine."""
    if _is_loopback_name(name) or name.endswith((".local", ".ts.net")):
        return True
    address = parse_address(name)
    return address is not None and any(address in network for network in _PRIVATE)
