"""Who is connected, as the handshake has found. Pure."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class ClientInfo(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a client says of itself; believed for display, never for access."""

    id: Name
    version: Name
    platform: Name
    mode: Name
    display_name: Name | None = None
    device_family: Name | None = None
    model_identifier: Name | None = None
    instance_id: Name | None = None


class Peer(Struct, frozen=True):
    """Who is connected and what they may do: all that must be known to go on with them in the next process."""

    protocol: int
    role: str
    scopes: tuple[str, ...]
    client: ClientInfo
    caps: tuple[str, ...] = ()
    auth_mode: str = "none"
    """How it was admitted: by the secret of the gateway's mode, by a device token, or by the word of a proxy."""
    auth_generation: int = 0
    gateway_mode: str = "none"
    device_id: str | None = None
    user: str | None = None
    """Whom the proxy named."""


def describe(peer: Peer) -> str:
    """A client in a log line: short, and escaped because it chose these words itself."""
    client = peer.client
    user = f" of {peer.user[:40]}" if peer.user else ""
    return msgspec.json.encode(f"{client.id}/{client.mode} {client.version}"[:80] + user).decode()
