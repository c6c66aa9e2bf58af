"""Methods to approve and remove devices, and to rotate and revoke their tokens. No list shows a token.

A client can only grant scopes that it has. Without `operator.admin` it manages its own device alone, in the role
operator, as in OpenClaw 2026.9.6.
"""

from collections.abc import Iterable
from typing import Annotated, cast

from msgspec import Meta, Struct
from msgspec.structs import replace

from gateway.protocol import scopes
from gateway.protocol.admission.admission import DEVICE_TOKEN
from gateway.protocol.admission.pairing import Device, DeviceFacts, Pending, TokenFacts, covers, record_from, roles_of
from gateway.protocol.frames import RpcError
from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import ADMIN, PAIRING, Scope
from gateway.rpc.registry import Call, method

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class RequestParams(Params, frozen=True):
    request_id: Name


class DeviceParams(Params, frozen=True):
    device_id: Name


class TokenParams(Params, frozen=True):
    device_id: Name
    role: Name


class RotateParams(TokenParams, frozen=True):
    scopes: Annotated[list[Name], Meta(max_length=64)] | None = None


class DeviceRow(DeviceFacts, frozen=True, kw_only=True):
    created_at_ms: int
    approved_at_ms: int
    tokens: list[TokenFacts]
    connected: bool | None = None
    """In protocol 4: whether the device is connected."""


class DeviceList(Struct):
    pending: list[Pending]
    paired: list[DeviceRow]


class Approved(Struct, rename="camel"):
    request_id: str
    device: DeviceRow


class Rejected(Struct, rename="camel"):
    request_id: str
    device_id: str


class Removed(Struct, rename="camel"):
    device_id: str


class Rotated(Struct, rename="camel"):
    device_id: str
    role: str
    token: str
    """The token. No other answer shows it."""
    scopes: tuple[str, ...]
    rotated_at_ms: int


class Revoked(Struct, rename="camel"):
    device_id: str
    role: str
    revoked_at_ms: int


@method("device.pair.list", NoParams, DeviceList, scope=PAIRING)
def device_pair_list(call: Call, params: NoParams) -> DeviceList:
    """Pending and paired devices, the newest first."""
    pending, paired = call.core.devices.listing()
    if not _manages_all(call):
        pending = [each for each in pending if each.device_id == call.peer.device_id]
        paired = [each for each in paired if each.device_id == call.peer.device_id]
    rows = [_row(each) for each in paired]
    if call.peer.protocol >= 4:
        here = {each.peer.device_id for each in call.core.hub.clients if each.peer}
        rows = [replace(row, connected=row.device_id in here) for row in rows]
    return DeviceList(pending, rows)


@method("device.pair.approve", RequestParams, Approved, scope=PAIRING)
def device_pair_approve(call: Call, params: RequestParams) -> Approved:
    """Approve a pending device. You must have each scope that it will have."""
    devices = call.core.devices
    _must_manage(call, *_asked(call, params.request_id), "pairing approval")
    _must_cover(call, devices.approval(params.request_id).scopes)
    return Approved(params.request_id, _row(devices.approve(params.request_id)))


@method("device.pair.reject", RequestParams, Rejected, scope=PAIRING)
def device_pair_reject(call: Call, params: RequestParams) -> Rejected:
    """Reject the request of a device. It may ask again."""
    _must_manage(call, *_asked(call, params.request_id), "pairing rejection")
    return Rejected(params.request_id, call.core.devices.reject(params.request_id).device_id)


@method("device.pair.remove", DeviceParams, Removed, scope=PAIRING)
def device_pair_remove(call: Call, params: DeviceParams) -> Removed:
    """Remove a device: its connections are closed and its tokens are not valid any more."""
    known = call.core.devices.find(params.device_id)
    _must_manage(call, params.device_id, roles_of(known) if known else (), "pairing removal")
    call.core.devices.remove(params.device_id)
    return Removed(params.device_id)


@method("device.token.rotate", RotateParams, Rotated, scope=PAIRING)
def device_token_rotate(call: Call, params: RotateParams) -> Rotated:
    """Replace a device's token for a role, and close connections that use the old one. You must have all its scopes."""
    devices = call.core.devices
    _must_manage(call, params.device_id, (params.role,), "token rotation")
    wanted = tuple(params.scopes) if params.scopes is not None else None
    _must_cover(call, devices.rotation(params.device_id, params.role, wanted))
    token = devices.rotate(params.device_id, params.role, wanted)
    at = token.rotated_at_ms or token.created_at_ms
    return Rotated(params.device_id, params.role, token.token, token.scopes, at)


@method("device.token.revoke", TokenParams, Revoked, scope=PAIRING)
def device_token_revoke(call: Call, params: TokenParams) -> Revoked:
    """Revoke a device's token for a role. It loses the role and its scopes until they are approved again."""
    _must_manage(call, params.device_id, (params.role,), "token revocation")
    return Revoked(params.device_id, params.role, call.core.devices.revoke(params.device_id, params.role))


def _manages_all(call: Call) -> bool:
    """Whether the client may manage all devices: with `operator.admin`, or if it used the gateway's secret and could
    have asked for that scope, because OpenClaw's commands ask for `operator.pairing` alone. A client that used a device
    token or a proxy may not.
    """
    peer = call.peer
    if covers(peer.scopes, (ADMIN,)):
        return True
    if peer.auth_mode == DEVICE_TOKEN or peer.user is not None:
        return False
    own = call.core.devices.find(peer.device_id) if peer.device_id is not None else None
    return peer.device_id is None or (own is not None and covers(own.scopes, (ADMIN,)))


def _must_manage(call: Call, device_id: str | None, roles: Iterable[str], what: str) -> None:
    if _manages_all(call):
        return
    if device_id is None or device_id != call.peer.device_id or any(role != "operator" for role in roles):
        # An unknown device gets the same answer, so that a client does not learn which devices exist.
        raise RpcError(f"device {what} denied")


def _asked(call: Call, request_id: str) -> tuple[str | None, Iterable[str]]:
    """The device id and the roles of the request."""
    waiting, _ = call.core.devices.listing()
    return next(((each.device_id, roles_of(each)) for each in waiting if each.request_id == request_id), (None, ()))


def _must_cover(call: Call, wanted: Iterable[str]) -> None:
    peer = call.peer
    for scope in wanted:
        if not covers(peer.scopes, (scope,)):
            error = scopes.refuse(peer.protocol, peer.role, (), cast("Scope", scope))
            raise RpcError(error or f"missing scope: {scope}")


def _row(device: Device) -> DeviceRow:
    return record_from(DeviceRow, device, tokens=[record_from(TokenFacts, each) for each in device.tokens.values()])
