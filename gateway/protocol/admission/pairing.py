"""Records of paired and waiting devices, and the rules by which they get roles and scopes. Pure.

The records have the form of OpenClaw 2026.2.1's files and events.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gateway.protocol.scopes import ADMIN, READ, WRITE


class DeviceFacts(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Facts about a device: its key, and what it says of itself. A field is None where the device left it out."""

    device_id: str
    public_key: str
    display_name: str | None = None
    platform: str | None = None
    device_family: str | None = None
    client_id: str | None = None
    client_mode: str | None = None
    role: str | None = None
    """The role that it asked for last. The roles that it may have are in `roles`."""
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    """In a pending request: the scopes that the device would be granted, not those that it asked for."""
    remote_ip: str | None = None


class PairingRequest(DeviceFacts, frozen=True, kw_only=True):
    """The role and scopes that a device asks for, which has proved that it holds its key and knows the secret."""

    role: str
    local: bool
    protocol: int
    offer: tuple[str, ...] | None = None
    """The scopes that the user of a trusted proxy may grant to their own operator device; None: none."""


class Granted(Struct, frozen=True):
    """A device token as `auth` of hello-ok tells it."""

    token: str
    scopes: tuple[str, ...]
    issued_at_ms: int
    session: tuple[str, ...] | None = None
    """The scopes of this connection, where they differ from those that it asked for."""


class TokenFacts(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A token as lists show it, without its secret. Times are milliseconds since 1970."""

    role: str
    scopes: tuple[str, ...]
    created_at_ms: int
    rotated_at_ms: int | None = None
    revoked_at_ms: int | None = None
    last_used_at_ms: int | None = None


class Token(TokenFacts, frozen=True, kw_only=True):
    token: str


class Device(DeviceFacts, frozen=True, kw_only=True):
    created_at_ms: int
    approved_at_ms: int
    tokens: dict[str, Token] = {}


class Pending(DeviceFacts, frozen=True, kw_only=True):
    """A device that waits for an operator's approval, as the file and the event have it."""

    request_id: str
    ts: int
    """Milliseconds since 1970."""
    silent: bool = False
    is_repair: bool = False


S = TypeVar("S", bound=Struct)


def record_from(shape: type[S], facts: Struct, **more: Any) -> S:
    """A record of type `shape`, with the fields that it shares with `facts`, and with `more`."""
    shared = {each for each in shape.__struct_fields__ if each in facts.__struct_fields__}
    return shape(**{**{each: getattr(facts, each) for each in shared}, **more})


def covers(held: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether `wanted` gives no right that `held` does not give."""
    having = set(held)
    if ADMIN in having:
        return all(scope in having or scope.startswith("operator.") for scope in wanted)
    return all(scope in having or (scope == READ and WRITE in having) for scope in wanted)


def union(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(scope for group in groups for scope in group))


def missing_approval(device: Device | None, public_key: str, role: str, scopes: Iterable[str]) -> str | None:
    """The reason for which the device needs an approval, in OpenClaw's words; None: it needs none."""
    if device is None or device.public_key != public_key:
        return "not-paired"
    if role not in roles_of(device) or is_revoked(device, role):
        return "role-upgrade"
    return None if covers(device.scopes, scopes) else "scope-upgrade"


def roles_of(device: DeviceFacts) -> tuple[str, ...]:
    """The roles that the device has or asks for."""
    return union(device.roles, (device.role,) if device.role else ())


def is_revoked(device: Device, role: str) -> bool:
    """Whether the role was revoked and has not been approved again. As in OpenClaw 2026.9.6, revoking a token revokes
    the role."""
    held = device.tokens.get(role)
    return held is not None and held.revoked_at_ms is not None


def auto_approved(device: Device | None, pairing: PairingRequest) -> bool:
    """Whether pairing is approved without an operator: local devices, except a known device that asks for
    another role than operator. In protocol 3 it gets that role, too, unless the role was revoked.
    """
    if device is None or pairing.role == "operator":
        return pairing.local
    return pairing.local and pairing.protocol < 4 and not is_revoked(device, pairing.role)


def without_role(device: Device, role: str) -> Device:
    """The device without `role`: its record and its tokens keep only the scopes of the other roles.

    A scope belongs to the role that it begins with. A scope that begins with none of the roles is removed, too,
    because nothing says which role it came with.
    """
    others = tuple(f"{each}." for each in (*roles_of(device), *device.tokens) if each != role)

    def left(scopes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(scope for scope in scopes if scope.startswith(others))

    tokens = {each: replace(held, scopes=left(held.scopes)) for each, held in device.tokens.items()}
    return replace(device, scopes=left(device.scopes), tokens=tokens)


def merged(device: Device | None, request: Pending, now: int) -> Device:
    """The device with the roles and scopes of the request added.

    Scopes of a role that was revoked are dropped first, so that the device has no more than was approved since then. A
    device with another key is another device and inherits nothing.
    """
    if device and device.public_key != request.public_key:
        device = None
    for role in request.roles:
        if device and is_revoked(device, role):
            device = without_role(device, role)  # an older record, or another program's, still has the scopes
    tokens = device.tokens if device else {}
    return record_from(
        Device,
        request,
        created_at_ms=device.created_at_ms if device else now,
        approved_at_ms=now,
        display_name=request.display_name or (device.display_name if device else None),
        roles=union(device.roles if device else (), request.roles),
        scopes=union(device.scopes if device else (), request.scopes),
        tokens={role: held for role, held in tokens.items() if role not in request.roles or held.revoked_at_ms is None},
    )


def with_token(device: Device, token: Token) -> Device:
    return replace(device, tokens={**device.tokens, token.role: token})
