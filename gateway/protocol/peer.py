"""The identity of a connected client, as the handshake found it. Pure."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class ClientInfo(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Facts that a client states about itself; they are used for display, never for access."""

    id: Name
    version: Name
    platform: Name
    mode: Name
    display_name: Name | None = None
    device_family: Name | None = None
    model_identifier: Name | None = None
    instance_id: Name | None = None


class Peer(Struct, frozen=True):
    """A connected client and its rights: the next process needs no more to go on with it."""

    protocol: int
    role: str
    scopes: tuple[str, ...]
    client: ClientInfo
    caps: tuple[str, ...] = ()
    auth_mode: str = "none"
    """`Admission.method`: the gateway's mode, a device token, or a trusted proxy."""
    auth_generation: int = 0
    gateway_mode: str = "none"
    device_id: str | None = None
    user: str | None = None
    """The user whom a trusted proxy named."""


def describe(peer: Peer) -> str:
    """A client in a log line: short, and escaped, because the words are its own."""
    client = peer.client
    user = f" of {peer.user[:40]}" if peer.user else ""
    return msgspec.json.encode(f"{client.id}/{client.mode} {client.version}"[:80] + user).decode()
