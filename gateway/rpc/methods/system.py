"""Presence, what others say of themselves, and heartbeats, which do not exist here yet.

`set-heartbeats` and `wake` would promise a run that never comes, so they are refused; only turning off what is off is
granted.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import ADMIN, READ, WRITE
from gateway.rpc.presence import note, presence
from gateway.rpc.registry import Call, method

MAX_ITEMS = 64
"""Roles, scopes or tags of one system event: everybody is shown them."""
Items = Annotated[list[str], Meta(max_length=MAX_ITEMS)]


class SystemEventParams(Params, frozen=True):
    text: str
    device_id: str | None = None
    instance_id: str | None = None
    host: str | None = None
    ip: str | None = None
    mode: str | None = None
    version: str | None = None
    platform: str | None = None
    device_family: str | None = None
    model_identifier: str | None = None
    last_input_seconds: float | None = None
    reason: str | None = None
    roles: Items | None = None
    scopes: Items | None = None
    tags: Items | None = None
    session_key: str | None = None


class HeartbeatParams(Params, frozen=True):
    enabled: bool


class WakeParams(Params, frozen=True):
    mode: Literal["now", "next-heartbeat"]
    text: str
    session_key: str | None = None
    agent_id: str | None = None


class Done(Struct):
    ok: bool = True


class Heartbeats(Struct):
    ok: bool
    enabled: bool


@method("system-presence", NoParams, list[dict[str, Any]], scope=READ)
def system_presence(call: Call, params: NoParams) -> Raw:
    """The gateway and its connected clients."""
    return presence(call.core)


@method("system-event", SystemEventParams, Done, scope=ADMIN)
def system_event(call: Call, params: SystemEventParams) -> Done:
    """What a machine says of itself: it is entered in the presence, and everybody hears a `presence` event.

    No session exists that the text could be queued for.
    """
    text = params.text.strip()
    if not text:
        raise RpcError("text required")
    fields = {key: value for key, value in msgspec.to_builtins(params).items() if value is not None}
    fields |= {"text": text}
    fields.pop("sessionKey", None)
    note(call.core, fields)
    return Done()


@method("last-heartbeat", NoParams, dict[str, Any] | None, scope=READ)
def last_heartbeat(call: Call, params: NoParams) -> None:
    """The last heartbeat event; null, because no heartbeat has run."""


@method("set-heartbeats", HeartbeatParams, Heartbeats, scope=ADMIN)
def set_heartbeats(call: Call, params: HeartbeatParams) -> Heartbeats:
    """Turn heartbeats off, which they are; turning them on is refused until they exist."""
    if params.enabled:
        raise _missing()
    return Heartbeats(True, False)


@method("wake", WakeParams, Done, scope=WRITE)
def wake(call: Call, params: WakeParams) -> Done:
    """Wake the agent with a text: always refused until heartbeats exist."""
    raise _missing()


def _missing() -> RpcError:
    return RpcError(WireError("UNAVAILABLE", "heartbeats are not available in this gateway yet"))
