"""What is known of a device that is paired or waits for it, and what it may have. Pure.

The records are those of OpenClaw 2026.2.1's files and events.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gateway.protocol.scopes import ADMIN, READ, WRITE


class DeviceFacts(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a device is and says of itself. None for what it left out."""

    device_id: str
    public_key: str
    display_name: str | None = None
    platform: str | None = None
    device_family: str | None = None
    client_id: str | None = None
    client_mode: str | None = None
    role: str | None = None
    """The one it asked for last; what it may have is in `roles`."""
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    """Of one that asks: what it would get, not what it sent."""
    remote_ip: str | None = None


class PairingRequest(DeviceFacts, frozen=True, kw_only=True):
    """A device that has proved its key and that it knows the secret, and what it wants."""

    role: str
    local: bool
    protocol: int
    offer: tuple[str, ...] | None = None
    """What a trusted proxy's user may give an operator's device himself; None: nothing."""


@dataclass(frozen=True)
class Granted:
    """For hello-ok's `auth`."""

    token: str
    scopes: tuple[str, ...]
    issued_at_ms: int
    session: tuple[str, ...] | None = None
    """What this connection may do, where it was given another thing than it asked for."""


class TokenFacts(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A token without the token."""

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
    silent: bool = False
    is_repair: bool = False


S = TypeVar("S", bound=Struct)


def extend(shape: type[S], facts: Struct, **more: Any) -> S:
    """A record of this shape with what it shares with `facts`, and more."""
    shared = {each for each in shape.__struct_fields__ if each in facts.__struct_fields__}
    return shape(**{**{each: getattr(facts, each) for each in shared}, **more})


def covers(held: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether `wanted` gives no right that `held` does not."""
    having = set(held)
    if ADMIN in having:
        return all(scope in having or scope.startswith("operator.") for scope in wanted)
    return all(scope in having or (scope == READ and WRITE in having) for scope in wanted)


def union(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(scope for group in groups for scope in group))


def lack(device: Device | None, public_key: str, role: str, scopes: Iterable[str]) -> str | None:
    """Why the device needs an approval, in OpenClaw's words; None: it needs none."""
    if device is None or device.public_key != public_key:
        return "not-paired"
    if role not in roles_of(device) or is_revoked(device, role):
        return "role-upgrade"
    return None if covers(device.scopes, scopes) else "scope-upgrade"


def roles_of(device: DeviceFacts) -> tuple[str, ...]:
    """All that it has, or asks for."""
    return union(device.roles, (device.role,) if device.role else ())


def is_revoked(device: Device, role: str) -> bool:
    """As in OpenClaw 2026.9.6, with its token a device loses the role, until the role is approved anew."""
    held = device.tokens.get(role)
    return held is not None and held.revoked_at_ms is not None


def is_silent(device: Device | None, asking: PairingRequest) -> bool:
    """Whether nobody has to be asked: on this machine, but for a known device that would be a node as well, or again.
    A client of protocol 3 expects to become one."""
    if device is None or asking.role == "operator":
        return asking.local
    return asking.local and asking.protocol < 4 and not is_revoked(device, asking.role)


def without(device: Device, role: str) -> Device:
    """The device once `role` is revoked: what is left are the scopes of its other roles, in its tokens too.

    A scope belongs to the role that it begins with. One that begins with none of them goes as well: nothing says who
    gave it.
    """
    others = tuple(f"{each}." for each in (*roles_of(device), *device.tokens) if each != role)

    def left(scopes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(scope for scope in scopes if scope.startswith(others))

    tokens = {each: replace(held, scopes=left(held.scopes)) for each, held in device.tokens.items()}
    return replace(device, scopes=left(device.scopes), tokens=tokens)


def merge(device: Device | None, request: Pending, now: int) -> Device:
    """The device with what it asked for added. What it had of a role that was revoked is forgotten, so that it has no
    more than was approved since. Another key makes it another device, which inherits nothing."""
    if device and device.public_key != request.public_key:
        device = None
    for role in request.roles:
        if device and is_revoked(device, role):
            device = without(device, role)  # also here: a record of before, or another program's, still has its scopes
    tokens = device.tokens if device else {}
    return extend(
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
