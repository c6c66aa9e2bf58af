"""Presence, system events, the machine, and heartbeats, which do not exist here.

`set-heartbeats` and `wake` would promise a run that never comes, so they are refused; heartbeats can only be turned
off, which they are.
"""

import os
import sys
import time
from contextlib import suppress
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import ADMIN, READ, WRITE
from gateway.rpc.presence import note, presence
from gateway.rpc.registry import Call, method

MAX_ITEMS = 64
"""Most roles, scopes or tags of one system event: all clients are shown them."""
Items = Annotated[list[str], Meta(max_length=MAX_ITEMS)]
_ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64", "armv7l": "arm", "i686": "ia32"}
"""Node's names of architectures, which clients know."""


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


class SystemInfo(Struct, rename="camel"):
    machine_name: str
    hostname: str
    platform: str
    release: str
    arch: str
    os_label: str
    port: int
    """`gateway.port` of the config."""
    node_version: str
    """Name and version of the runtime, which is Python."""
    pid: int
    process_instance_id: str
    uptime_ms: int
    cpu_count: int
    load_average: tuple[float, float, float]
    memory_total_bytes: int
    memory_free_bytes: int
    disk_path: str
    disk_total_bytes: int | UnsetType = UNSET
    """Absent, like `disk_available_bytes`, while there is no state folder."""
    disk_available_bytes: int | UnsetType = UNSET


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
    """Add a machine's description of itself to the presence list. Clients are sent a `presence` event.

    The text is not queued for a session.
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
    """The last heartbeat event: null, because there are no heartbeats."""


@method("set-heartbeats", HeartbeatParams, Heartbeats, scope=ADMIN)
def set_heartbeats(call: Call, params: HeartbeatParams) -> Heartbeats:
    """Turn heartbeats off, which they are. Turning them on is refused, because there are none."""
    if params.enabled:
        raise _missing()
    return Heartbeats(True, False)


@method("wake", WakeParams, Done, scope=WRITE)
def wake(call: Call, params: WakeParams) -> Done:
    """Wake the agent with a text: always refused, because there are no heartbeats."""
    raise _missing()


@method("system.info", NoParams, SystemInfo, scope=READ, since=4)
def system_info(call: Call, params: NoParams) -> SystemInfo:
    """The machine that the gateway runs on: system, processors, memory, and the disk of the state folder."""
    core, system = call.core, os.uname()
    page = os.sysconf("SC_PAGE_SIZE")
    answer = SystemInfo(
        machine_name=system.nodename,
        hostname=system.nodename,
        platform=system.sysname.lower(),
        release=system.release,
        arch=_ARCHITECTURES.get(system.machine, system.machine),
        os_label=f"{system.sysname} {system.release}",
        port=core.config.gateway.port,
        node_version=f"Python {'.'.join(map(str, sys.version_info[:3]))}",
        pid=os.getpid(),
        process_instance_id=core.boot_id,
        uptime_ms=int((time.monotonic() - core.started) * 1000),
        cpu_count=os.cpu_count() or 1,
        load_average=os.getloadavg(),
        memory_total_bytes=page * os.sysconf("SC_PHYS_PAGES"),
        memory_free_bytes=page * os.sysconf("SC_AVPHYS_PAGES"),
        disk_path=str(core.paths.state),
    )
    with suppress(OSError):  # without the disk the rest is told
        disk = os.statvfs(core.paths.state)
        answer.disk_total_bytes = disk.f_frsize * disk.f_blocks
        answer.disk_available_bytes = disk.f_frsize * disk.f_bavail
    return answer


def _missing() -> RpcError:
    return RpcError(WireError("UNAVAILABLE", "heartbeats are not available in this gateway yet"))
